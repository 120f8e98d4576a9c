//! Every hop from a rule to a backend, and how it is encrypted: what `check` prints.

use std::sync::Arc;

use lasthop_dataplane_api::{
    AppProtocol, BackendKey, BackendTarget, BackendTls, HttpFilter, HttpRule, ObjectName, PlaintextReason,
    Refusal, RouteKey, Sni, TlsVersion, UpstreamTlsPolicy,
};
use lasthop_tls_verify::{Identity, VerifyMode};
use serde::Serialize;

use crate::{Translator, gateways::ClientCertificate};

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
    /// The Service's port, as `namespace/name:port`; what was written, if it leads nowhere.
    pub backend: Arc<str>,
    /// Its share among the rule's backends; `None` for a mirror.
    pub weight: Option<u32>,
    /// What the Service's port says it speaks.
    pub protocol: AppProtocol,
    /// How many endpoints are ready.
    pub endpoints: usize,
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
    /// It should be and cannot: requests get 502.
    Refused(Refusal),
    /// The reference leads nowhere: requests get 500.
    Unresolved {
        /// The reason of the route's `ResolvedRefs`.
        reason: Arc<str>,
    },
}

/// What a TLS policy demands and shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HopPolicy {
    /// The BackendTLSPolicy, as `namespace/name`.
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
    let routes = translator.derived.routes.values();
    routes.flat_map(|route| &route.rules).flat_map(|rule| of_rule(translator, rule)).collect()
}

fn of_rule(translator: &Translator, rule: &HttpRule) -> Vec<Hop> {
    let backends = rule.backends.iter().map(|backend| (&backend.target, Some(backend.weight)));
    let filters = rule.filters.iter().chain(rule.backends.iter().flat_map(|backend| &backend.filters));
    let mirrors = filters.filter_map(|filter| match filter {
        HttpFilter::Mirror(mirror) => Some((&mirror.target, None)),
        _ => None,
    });
    backends
        .chain(mirrors)
        .filter_map(|(target, weight)| of_target(translator, rule, target, weight))
        .collect()
}

fn of_target(
    translator: &Translator,
    rule: &HttpRule,
    target: &BackendTarget,
    weight: Option<u32>,
) -> Option<Hop> {
    let mut hop = Hop {
        route: rule.key.route.clone(),
        rule: rule.key.index,
        rule_name: rule.name.clone(),
        gateway: rule.key.gateway.clone(),
        backend: "".into(),
        weight,
        protocol: AppProtocol::Unspecified,
        endpoints: 0,
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
            hop.endpoints =
                translator.snapshot.endpoints.get(&key.endpoints).map_or(0, |set| set.endpoints.len());
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
    let source = policy.source.split_once('/').map(|(ns, name)| ObjectName::new(ns, name));
    let outcome = source.and_then(|name| translator.derived.policies.get(&name));
    let compiled = outcome.and_then(|outcome| outcome.compiled.as_ref().ok());
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
