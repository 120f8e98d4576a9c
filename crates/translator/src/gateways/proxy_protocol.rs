//! Which listeners expect a PROXY protocol header before everything else.

use std::collections::BTreeSet;

use lasthop_api_model::{Gateway, ResourceKind};
use lasthop_dataplane_api::{ListenerProtocol, ObjectName};

use crate::{
    index::Reader,
    listeners::{Draft, Medium},
    names,
    problem::Problem,
};

/// The annotation of a Gateway (names of its listeners, separated by commas, or `*`), and of a Service (`v2`).
pub(crate) const PROXY_PROTOCOL: &str = "lasthop.dev/proxy-protocol";

/// The ports on which connections begin with the header. The header comes before host and SNI, so all listeners of a
/// TCP port expect it if one of them is named, those of ListenerSets as well.
#[derive(Debug, Default)]
pub(super) struct Expected {
    every: bool,
    ports: BTreeSet<u16>,
}

impl Expected {
    /// Whether connections to a listener begin with the header. Datagrams never do.
    pub(super) fn on(&self, port: u16, protocol: ListenerProtocol) -> bool {
        !Medium::of(protocol).is_udp() && (self.every || self.ports.contains(&port))
    }
}

/// Reads the Gateway's annotation. If it names a listener that the Gateway does not have, nobody knows which of those
/// that it does not name was meant: without the header they would take it for the client's words, so they are refused.
pub(super) fn expected(
    reader: &Reader<'_>,
    gateway: &Gateway,
    name: &ObjectName,
    listeners: &mut [Draft<'_>],
) -> Expected {
    let mut expected = Expected::default();
    let annotations = gateway.metadata.annotations.as_ref();
    let Some(text) = annotations.and_then(|annotations| annotations.get(PROXY_PROTOCOL)) else {
        return expected;
    };
    let mut unknown = Vec::new();
    for entry in text.split(',').map(str::trim) {
        let named =
            listeners.iter_mut().filter(|draft| draft.rank == 0).find(|draft| draft.spec.name == entry);
        match named {
            _ if entry == "*" => expected.every = true,
            None => unknown.push(entry),
            Some(draft) if draft.protocol == Some(ListenerProtocol::UDP) => draft.outcome.refuse(Problem::new(
                "UnsupportedValue",
                format!("metadata.annotations[{PROXY_PROTOCOL}]: UDP has no PROXY protocol; take the listener out"),
            )),
            Some(draft) => drop(expected.ports.insert(draft.spec.port)),
        }
    }
    if unknown.is_empty() {
        return expected;
    }
    let field = format!("metadata.annotations[{PROXY_PROTOCOL}]");
    let own: Vec<&str> = gateway.spec.listeners.iter().map(|listener| listener.name.as_str()).collect();
    let message = format!(
        "the Gateway has no listener {:?}; write names of its listeners ({}), separated by commas, or *",
        unknown.join(", "),
        own.join(", ")
    );
    for draft in listeners {
        if draft
            .protocol
            .is_some_and(|protocol| !Medium::of(protocol).is_udp() && !expected.on(draft.spec.port, protocol))
        {
            draft.outcome.refuse(Problem::new("UnsupportedValue", format!("{field}: {message}")));
        }
    }
    reader.notice(names::key(ResourceKind::Gateway, name), field, message);
    expected
}
