//! XBackend.

use serde_json::json;

use super::KindSchema;
use super::backend_tls_policy::strict_validation;
use super::metadata::namespaced;
use super::patterns::{DNS_NAME, LABEL_VALUE, QUALIFIED_NAME};
use super::references::{port, secret};
use super::session_persistence::session_persistence;
use super::status::xbackend_status;
use crate::schema::path::FieldPath;
use crate::schema::{
    Look as _, Rule, Schema, blames, goes_with, holds, map, object, one_of, optional, required, text,
};

const PROTOCOLS: &[&str] = &["TCP", "HTTP", "HTTP2", "HTTP11", "H2C", "MCP", "GRPC", "WSS"];

pub(super) fn schema() -> KindSchema {
    let hostname = text().between(1, 253).pattern(DNS_NAME).rule(holds(
        "must not end with \".cluster.local\"",
        "use a Service, or type EndpointSelector, for what runs in the cluster",
        |hostname| !hostname.as_str().is_some_and(|hostname| hostname.ends_with(".cluster.local")),
    ));
    let labels = map(text().at_most(63).pattern(LABEL_VALUE)).between(1, 64).pattern(QUALIFIED_NAME);
    let number =
        object([optional("number", port())])
            .rule(holds("must not be empty", "add number", |port| port.has("number")));
    let spec = object([
        required("type", one_of(&["ExternalHostname", "EndpointSelector"])),
        optional("externalHostname", object([required("hostname", hostname)])),
        optional("endpointSelector", object([required("matchLabels", labels)])),
        required("port", number),
        optional("protocol", one_of(PROTOCOLS)),
        optional("tls", tls().default(json!({"mode": "None"}))),
        optional("sessionPersistence", session_persistence()),
    ])
    .rules(goes_with("externalHostname", "type", "ExternalHostname"))
    .rules(goes_with("endpointSelector", "type", "EndpointSelector"))
    .rules([
        tls_for(
            "H2C",
            false,
            "must have the mode None for the protocol H2C",
            "use HTTP2 for HTTP/2 over TLS",
        ),
        tls_for(
            "HTTP2",
            true,
            "must not have the mode None for the protocol HTTP2",
            "use H2C for HTTP/2 without TLS",
        ),
        tls_for("WSS", true, "must not have the mode None for the protocol WSS", "set mode to ServerOnly"),
        blames("may be set when type is EndpointSelector only", "take sessionPersistence out", |spec| {
            let broken = spec.has("sessionPersistence") && spec.text("type") != "EndpointSelector";
            broken.then(|| FieldPath::root().then("sessionPersistence"))
        }),
    ]);
    KindSchema::new(namespaced(), spec).status(xbackend_status())
}

fn tls_for(protocol: &'static str, wanted: bool, says: &'static str, remedy: &'static str) -> Rule {
    blames(says, remedy, move |spec| {
        let has_tls = spec.get("tls").is_some_and(|tls| tls.text("mode") != "None");
        (spec.text("protocol") == protocol && has_tls != wanted).then(|| FieldPath::root().then("tls"))
    })
}

fn tls() -> Schema {
    object([
        required("mode", one_of(&["None", "ServerOnly", "ClientAndServer"])),
        optional("clientCertificateRef", secret()),
        optional("validation", strict_validation()),
    ])
    .rules(goes_with("clientCertificateRef", "mode", "ClientAndServer"))
    .rules([
        blames("must be set unless mode is None", "say what the backend must prove", |tls| {
            (tls.text("mode") != "None" && !tls.has("validation"))
                .then(|| FieldPath::root().then("validation"))
        }),
        blames(
            "must not be set when mode is None",
            "take validation out, or set mode to ServerOnly",
            |tls| {
                (tls.text("mode") == "None" && tls.has("validation"))
                    .then(|| FieldPath::root().then("validation"))
            },
        ),
    ])
}
