//! GRPCRoute.

use super::KindSchema;
use super::filters::{field_name, header_modifier, once, request_mirror, total_matches, unique_rule_names};
use super::metadata::namespaced;
use super::parent_refs::route_fields;
use super::patterns::DNS_NAME_OR_WILDCARD;
use super::references::{backend, local_object, section_name};
use super::session_persistence::session_persistence;
use super::status::route_status;
use crate::schema::path::FieldPath;
use crate::schema::{
    Look as _, Rule, Schema, blames, goes_with, holds, list, object, one_of, optional, required, text,
};

pub(super) fn schema() -> KindSchema {
    let rules = list(rule()).at_most(16).rules([unique_rule_names(), total_matches()]);
    let hostname = text().between(1, 253).pattern(DNS_NAME_OR_WILDCARD);
    let own = [optional("hostnames", list(hostname).at_most(16)), optional("rules", rules)];
    KindSchema::new(namespaced(), object(route_fields().into_iter().chain(own))).status(route_status())
}

fn rule() -> Schema {
    let backend = backend([optional("filters", filters())]);
    object([
        optional("name", section_name()),
        optional("matches", list(route_match()).at_most(64)),
        optional("filters", filters()),
        optional("backendRefs", list(backend).at_most(16)),
        optional("sessionPersistence", session_persistence()),
    ])
}

fn route_match() -> Schema {
    let compared = || optional("type", one_of(&["Exact", "RegularExpression"]).default("Exact"));
    let method = object([
        compared(),
        optional("service", text().at_most(1024)),
        optional("method", text().at_most(1024)),
    ])
    .rules([
        holds("needs a service, a method or both", "add what to match, or take the match out", |method| {
            method.has("service") || method.has("method")
        }),
        exact("service", "must be a gRPC service: identifiers joined by dots", is_service),
        exact("method", "must be a gRPC method: letters, digits and '_', no digit first", is_identifier),
    ]);
    let header =
        object([compared(), required("name", field_name()), required("value", text().between(1, 4096))]);
    object([optional("method", method), optional("headers", list(header).at_most(16).unique_by("name"))])
}

/// A rule for names that are compared as they are written.
fn exact(field: &'static str, says: &'static str, fits: fn(&str) -> bool) -> Rule {
    blames(says, "correct it, or set type to RegularExpression", move |method| {
        let exact = matches!(method.text("type"), "" | "Exact");
        (exact && method.has(field) && !fits(method.text(field))).then(|| FieldPath::root().then(field))
    })
}

fn is_service(text: &str) -> bool {
    text.strip_prefix('.').unwrap_or(text).split('.').all(is_identifier)
}

fn is_identifier(text: &str) -> bool {
    text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The filters of a rule or of a backend.
fn filters() -> Schema {
    let types = &["ResponseHeaderModifier", "RequestHeaderModifier", "RequestMirror", "ExtensionRef"];
    let filter = object([
        required("type", one_of(types)),
        optional("requestHeaderModifier", header_modifier()),
        optional("responseHeaderModifier", header_modifier()),
        optional("requestMirror", request_mirror()),
        optional("extensionRef", local_object()),
    ])
    .rules(goes_with("requestHeaderModifier", "type", "RequestHeaderModifier"))
    .rules(goes_with("responseHeaderModifier", "type", "ResponseHeaderModifier"))
    .rules(goes_with("requestMirror", "type", "RequestMirror"))
    .rules(goes_with("extensionRef", "type", "ExtensionRef"));
    list(filter).at_most(16).rules(["RequestHeaderModifier", "ResponseHeaderModifier"].map(once))
}
