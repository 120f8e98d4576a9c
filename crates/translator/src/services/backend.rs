//! A Service's port as one Gateway reaches it.

use std::sync::Arc;

use lasthop_api_model::{ResourceKind, Service};
use lasthop_dataplane_api::{
    AppProtocol, Backend, BackendKey, BackendTls, ObjectName, PlaintextReason, Refusal, UpstreamTlsPolicy,
};

use super::{app_protocol, tcp_port};
use crate::{
    gateways::ClientCertificate,
    index::Reader,
    names,
    problem::Problem,
    tls_policies::{self, Compiled},
};

/// The backend. Whatever is wrong with a policy that holds for it makes it refused, never plaintext.
pub(crate) fn backend(reader: &Reader<'_>, key: &BackendKey) -> Backend {
    let service = reader.object::<Service>(&key.endpoints.object);
    let port = service.and_then(|service| tcp_port(service, key.endpoints.port));
    let protocol = port.map_or(AppProtocol::Unspecified, app_protocol);
    let name = port.and_then(|port| port.name.as_deref());
    let claims = reader.claims(&key.endpoints.object);
    let tls = match claims.and_then(|claims| claims.winner(name)) {
        None => BackendTls::Plaintext(PlaintextReason::NoPolicy),
        Some(policy) => match under(reader, policy, &key.gateway) {
            Ok(tls) => BackendTls::Policy(tls),
            Err(problem) => BackendTls::Refused(Refusal {
                reason: problem.reason.into(),
                message: problem.message.into(),
                policy: policy.to_string().into(),
            }),
        },
    };
    Backend { key: key.clone(), protocol, tls, proxy_protocol: false }
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
