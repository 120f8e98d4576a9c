//! A Service's port, or an XBackend, as one Gateway reaches it.

use std::sync::Arc;

use lasthop_api_model::{ResourceKind, Service};
use lasthop_dataplane_api::{
    AppProtocol, Backend, BackendKey, BackendKind, BackendTls, ObjectName, PlaintextReason, Refusal,
    Transport, UpstreamTlsPolicy,
};

use super::{app_protocol, is_tcp, port, ports};
use crate::{
    gateways::{ClientCertificate, PROXY_PROTOCOL},
    index::Reader,
    names,
    problem::Problem,
    tls_policies::{self, Compiled},
    xbackends::XBackendTls,
};

/// The backend. Whatever is wrong with a policy that holds for it makes it refused, never plaintext.
pub(crate) fn backend(reader: &Reader<'_>, key: &BackendKey) -> Backend {
    match key.endpoints.kind {
        BackendKind::Service => of_service(reader, key),
        BackendKind::XBackend => of_xbackend(reader, key),
    }
}

/// What an XBackend says for itself holds for every Gateway: only mode `ClientAndServer` shows a certificate, its own.
fn of_xbackend(reader: &Reader<'_>, key: &BackendKey) -> Backend {
    let refuse = |problem: Problem| {
        BackendTls::Refused(Refusal {
            reason: problem.reason.into(),
            message: problem.message.into(),
            policy: format!("XBackend {}", key.endpoints.object).into(),
        })
    };
    let outcome = reader.xbackend(&key.endpoints.object).map(|outcome| (&outcome.protocol, &outcome.tls));
    let (protocol, tls) = match outcome {
        None => (
            AppProtocol::Unspecified,
            refuse(Problem::new("BackendNotFound", format!("XBackend {} is gone", key.endpoints.object))),
        ),
        Some((Err(problem), _)) => (AppProtocol::Unspecified, refuse(problem.clone())),
        Some((Ok(protocol), Err(problem))) => (*protocol, refuse(problem.clone())),
        Some((Ok(protocol), Ok(XBackendTls::None))) => {
            (*protocol, BackendTls::Plaintext(PlaintextReason::ModeNone))
        }
        Some((Ok(protocol), Ok(XBackendTls::Compiled(compiled)))) => {
            (*protocol, BackendTls::Policy(compiled.policy.clone()))
        }
    };
    Backend { key: key.clone(), protocol, tls, proxy_protocol: false }
}

fn of_service(reader: &Reader<'_>, key: &BackendKey) -> Backend {
    let service = reader.object::<Service>(&key.endpoints.object);
    let port = service.and_then(|service| port(service, key.endpoints.port, key.endpoints.transport));
    let protocol = port.map_or(AppProtocol::Unspecified, app_protocol);
    let name = port.and_then(|port| port.name.as_deref());
    let under = match key.endpoints.transport {
        Transport::TCP => {
            let claims = reader.claims(&key.endpoints.object);
            let policy = claims.and_then(|claims| claims.winner(name));
            policy.map(|policy| (policy, under(reader, policy, &key.gateway)))
        }
        Transport::UDP => service.and_then(|service| {
            let policy = udp_policy(reader, service, &key.endpoints.object, name)?;
            Some((policy, Err(Problem::new("Invalid", udp_message(policy, &key.endpoints.object)))))
        }),
    };
    let tls = match under {
        None => BackendTls::Plaintext(PlaintextReason::NoPolicy),
        Some((_, Ok(tls))) => BackendTls::Policy(tls),
        Some((policy, Err(problem))) => BackendTls::Refused(Refusal {
            reason: problem.reason.into(),
            message: problem.message.into(),
            policy: policy.to_string().into(),
        }),
    };
    match proxy_protocol(reader, service.map(Arc::as_ref), key) {
        Ok(proxy_protocol) => Backend { key: key.clone(), protocol, tls, proxy_protocol },
        Err(refusal) => {
            Backend { key: key.clone(), protocol, tls: BackendTls::Refused(refusal), proxy_protocol: false }
        }
    }
}

/// Whether the Service wants a PROXY protocol header on connections. What it says but we do not know refuses them:
/// without the header it may take the client's words for one.
fn proxy_protocol(reader: &Reader<'_>, service: Option<&Service>, key: &BackendKey) -> Result<bool, Refusal> {
    let annotations = service.and_then(|service| service.metadata.annotations.as_ref());
    let value = annotations.and_then(|annotations| annotations.get(PROXY_PROTOCOL)).map(String::as_str);
    match (value, key.endpoints.transport) {
        // Datagrams carry no header.
        (None, _) | (_, Transport::UDP) => Ok(false),
        (Some("v2"), Transport::TCP) => Ok(true),
        (Some(other), Transport::TCP) => {
            let field = format!("metadata.annotations[{PROXY_PROTOCOL}]");
            let message = format!("{other:?} is not known; write v2 or take the annotation out");
            let object = names::key(ResourceKind::Service, &key.endpoints.object);
            reader.notice(object, field.clone(), message.clone());
            Err(Refusal {
                reason: "UnsupportedValue".into(),
                message: format!("Service {}: {field}: {message}", key.endpoints.object).into(),
                policy: key.endpoints.object.to_string().into(),
            })
        }
    }
}

/// The policy that asks for TLS on a UDP port, which nothing can give (GEP-1897): one that names the port, or one for
/// the whole of a Service without a TCP port. One for a Service with both holds for its TCP ports only.
pub(crate) fn udp_policy<'a>(
    reader: &Reader<'a>,
    service: &Service,
    name: &ObjectName,
    port: Option<&str>,
) -> Option<&'a ObjectName> {
    let claims = reader.claims(name)?;
    let whole = || if ports(service).iter().any(is_tcp) { None } else { claims.winner(None) };
    claims.of_port(port).or_else(whole)
}

/// The policy of a port, if it asks for a bearer token: only requests can carry one.
pub(crate) fn token_policy<'a>(
    reader: &Reader<'a>,
    name: &ObjectName,
    port: Option<&str>,
) -> Option<&'a ObjectName> {
    let policy = reader.claims(name)?.winner(port)?;
    let compiled = reader.policy(policy)?.compiled.as_ref().ok()?;
    compiled.policy.settings().bearer_token.as_ref().map(|_| policy)
}

/// Why a UDP hop under a policy is refused.
pub(crate) fn udp_message(policy: &ObjectName, service: &ObjectName) -> String {
    format!(
        "BackendTLSPolicy {policy} holds for a UDP port of Service {service}, and TLS needs TCP; take it out of its \
         spec.targetRefs"
    )
}

fn under(
    reader: &Reader<'_>,
    policy: &ObjectName,
    gateway: &ObjectName,
) -> Result<Arc<UpstreamTlsPolicy>, Problem> {
    let outcome = reader
        .policy(policy)
        .ok_or_else(|| Problem::new("TargetNotFound", format!("BackendTLSPolicy {policy} is gone")))?;
    let compiled = outcome.compiled.as_ref().map_err(|problem| outcome.refusal(problem))?;
    if !tls_policies::ancestors(reader, policy, outcome).contains(gateway) {
        let message = format!(
            "status.ancestors of BackendTLSPolicy {policy} is full, so that the policy cannot hold for Gateway \
             {gateway}; split the policy"
        );
        let object = names::key(ResourceKind::BackendTlsPolicy, policy);
        reader.notice(object, "status.ancestors", message.clone());
        return Err(Problem::new("TooManyAncestors", message));
    }
    with_certificate_of(reader, compiled, policy, gateway)
}

/// A policy's own client certificate counts before the Gateway's.
fn with_certificate_of(
    reader: &Reader<'_>,
    compiled: &Compiled,
    policy: &ObjectName,
    gateway: &ObjectName,
) -> Result<Arc<UpstreamTlsPolicy>, Problem> {
    if compiled.own_certificate.is_some() {
        return Ok(compiled.policy.clone());
    }
    match reader.client_certificate(gateway) {
        None | Some(ClientCertificate::None) => Ok(compiled.policy.clone()),
        Some(ClientCertificate::Shown { key, .. }) => {
            let mut settings = compiled.policy.settings().clone();
            settings.client_certificate = Some(key.clone());
            Ok(Arc::new(UpstreamTlsPolicy::new(policy.to_string(), settings)))
        }
        Some(ClientCertificate::Refused(problem)) => {
            Err(Problem::new(problem.reason, format!("Gateway {gateway}: {}", problem.message)))
        }
    }
}
