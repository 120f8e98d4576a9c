//! EndpointSlice. Loopback addresses pass, unlike on an API server: a folder of manifests may name them.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::KindSchema;
use super::metadata::namespaced;
use super::patterns::{DNS_LABEL, DNS_NAME, LABEL_VALUE, QUALIFIED_NAME, is_dns_name};
use crate::schema::path::FieldPath;
use crate::schema::{
    Look as _, Pattern, Schema, blames, boolean, integer, list, map, object, one_of, optional, required, text,
};

/// A name, or none for the only port of a Service.
pub(super) const PORT_NAME: Pattern =
    Pattern { accepts: |text| text.is_empty() || (DNS_LABEL.accepts)(text), says: DNS_LABEL.says };

pub(super) fn schema() -> KindSchema {
    let port = object([
        optional("name", text().at_most(63).pattern(PORT_NAME).default("")),
        optional("protocol", one_of(&["TCP", "UDP", "SCTP"]).default("TCP")),
        optional("port", integer(1, 65535)),
        optional("appProtocol", text().pattern(QUALIFIED_NAME)),
    ]);
    KindSchema::with_fields(
        namespaced(),
        [
            required("addressType", one_of(&["IPv4", "IPv6", "FQDN"])),
            optional("endpoints", list(endpoint()).at_most(1000)),
            optional("ports", list(port).at_most(20_000).unique_by("name")),
        ],
    )
    .rule(blames(
        "is not an address of the slice's addressType",
        "correct the address, or addressType",
        |slice| {
            let fits: fn(&str) -> bool = match slice.text("addressType") {
                "IPv4" => |address| address.parse::<Ipv4Addr>().is_ok(),
                "IPv6" => |address| address.parse::<Ipv6Addr>().is_ok(),
                _ => is_dns_name,
            };
            slice.list("endpoints").iter().enumerate().find_map(|(endpoint, entry)| {
                let at =
                    entry.list("addresses").iter().position(|address| !address.as_str().is_some_and(fits))?;
                Some(FieldPath::root().then("endpoints").then(endpoint).then("addresses").then(at))
            })
        },
    ))
}

fn endpoint() -> Schema {
    let conditions = object([
        optional("ready", boolean()),
        optional("serving", boolean()),
        optional("terminating", boolean()),
    ]);
    let named = |name| list(object([name])).at_most(8).unique_by("name");
    let node = || text().at_most(253).pattern(DNS_NAME);
    let zone = text().at_most(63).pattern(LABEL_VALUE).default("");
    let target = object([
        optional("apiVersion", text()),
        optional("fieldPath", text()),
        optional("kind", text()),
        optional("name", text()),
        optional("namespace", text()),
        optional("resourceVersion", text()),
        optional("uid", text()),
    ]);
    object([
        required("addresses", list(text()).between(1, 100).unique()),
        optional("conditions", conditions),
        optional("deprecatedTopology", map(text())),
        optional(
            "hints",
            object([
                optional("forZones", named(optional("name", zone))),
                optional("forNodes", named(required("name", node()))),
            ]),
        ),
        optional("hostname", text().between(1, 63).pattern(DNS_LABEL)),
        optional("nodeName", node()),
        optional("targetRef", target),
        optional("zone", text()),
    ])
}
