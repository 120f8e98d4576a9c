//! Gateway.

use serde_json::{Value, json};

use super::KindSchema;
use super::listener::{ip_address_rule, listener, listener_statuses, listeners, namespaces, routability};
use super::metadata::namespaced;
use super::patterns::{ADDRESS_TYPE, INFRASTRUCTURE_KEY, LABEL_VALUE, is_dns_name_or_wildcard};
use super::references::{local_object, object_reference, port, secret};
use super::status::conditions;
use crate::schema::path::FieldPath;
use crate::schema::{
    Look as _, Rule, Schema, blames, integer, list, map, object, one_of, optional, required, text,
};

pub(super) fn schema() -> KindSchema {
    let addresses = list(spec_address()).at_most(16).rules([
        unique_values("IPAddress", "repeats an IPAddress"),
        unique_values("Hostname", "repeats a Hostname"),
    ]);
    let allowed_listeners = object([optional(
        "namespaces",
        namespaces(&["All", "Selector", "Same", "None"], "None").default(json!({"from": "None"})),
    )]);
    let spec = object([
        required("gatewayClassName", text().between(1, 253)),
        required("listeners", listeners(listener().rule(filters_rule()))),
        optional("addresses", addresses),
        optional("infrastructure", infrastructure()),
        optional("allowedListeners", allowed_listeners),
        optional("tls", tls()),
        optional("defaultScope", one_of(&["All", "None"])),
    ]);
    let status = object([
        optional("addresses", list(status_address()).at_most(16)),
        optional("attachedListenerSets", integer(i64::from(i32::MIN), i64::from(i32::MAX))),
        optional("conditions", conditions()),
        optional("listeners", listener_statuses()),
    ]);
    KindSchema::new(namespaced(), spec).status(status)
}

fn filters_rule() -> Rule {
    blames("may be set for the protocols HTTP and HTTPS only", "take the filters out", |listener| {
        let broken = listener.has("filters") && !matches!(listener.text("protocol"), "HTTP" | "HTTPS");
        broken.then(|| FieldPath::root().then("filters"))
    })
}

fn unique_values(of_type: &'static str, says: &'static str) -> Rule {
    blames(says, "take one of the two out", move |addresses| {
        let addresses = addresses.entries();
        let value = |address: &Value| {
            let counts = address.text("type") == of_type && address.has("value");
            counts.then(|| address.text("value").to_owned())
        };
        let repeats = |&at: &usize| {
            let this = addresses.get(at).and_then(value);
            this.is_some() && addresses.iter().take(at).any(|before| value(before) == this)
        };
        (0..addresses.len()).find(repeats).map(|index| FieldPath::root().then(index))
    })
}

fn spec_address() -> Schema {
    address(optional("value", text().at_most(253)), true)
}

fn status_address() -> Schema {
    address(required("value", text().between(1, 253)), false)
}

fn address(value: crate::schema::Field, may_be_empty: bool) -> Schema {
    object([
        optional("type", text().between(1, 253).pattern(ADDRESS_TYPE).default("IPAddress")),
        value,
        optional("routability", routability()),
    ])
    .rule(ip_address_rule())
    .rule(blames(
        "must be a DNS name when type is Hostname",
        "give a DNS name in lower case",
        move |address| {
            let value = address.text("value");
            let fits = is_dns_name_or_wildcard(value) || (may_be_empty && !address.has("value"));
            (address.text("type") == "Hostname" && !fits).then(|| FieldPath::root().then("value"))
        },
    ))
}

fn infrastructure() -> Schema {
    let label = text().at_most(63).pattern(LABEL_VALUE);
    object([
        optional("labels", map(label).at_most(8).pattern(INFRASTRUCTURE_KEY)),
        optional("annotations", map(text().at_most(4096)).at_most(16).pattern(INFRASTRUCTURE_KEY)),
        optional("parametersRef", local_object()),
    ])
}

fn tls() -> Schema {
    let per_port = object([required("port", port()), required("tls", frontend_tls())]);
    let frontend = object([
        required("default", frontend_tls()),
        optional("perPort", list(per_port).at_most(64).unique_by("port")),
    ]);
    object([
        optional("backend", object([optional("clientCertificateRef", secret())])),
        optional("frontend", frontend),
    ])
}

fn frontend_tls() -> Schema {
    let anchors = list(object_reference()).between(1, 16).rule(blames(
        "must not be set for a ClusterTrustBundle, which has no namespace",
        "take the namespace out",
        |anchors| {
            let index = anchors.entries().iter().position(|anchor| {
                anchor.text("group") == "certificates.k8s.io"
                    && anchor.text("kind") == "ClusterTrustBundle"
                    && anchor.has("namespace")
            })?;
            Some(FieldPath::root().then(index).then("namespace"))
        },
    ));
    let mode = one_of(&["AllowValidOnly", "AllowInsecureFallback"]).default("AllowValidOnly");
    let validation = object([required("caCertificateRefs", anchors), optional("mode", mode)]);
    object([optional("validation", validation)])
}
