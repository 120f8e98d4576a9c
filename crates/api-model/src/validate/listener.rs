//! Listeners, of Gateways and of ListenerSets.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::external_auth::external_auth;
use super::patterns::{DNS_NAME_OR_WILDCARD, PROTOCOL};
use super::references::{group, kind, local_object, options, port, secret, section_name};
use super::status::conditions;
use crate::GROUP;
use crate::schema::path::FieldPath;
use crate::schema::{
    Look as _, Rule, Schema, blames, goes_with, holds, integer, list, map, object, one_of, optional,
    required, text,
};

/// The list of listeners, with the rules between them.
pub(super) fn listeners(listener: Schema) -> Schema {
    list(listener).between(1, 64).unique_by("name").rules([
        each(
            "tls",
            "must not be set for the protocols HTTP, TCP and UDP",
            "take tls out, or use HTTPS or TLS",
            |l| !(matches!(l.text("protocol"), "HTTP" | "TCP" | "UDP") && l.has("tls")),
        ),
        each(
            "tls",
            "must have the mode Terminate for the protocol HTTPS",
            "use the protocol TLS to pass TLS through",
            |l| {
                let mode = l.get("tls").map(|tls| tls.text("mode"));
                l.text("protocol") != "HTTPS" || matches!(mode, None | Some("" | "Terminate"))
            },
        ),
        each("tls", "must be set for the protocol TLS", "add tls with mode Terminate or Passthrough", |l| {
            l.text("protocol") != "TLS" || l.get("tls").is_some_and(|tls| !tls.text("mode").is_empty())
        }),
        each("hostname", "must not be set for the protocols TCP and UDP", "take the hostname out", |l| {
            !matches!(l.text("protocol"), "TCP" | "UDP") || l.text("hostname").is_empty()
        }),
        blames(
            "has the port, protocol and hostname of a listener before it",
            "change one of the three, or take one of the listeners out",
            |listeners| {
                let listeners = listeners.entries();
                let key = |l: &Value| {
                    (l.number("port"), l.text("protocol").to_owned(), l.text("hostname").to_owned())
                };
                let repeats = |&at: &usize| {
                    let keys = listeners.get(at).map(key);
                    listeners.iter().take(at).any(|before| Some(key(before)) == keys)
                };
                (0..listeners.len()).find(repeats).map(|index| FieldPath::root().then(index))
            },
        ),
    ])
}

/// A rule for each listener that looks at more than one of its fields.
fn each(field: &'static str, says: &'static str, remedy: &'static str, holds: fn(&Value) -> bool) -> Rule {
    blames(says, remedy, move |listeners| {
        let index = listeners.entries().iter().position(|listener| !holds(listener))?;
        Some(FieldPath::root().then(index).then(field))
    })
}

pub(super) fn listener() -> Schema {
    object([
        required("name", section_name()),
        optional("hostname", text().between(1, 253).pattern(DNS_NAME_OR_WILDCARD)),
        required("port", port()),
        required("protocol", text().between(1, 255).pattern(PROTOCOL)),
        optional("tls", tls()),
        optional("allowedRoutes", allowed_routes().default(json!({"namespaces": {"from": "Same"}}))),
        optional("filters", object([optional("requests", list(request_filter()).at_most(16))])),
    ])
}

fn tls() -> Schema {
    object([
        optional("mode", one_of(&["Terminate", "Passthrough"]).default("Terminate")),
        optional("certificateRefs", list(secret()).at_most(64)),
        optional("options", options()),
    ])
    .rule(blames(
        "needs at least one entry when mode is Terminate",
        "name the Secret with the certificate",
        |tls| {
            let options =
                tls.get("options").and_then(Value::as_object).is_some_and(|options| !options.is_empty());
            let certified = !tls.list("certificateRefs").is_empty() || options;
            (tls.text("mode") == "Terminate" && !certified).then(|| FieldPath::root().then("certificateRefs"))
        },
    ))
}

fn allowed_routes() -> Schema {
    let route_kind = object([optional("group", group().default(GROUP)), required("kind", kind())]);
    object([
        optional(
            "namespaces",
            namespaces(&["All", "Selector", "Same"], "Same").default(json!({"from": "Same"})),
        ),
        optional("kinds", list(route_kind).at_most(8)),
    ])
}

/// Namespaces routes or ListenerSets may come from.
pub(super) fn namespaces(from: &'static [&'static str], default: &str) -> Schema {
    object([optional("from", one_of(from).default(default)), optional("selector", label_selector())])
}

fn label_selector() -> Schema {
    let expression =
        object([required("key", text()), required("operator", text()), optional("values", list(text()))]);
    object([optional("matchLabels", map(text())), optional("matchExpressions", list(expression))])
}

fn request_filter() -> Schema {
    object([
        required("type", one_of(&["ExternalAuth", "ExtensionRef"])),
        optional("externalAuth", external_auth()),
        optional("extensionRef", local_object()),
    ])
    .rules(goes_with("externalAuth", "type", "ExternalAuth"))
    .rules(goes_with("extensionRef", "type", "ExtensionRef"))
}

pub(super) fn listener_statuses() -> Schema {
    let route_kind = object([optional("group", group().default(GROUP)), required("kind", kind())]);
    let status = object([
        required("name", section_name()),
        optional("supportedKinds", list(route_kind).at_most(8)),
        required("attachedRoutes", integer(i64::from(i32::MIN), i64::from(i32::MAX))),
        required("conditions", conditions()),
    ]);
    list(status).at_most(64).unique_by("name")
}

/// An address of type IPAddress is one.
pub(super) fn ip_address_rule() -> Rule {
    blames(
        "must be an IPv4 or IPv6 address when type is IPAddress",
        "give an address, or change type",
        |address| {
            let value = address.text("value");
            let is_address = value.parse::<Ipv4Addr>().is_ok() || value.parse::<Ipv6Addr>().is_ok();
            let broken = address.text("type") == "IPAddress" && address.has("value") && !is_address;
            broken.then(|| FieldPath::root().then("value"))
        },
    )
}

/// From where an address is to be reached.
pub(super) fn routability() -> Schema {
    text().at_most(253).rule(holds(
        "must be empty, \"Cluster\", or a DNS name outside k8s.io, '/' and a value",
        "use \"Cluster\", or a prefix of the implementation",
        |value| {
            let text = value.as_str().unwrap_or_default();
            if text.is_empty() || text == "Cluster" {
                return true;
            }
            text.split_once('/').is_some_and(|(prefix, rest)| {
                prefix.len() <= 253
                    && super::patterns::is_dns_name(prefix)
                    && prefix != "k8s.io"
                    && !prefix.ends_with(".k8s.io")
                    && has_line_after_slash(rest)
            })
        },
    ))
}

/// Something on the last line after its last slash, as the pattern `^.*/.+$` of the API asks for.
fn has_line_after_slash(rest: &str) -> bool {
    !rest.is_empty() && !rest.contains('\n')
}
