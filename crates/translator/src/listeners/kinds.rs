//! The kinds of routes a listener takes.

use lasthop_api_model::{AllowedRoutes, GROUP};
use lasthop_dataplane_api::{ListenerProtocol, RouteKind};

use crate::problem::Problem;

/// The kinds a protocol has routes of.
fn fitting(protocol: Option<ListenerProtocol>) -> &'static [RouteKind] {
    match protocol {
        Some(ListenerProtocol::HTTP | ListenerProtocol::HTTPS) => {
            &[RouteKind::HTTPRoute, RouteKind::GRPCRoute]
        }
        // Whether it terminates or passes through (GEP-2643).
        Some(ListenerProtocol::TLS) => &[RouteKind::TLSRoute],
        Some(ListenerProtocol::TCP) => &[RouteKind::TCPRoute],
        Some(ListenerProtocol::UDP) => &[RouteKind::UDPRoute],
        None => &[],
    }
}

/// The kind's name in the API.
pub(crate) fn kind_name(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::HTTPRoute => "HTTPRoute",
        RouteKind::GRPCRoute => "GRPCRoute",
        RouteKind::TLSRoute => "TLSRoute",
        RouteKind::TCPRoute => "TCPRoute",
        RouteKind::UDPRoute => "UDPRoute",
    }
}

/// The kinds a listener takes, and what is wrong with those it names.
pub(super) fn taken(
    protocol: Option<ListenerProtocol>,
    allowed: &AllowedRoutes,
) -> (Vec<RouteKind>, Option<Problem>) {
    let fitting = fitting(protocol);
    if allowed.kinds.is_empty() {
        return (fitting.to_vec(), None);
    }
    let mut taken = Vec::new();
    let mut bad = Vec::new();
    for entry in &allowed.kinds {
        let known = fitting.iter().find(|kind| entry.group == GROUP && entry.kind == kind_name(**kind));
        match known {
            Some(kind) if !taken.contains(kind) => taken.push(*kind),
            Some(_) => {}
            None => bad.push(entry.kind.as_str()),
        }
    }
    let problem = (!bad.is_empty()).then(|| {
        let names: Vec<_> = fitting.iter().map(|kind| kind_name(*kind)).collect();
        Problem::new(
            "InvalidRouteKinds",
            format!(
                "allowedRoutes.kinds: {} do not fit the listener's protocol; it takes {}",
                bad.join(", "),
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            ),
        )
    });
    (taken, problem)
}
