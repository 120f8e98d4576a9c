//! How one object names another.

use super::patterns::{API_GROUP, DNS_LABEL, DNS_NAME, KIND};
use crate::schema::path::FieldPath;
use crate::schema::{Field, Look as _, Rule, Schema, blames, integer, object, optional, required, text};
use crate::{GROUP, X_GROUP};

pub(super) fn group() -> Schema {
    text().at_most(253).pattern(API_GROUP)
}

pub(super) fn kind() -> Schema {
    text().between(1, 63).pattern(KIND)
}

pub(super) fn name() -> Schema {
    text().between(1, 253)
}

pub(super) fn namespace() -> Schema {
    text().between(1, 63).pattern(DNS_LABEL)
}

/// The name of a listener, a rule, or another part of an object.
pub(super) fn section_name() -> Schema {
    text().between(1, 253).pattern(DNS_NAME)
}

pub(super) fn port() -> Schema {
    integer(1, 65535)
}

/// A map of options, for the implementation to read.
pub(super) fn options() -> Schema {
    crate::schema::map(text().at_most(4096)).at_most(16)
}

/// Group, kind and name, all three given.
pub(super) fn local_object() -> Schema {
    object(local_object_fields())
}

fn local_object_fields() -> [Field; 3] {
    [required("group", group()), required("kind", kind()), required("name", name())]
}

/// Group, kind and name given, namespace or not.
pub(super) fn object_reference() -> Schema {
    object(local_object_fields().into_iter().chain([optional("namespace", namespace())]))
}

pub(super) fn policy_target() -> Schema {
    object(local_object_fields().into_iter().chain([optional("sectionName", section_name())]))
}

pub(super) fn secret() -> Schema {
    object([
        optional("group", group().default("")),
        optional("kind", kind().default("Secret")),
        required("name", name()),
        optional("namespace", namespace()),
    ])
}

pub(super) fn parent() -> Schema {
    object(
        parent_gateway_fields()
            .into_iter()
            .chain([optional("sectionName", section_name()), optional("port", port())]),
    )
}

pub(super) fn parent_gateway() -> Schema {
    object(parent_gateway_fields())
}

fn parent_gateway_fields() -> [Field; 4] {
    [
        optional("group", group().default(GROUP)),
        optional("kind", kind().default("Gateway")),
        optional("namespace", namespace()),
        required("name", name()),
    ]
}

/// A backend without a weight.
pub(super) fn backend_object() -> Schema {
    object(backend_object_fields()).rules(backend_port_rules())
}

/// A backend of a rule, with the fields its kind of route adds.
pub(super) fn backend(more: impl IntoIterator<Item = Field>) -> Schema {
    let weight = optional("weight", integer(0, 1_000_000).default(1));
    object(backend_object_fields().into_iter().chain([weight]).chain(more)).rules(backend_port_rules())
}

fn backend_object_fields() -> [Field; 5] {
    [
        optional("group", group().default("")),
        optional("kind", kind().default("Service")),
        required("name", name()),
        optional("namespace", namespace()),
        optional("port", port()),
    ]
}

fn backend_port_rules() -> [Rule; 2] {
    [
        blames("must be set for a Service", "add the port of the Service", |backend| {
            let is_service = backend.text("group").is_empty() && backend.text("kind") == "Service";
            (is_service && !backend.has("port")).then(|| FieldPath::root().then("port"))
        }),
        blames("must not be set for an XBackend", "take the port out; the XBackend has its own", |backend| {
            let is_xbackend = backend.text("group") == X_GROUP && backend.text("kind") == "XBackend";
            (is_xbackend && backend.has("port")).then(|| FieldPath::root().then("port"))
        }),
    ]
}
