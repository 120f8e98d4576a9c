//! A hop in words.

use lasthop_dataplane_api::{PlaintextReason, Refusal, RouteKind, Sni};
use lasthop_tls_verify::{Identity, VerifyMode};
use lasthop_translator::{Hop, HopPolicy, HopTls};

/// The rule, as `HTTPRoute default/shop, rule 0`.
pub(crate) fn rule(hop: &Hop) -> String {
    let Hop { route, rule, rule_name, .. } = hop;
    match rule_name {
        Some(name) => format!("{} {}, rule {rule} ({name})", route.kind, route.object),
        None => format!("{} {}, rule {rule}", route.kind, route.object),
    }
}

/// The backend, with what else is known about it.
pub(crate) fn backend(hop: &Hop) -> String {
    let mut text = hop.backend.to_string();
    match hop.weight {
        None => text.push_str(", mirror"),
        Some(1) => {}
        Some(weight) => text.push_str(&format!(", weight {weight}")),
    }
    text
}

/// How many endpoints are ready, or where they come from.
pub(crate) fn endpoints(hop: &Hop) -> String {
    match (&hop.tls, &hop.hostname, hop.endpoints) {
        (HopTls::Unresolved { .. }, _, _) => "-".to_owned(),
        (_, Some(host), _) => host.to_string(),
        (_, None, 0) => format!("0 ({})", failure(hop, "503")),
        (_, None, count) => count.to_string(),
    }
}

/// What a client sees of a hop that cannot be made: this code, where there are codes.
fn failure(hop: &Hop, code: &'static str) -> &'static str {
    match hop.route.kind {
        RouteKind::HTTPRoute | RouteKind::GRPCRoute => code,
        RouteKind::TLSRoute | RouteKind::TCPRoute => "closed",
        RouteKind::UDPRoute => "dropped",
    }
}

/// Whether and how it is encrypted.
pub(crate) fn tls(hop: &Hop) -> String {
    match &hop.tls {
        HopTls::Plaintext { reason: PlaintextReason::NoPolicy } if hop.route.kind == RouteKind::UDPRoute => {
            "plaintext: UDP".to_owned()
        }
        HopTls::Plaintext { reason } => plaintext(*reason).to_owned(),
        HopTls::Passthrough => "the client's own TLS goes through".to_owned(),
        HopTls::Unresolved { reason } => format!("leads nowhere ({}): {reason}", failure(hop, "500")),
        HopTls::Refused(refusal) => {
            let Refusal { policy, reason, message } = refusal;
            format!("refused ({}) by {policy}: {reason}: {message}", failure(hop, "502"))
        }
        HopTls::Policy(policy) => of_policy(policy),
    }
}

/// Why a hop is not encrypted.
pub(crate) fn plaintext(reason: PlaintextReason) -> &'static str {
    match reason {
        PlaintextReason::NoPolicy => "plaintext: no BackendTLSPolicy targets the port",
        PlaintextReason::ModeNone => "plaintext: the XBackend's tls.mode is None",
    }
}

fn of_policy(policy: &HopPolicy) -> String {
    let HopPolicy {
        policy,
        id: _,
        authorities,
        identities,
        required,
        verify,
        sni,
        client_certificate,
        min_version,
        max_version,
    } = policy;
    let authorities: Vec<String> = authorities
        .iter()
        .map(|(source, count)| {
            format!("{source} ({count} certificate{})", if *count == 1 { "" } else { "s" })
        })
        .collect();
    let names = names(identities, required);
    let verified = match verify {
        VerifyMode::Full => {
            format!("verified by CA {}, name {names}", authorities.join(" + "))
        }
        VerifyMode::Chain => format!("verified by CA {}, any name", authorities.join(" + ")),
        VerifyMode::None => "not verified".to_owned(),
    };
    let sni = match sni {
        Sni::Name(name) => name.to_string(),
        Sni::None => "none".to_owned(),
        Sni::RequestHost => "the request's host".to_owned(),
    };
    let versions = match min_version == max_version {
        true => min_version.to_string(),
        false => format!("{min_version} to {max_version}"),
    };
    let client = client_certificate.as_deref().unwrap_or("none");
    format!("TLS {versions} {verified}; SNI {sni}; client certificate {client}; policy {policy}")
}

/// The names that are expected: one of the first, and all of the second.
fn names(identities: &[Identity], required: &[Identity]) -> String {
    let texts = |identities: &[Identity]| identities.iter().map(ToString::to_string).collect::<Vec<_>>();
    let any = texts(identities).join(" or ");
    match (required, identities) {
        ([], _) => any,
        (_, [_]) => format!("{} and {any}", texts(required).join(" and ")),
        (_, _) => format!("{} and ({any})", texts(required).join(" and ")),
    }
}
