//! Every hop from a rule to a backend, and how it is encrypted: what `check` prints.

use std::sync::Arc;

use lasthop_dataplane_api::{
    AppProtocol, Attachment, BackendKey, BackendKind, BackendTarget, BackendTls, HttpFilter, HttpRule,
    L4Rule, ListenerProtocol, ObjectName, PlaintextReason, Refusal, RouteKey, RouteKind, RuleKey, Sni,
    TlsVersion, UpstreamTlsPolicy,
};
use lasthop_tls_verify::{Identity, VerifyMode};
use serde::Serialize;

use crate::{Translator, gateways::ClientCertificate, tls_policies::Compiled, xbackends::XBackendTls};

/// One hop: a rule of a route, by way of a Gateway, to a backend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hop {
    /// The route.
    pub route: RouteKey,
    /// The rule's place in the route.
    pub rule: u32,
    /// The user's name for the rule.
    pub rule_name: Option<Arc<str>>,
    /// The Gateway.
    pub gateway: ObjectName,
    /// The Service's port, as `namespace/name:port` (with `/UDP` for a UDP port), or `XBackend/namespace/name:port`; what
    /// was written, if it leads nowhere.
    pub backend: Arc<str>,
    /// Its share among the rule's backends; `None` for a mirror.
    pub weight: Option<u32>,
    /// What the Service's port says it speaks.
    pub protocol: AppProtocol,
    /// How many endpoints are ready; of a host name nobody knows before it is resolved.
    pub endpoints: usize,
    /// The host name whose addresses are the endpoints.
    pub hostname: Option<Arc<str>>,
    /// Whether and how it is encrypted.
    pub tls: HopTls,
}

/// Whether and how a hop is encrypted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum HopTls {
    /// It is not.
    Plaintext {
        /// Why.
        reason: PlaintextReason,
    },
    /// It is, and verified as the policy says.
    Policy(HopPolicy),
    /// The client's own TLS goes through to the backend; no policy holds for it.
    Passthrough,
    /// It should be and cannot: requests get 502, connections are closed.
    Refused(Refusal),
    /// The reference leads nowhere: requests get 500, connections are closed.
    Unresolved {
        /// The reason of the route's `ResolvedRefs`.
        reason: Arc<str>,
    },
}

/// What a TLS policy demands and shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HopPolicy {
    /// The BackendTLSPolicy, as `namespace/name`, or `XBackend namespace/name`.
    pub policy: Arc<str>,
    /// The policy's id.
    pub id: String,
    /// Where the CA certificates come from, and how many there are.
    pub authorities: Vec<(Arc<str>, usize)>,
    /// The names of which the backend must prove one.
    pub identities: Vec<Identity>,
    /// The names that it must prove beside that one, every one of them.
    pub required: Vec<Identity>,
    /// How much is verified.
    pub verify: VerifyMode,
    /// What SNI says.
    pub sni: Sni,
    /// Where the client certificate stands, if one is shown.
    pub client_certificate: Option<Arc<str>>,
    /// The lowest version.
    pub min_version: TlsVersion,
    /// The highest version.
    pub max_version: TlsVersion,
}

pub(crate) fn hops(translator: &Translator) -> Vec<Hop> {
    let mut hops = Vec::new();
    for route in translator.derived.routes.values() {
        hops.extend(route.rules.iter().flat_map(|rule| of_http_rule(translator, rule)));
        hops.extend(route.l4_rules.iter().flat_map(|rule| of_l4_rule(translator, rule)));
    }
    hops
}

fn of_http_rule(translator: &Translator, rule: &HttpRule) -> Vec<Hop> {
    let backends = rule.backends.iter().map(|backend| (&backend.target, Some(backend.weight)));
    let filters = rule.filters.iter().chain(rule.backends.iter().flat_map(|backend| &backend.filters));
    let of_filters = filters.filter_map(HttpFilter::target).map(|target| (target, None));
    backends
        .chain(of_filters)
        .filter_map(|(target, weight)| of_target(translator, (&rule.key, &rule.name), target, weight))
        .collect()
}

/// A TLSRoute may serve listeners that pass TLS through and others that terminate it: two hops.
fn of_l4_rule(translator: &Translator, rule: &L4Rule) -> Vec<Hop> {
    let passed = |attachment: &&Attachment| {
        let listener = translator.snapshot.listeners.get(&attachment.listener);
        rule.key.route.kind == RouteKind::TLSRoute
            && listener.is_some_and(|l| l.protocol == ListenerProtocol::TLS && l.tls.is_none())
    };
    let through = rule.attachments.iter().filter(passed).count();
    let mut hops = Vec::new();
    for backend in &rule.backends {
        let weight = Some(backend.weight);
        let Some(hop) = of_target(translator, (&rule.key, &rule.name), &backend.target, weight) else {
            continue;
        };
        if through > 0 && matches!(backend.target, BackendTarget::Backend(_)) {
            hops.push(Hop { tls: HopTls::Passthrough, ..hop.clone() });
        }
        if through < rule.attachments.len() || matches!(backend.target, BackendTarget::Invalid(_)) {
            hops.push(hop);
        }
    }
    hops
}

fn of_target(
    translator: &Translator,
    (key, name): (&RuleKey, &Option<Arc<str>>),
    target: &BackendTarget,
    weight: Option<u32>,
) -> Option<Hop> {
    let mut hop = Hop {
        route: key.route.clone(),
        rule: key.index,
        rule_name: name.clone(),
        gateway: key.gateway.clone(),
        backend: "".into(),
        weight,
        protocol: AppProtocol::Unspecified,
        endpoints: 0,
        hostname: None,
        tls: HopTls::Plaintext { reason: PlaintextReason::NoPolicy },
    };
    match target {
        BackendTarget::Invalid(invalid) => {
            hop.backend = invalid.reference.clone();
            hop.tls = HopTls::Unresolved { reason: invalid.reason.clone() };
        }
        BackendTarget::Backend(key) => {
            let backend = translator.snapshot.backends.get(key)?;
            hop.backend = key.endpoints.to_string().into();
            hop.protocol = backend.protocol;
            if let Some(set) = translator.snapshot.endpoints.get(&key.endpoints) {
                hop.endpoints = set.endpoints.len();
                hop.hostname = set.hostname.clone();
            }
            hop.tls = match (&backend.tls, translator.derived.progress.refusal(key)) {
                (BackendTls::Plaintext(reason), _) => HopTls::Plaintext { reason: *reason },
                (BackendTls::Refused(refusal), _) | (BackendTls::Policy(_), Some(refusal)) => {
                    HopTls::Refused(refusal.clone())
                }
                (BackendTls::Policy(policy), None) => HopTls::Policy(describe(translator, key, policy)),
            };
        }
    }
    Some(hop)
}

fn describe(translator: &Translator, key: &BackendKey, policy: &UpstreamTlsPolicy) -> HopPolicy {
    let compiled = compiled(translator, key, policy);
    let settings = policy.settings();
    let own = compiled.and_then(|compiled| compiled.own_certificate.clone());
    let client_certificate =
        own.or_else(|| match &translator.derived.gateways.get(&key.gateway)?.client_certificate {
            ClientCertificate::Shown { reference, .. } => Some(reference.clone()),
            _ => None,
        });
    HopPolicy {
        policy: policy.source.clone(),
        id: policy.id().to_string(),
        authorities: compiled.map(|compiled| compiled.authorities.clone()).unwrap_or_default(),
        identities: settings.peer.identities.clone(),
        required: settings.peer.required.clone(),
        verify: settings.peer.mode,
        sni: settings.sni.clone(),
        client_certificate: settings.client_certificate.as_ref().and(client_certificate),
        min_version: settings.min_version,
        max_version: settings.max_version,
    }
}

fn compiled<'a>(
    translator: &'a Translator,
    key: &BackendKey,
    policy: &UpstreamTlsPolicy,
) -> Option<&'a Compiled> {
    match key.endpoints.kind {
        BackendKind::Service => {
            let (namespace, name) = policy.source.split_once('/')?;
            let outcome = translator.derived.policies.get(&ObjectName::new(namespace, name))?;
            outcome.compiled.as_ref().ok()
        }
        BackendKind::XBackend => match &translator.derived.xbackends.get(&key.endpoints.object)?.tls {
            Ok(XBackendTls::Compiled(compiled)) => Some(compiled),
            _ => None,
        },
    }
}
