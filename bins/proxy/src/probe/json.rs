//! What was found out, as JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lasthop_dataplane_api::FailureReason;
use lasthop_tls_verify::{CertificateSummary, Fault};
use pki_types::UnixTime;
use serde_json::{Value, json};

use super::{Endpoint, Probed, bundle::Comparison, certificate, detail, plan::NoHandshake};

/// Everything as one object.
pub(super) fn value(probed: &Probed) -> Value {
    let now = UnixTime::now();
    let (mut plaintext, mut refused, mut without_endpoints) = (Vec::new(), Vec::new(), Vec::new());
    let (mut passthrough, mut unresolved) = (Vec::new(), Vec::new());
    for other in &probed.others {
        let mut value = json!({ "backend": other.backend.endpoints.to_string(), "gateway": other.backend.gateway.to_string() });
        match &other.why {
            NoHandshake::Plaintext(_) => plaintext.push(value),
            NoHandshake::Passthrough => passthrough.push(value),
            NoHandshake::Unresolved { host, why, policy } => {
                value["policy"] = json!(policy.policy);
                value["hostname"] = json!(host);
                value["message"] = json!(why);
                unresolved.push(value);
            }
            NoHandshake::Refused(refusal) => {
                value["policy"] = json!(refusal.policy);
                value["reason"] = json!(refusal.reason);
                value["message"] = json!(refusal.message);
                refused.push(value);
            }
            NoHandshake::NoEndpoint(policy) => {
                value["policy"] = json!(policy.policy);
                without_endpoints.push(value);
            }
        }
    }
    let mut value = json!({
        "failed": probed.failed(),
        "endpoints": probed.endpoints.iter().map(|endpoint| of(endpoint, now)).collect::<Vec<_>>(),
        "refused": refused,
        "withoutEndpoints": without_endpoints,
        "plaintext": plaintext,
        "passthrough": passthrough,
        "unresolved": unresolved,
        "problems": probed.problems,
    });
    if let Some(bundle) = &probed.bundle {
        let skipped = bundle.skipped.iter();
        value["withCa"] = json!({
            "file": bundle.file,
            "certificates": bundle.anchors.certificates().len(),
            "skipped": skipped
                .map(|skipped| json!({ "position": skipped.position, "reason": skipped.reason }))
                .collect::<Vec<_>>(),
        });
    }
    value
}

fn of(endpoint: &Endpoint, now: UnixTime) -> Value {
    let Endpoint { target, outcome, comparison, advice } = endpoint;
    let settings = target.policy.settings();
    let mut value = json!({
        "backend": target.backend.endpoints.to_string(),
        "gateway": target.backend.gateway.to_string(),
        "endpoint": target.address.to_string(),
        "policy": target.policy.source,
        "policyId": target.policy.id().to_string(),
        "serverName": target.server_name(),
        "identities": settings.peer.identities,
        "required": settings.peer.required,
        "offered": target.offered(),
        "failed": endpoint.failure().is_some(),
        "verdict": outcome.failure.as_ref().map_or("ok", FailureReason::name),
        "fault": match &outcome.failure {
            Some(FailureReason::UpstreamTls(error)) => Some(error.fault(Fault::Upstream)),
            Some(_) => Some(Fault::Upstream),
            None => None,
        },
        "detail": outcome.failure.as_ref().map(|failure| detail(failure, outcome)),
        "tls": outcome.peer.as_ref().map(|peer| json!({
            "version": peer.version,
            "cipherSuite": peer.cipher_suite,
            "group": peer.group,
            "alpn": peer.alpn.map(|alpn| alpn.to_string()),
        })),
        "chain": certificate::summaries(&outcome.chain)
            .iter()
            .map(|summary| summary.as_ref().map(presented))
            .collect::<Vec<_>>(),
        "daysLeft": outcome
            .chain
            .first()
            .and_then(CertificateSummary::of)
            .map(|leaf| certificate::days_left(leaf.not_after, now)),
        "clientCertificate": {
            "shown": target.described.client_certificate,
            "asked": outcome.client_authorities.is_some().then_some(true),
            "authorities": outcome.client_authorities,
        },
        "wouldWork": advice.remedies,
        "notes": advice.notes,
    });
    if let Some(Comparison { old, new }) = comparison {
        let failed = |failure: &FailureReason| (failure.name(), detail(failure, outcome));
        let old = old.as_ref().map(|old| old.as_ref().err().map(|error| (error.reason(), error.to_string())));
        let new = new.as_ref().map(|new| new.as_ref().err().map(failed));
        value["withCa"] = json!({ "old": old.map(verdict), "new": new.map(verdict) });
    }
    value
}

fn verdict(error: Option<(&'static str, String)>) -> Value {
    match error {
        None => json!({ "verdict": "ok", "detail": null }),
        Some((reason, detail)) => json!({ "verdict": reason, "detail": detail }),
    }
}

fn presented(summary: &CertificateSummary) -> Value {
    json!({
        "subject": summary.subject,
        "issuer": summary.issuer,
        "names": summary.names,
        "notBefore": certificate::time(summary.not_before),
        "notAfter": certificate::time(summary.not_after),
        "pin": STANDARD.encode(summary.pin.0),
    })
}
