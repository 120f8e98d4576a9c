//! GatewayClass, Gateway, ListenerSet.

use serde_json::json;

use super::*;
use crate::ResourceKind::{Gateway, GatewayClass, ListenerSet};

#[test]
fn gateway_class() {
    refuses(
        GatewayClass,
        &[
            ("/spec/controllerName", Value::Null, "spec.controllerName", "required"),
            ("/spec/controllerName", json!("lasthop"), "spec.controllerName", "DNS name, '/' and a path"),
            (
                "/spec/controllerName",
                json!("lasthop.dev/"),
                "spec.controllerName",
                "DNS name, '/' and a path",
            ),
            (
                "/spec/controllerName",
                json!("lasthop.dev/a b"),
                "spec.controllerName",
                "DNS name, '/' and a path",
            ),
            (
                "/spec/controllerName",
                json!("Lasthop.dev/a"),
                "spec.controllerName",
                "DNS name, '/' and a path",
            ),
            ("/spec/description", letters(65), "spec.description", "at most 64"),
            ("/spec/parametersRef/group", json!("Example"), "spec.parametersRef.group", "API group"),
            ("/spec/parametersRef/group", Value::Null, "spec.parametersRef.group", "required"),
            ("/spec/parametersRef/kind", json!("9"), "spec.parametersRef.kind", "kind"),
            ("/spec/parametersRef/kind", letters(64), "spec.parametersRef.kind", "at most 63"),
            ("/spec/parametersRef/name", json!(""), "spec.parametersRef.name", "empty"),
            ("/spec/parametersRef/name", letters(254), "spec.parametersRef.name", "at most 253"),
            ("/spec/parametersRef/namespace", json!("a.b"), "spec.parametersRef.namespace", "DNS label"),
        ],
    );
    accepts(
        GatewayClass,
        &[("/spec/controllerName", json!("a/b/c~%!$&'()*+,;=:._-")), ("/spec/description", json!("ü"))],
    );
}

#[test]
fn gateway_listeners() {
    refuses(
        Gateway,
        &[
            ("/spec/gatewayClassName", json!(""), "spec.gatewayClassName", "empty"),
            ("/spec/listeners", json!([]), "spec.listeners", "at least 1"),
            (
                "/spec/listeners",
                many(65, |n| json!({"name": format!("l{n}"), "port": n + 1, "protocol": "TCP"})),
                "spec.listeners",
                "at most 64",
            ),
            ("/spec/listeners/0/name", json!("Http"), "spec.listeners[0].name", "DNS name"),
            ("/spec/listeners/1/name", json!("http"), "spec.listeners[1].name", "there already"),
            ("/spec/listeners/0/port", json!(0), "spec.listeners[0].port", "between 1 and 65535"),
            ("/spec/listeners/0/port", json!(65536), "spec.listeners[0].port", "between 1 and 65535"),
            ("/spec/listeners/0/hostname", json!("*"), "spec.listeners[0].hostname", "DNS name"),
            ("/spec/listeners/0/hostname", json!("a.*.b"), "spec.listeners[0].hostname", "DNS name"),
            ("/spec/listeners/0/protocol", json!("a b"), "spec.listeners[0].protocol", "protocol"),
            ("/spec/listeners/0/protocol", letters(256), "spec.listeners[0].protocol", "at most 255"),
            (
                "/spec/listeners/0/tls",
                json!({"certificateRefs": [{"name": "c"}]}),
                "spec.listeners[0].tls",
                "HTTP, TCP and UDP",
            ),
            (
                "/spec/listeners/3/tls",
                json!({"certificateRefs": [{"name": "c"}]}),
                "spec.listeners[3].tls",
                "HTTP, TCP and UDP",
            ),
            ("/spec/listeners/1/tls/mode", json!("Passthrough"), "spec.listeners[1].tls", "mode Terminate"),
            (
                "/spec/listeners/1/tls/mode",
                json!("Mutual"),
                "spec.listeners[1].tls.mode",
                "\"Terminate\" or \"Passthrough\"",
            ),
            ("/spec/listeners/1/tls", json!({}), "spec.listeners[1].tls.certificateRefs", "at least one"),
            (
                "/spec/listeners/1/tls",
                json!({"certificateRefs": [], "options": {}}),
                "spec.listeners[1].tls.certificateRefs",
                "at least one",
            ),
            (
                "/spec/listeners/1/tls/certificateRefs",
                many(65, |_| json!({"name": "c"})),
                "spec.listeners[1].tls.certificateRefs",
                "at most 64",
            ),
            (
                "/spec/listeners/1/tls/options",
                many_options(17),
                "spec.listeners[1].tls.options",
                "at most 16",
            ),
            (
                "/spec/listeners/1/tls/options/a",
                letters(4097),
                "spec.listeners[1].tls.options.a",
                "at most 4096",
            ),
            ("/spec/listeners/2/tls", Value::Null, "spec.listeners[2].tls", "protocol TLS"),
            ("/spec/listeners/3/hostname", json!("a.example"), "spec.listeners[3].hostname", "TCP and UDP"),
            (
                "/spec/listeners/3",
                json!({"name": "x", "port": 80, "protocol": "HTTP", "hostname": "*.example.com"}),
                "spec.listeners[3]",
                "port, protocol and hostname",
            ),
            ("/spec/listeners/3/filters", json!({}), "spec.listeners[3].filters", "HTTP and HTTPS only"),
            (
                "/spec/listeners/0/allowedRoutes/namespaces/from",
                json!("None"),
                "spec.listeners[0].allowedRoutes.namespaces.from",
                "\"Same\"",
            ),
            (
                "/spec/listeners/0/allowedRoutes/kinds",
                many(9, |_| json!({"kind": "HTTPRoute"})),
                "spec.listeners[0].allowedRoutes.kinds",
                "at most 8",
            ),
            (
                "/spec/listeners/0/filters/requests/0/type",
                json!("CORS"),
                "spec.listeners[0].filters.requests[0].type",
                "\"ExtensionRef\"",
            ),
            (
                "/spec/listeners/0/filters/requests/0/extensionRef",
                Value::Null,
                "spec.listeners[0].filters.requests[0].extensionRef",
                "must be set",
            ),
            (
                "/spec/listeners/0/filters/requests/0/type",
                json!("ExternalAuth"),
                "spec.listeners[0].filters.requests[0].extensionRef",
                "must not be set",
            ),
            (
                "/spec/listeners/0/filters/requests/1/externalAuth",
                Value::Null,
                "spec.listeners[0].filters.requests[1].externalAuth",
                "must be set",
            ),
            (
                "/spec/listeners/0/filters/requests",
                many(17, |_| json!({"type": "ExtensionRef"})),
                "spec.listeners[0].filters.requests",
                "at most 16",
            ),
        ],
    );
    accepts(
        Gateway,
        &[
            ("/spec/listeners/3", json!({"name": "x", "port": 80, "protocol": "HTTP"})),
            ("/spec/listeners/3/protocol", json!("example.com/quic")),
            ("/spec/listeners/3/protocol", json!("WEIRD")),
            ("/spec/listeners/1/tls", json!({"options": {"example.com/cert": "x"}})),
            ("/spec/listeners/2/tls", json!({"mode": "Terminate", "certificateRefs": [{"name": "c"}]})),
        ],
    );
}

fn many_options(count: usize) -> Value {
    (0..count).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn external_auth() {
    let at = "spec.listeners[0].filters.requests[1].externalAuth";
    let field = |name: &str| format!("{at}.{name}");
    for (pointer, value, field, says) in [
        ("grpc", json!({}), field("grpc"), "must not be set"),
        ("http", Value::Null, field("http"), "must be set"),
        ("protocol", json!("GRPC"), field("grpc"), "must be set"),
        ("protocol", json!("TCP"), field("protocol"), "\"HTTP\" or \"GRPC\""),
        ("backendRef/port", Value::Null, field("backendRef.port"), "for a Service"),
        ("http/path", json!("/a b"), field("http.path"), "URI path"),
        ("http/path", letters(1025), field("http.path"), "at most 1024"),
        ("http/allowedHeaders", json!(["a", "a"]), field("http.allowedHeaders[1]"), "there already"),
        (
            "http/allowedResponseHeaders",
            json!(["a", "a"]),
            field("http.allowedResponseHeaders[1]"),
            "there already",
        ),
        (
            "http/allowedHeaders",
            many(65, |n| json!(n.to_string())),
            field("http.allowedHeaders"),
            "at most 64",
        ),
        ("forwardBody/maxSize", json!(-1), field("forwardBody.maxSize"), "0 or more"),
    ] {
        let pointer = format!("/spec/listeners/0/filters/requests/1/externalAuth/{pointer}");
        refuses_all(Gateway, &[(&pointer, value)], &field, says);
    }
}

#[test]
fn gateway_addresses_and_infrastructure() {
    refuses(
        Gateway,
        &[
            ("/spec/addresses/0/value", json!("300.0.0.1"), "spec.addresses[0].value", "IPv4 or IPv6"),
            ("/spec/addresses/0/value", json!("gw.example"), "spec.addresses[0].value", "IPv4 or IPv6"),
            ("/spec/addresses/0/type", json!("other"), "spec.addresses[0].type", "NamedAddress"),
            ("/spec/addresses/1/value", json!("a_b"), "spec.addresses[1].value", "DNS name"),
            ("/spec/addresses/1/value", json!(""), "spec.addresses[1].value", "DNS name"),
            ("/spec/addresses/2", json!({"value": "192.0.2.1"}), "spec.addresses[2]", "repeats an IPAddress"),
            (
                "/spec/addresses/2",
                json!({"type": "Hostname", "value": "gw.example.com"}),
                "spec.addresses[2]",
                "repeats a Hostname",
            ),
            ("/spec/addresses", many(17, |_| json!({"type": "Hostname"})), "spec.addresses", "at most 16"),
            ("/spec/addresses/0/routability", json!("Public"), "spec.addresses[0].routability", "Cluster"),
            ("/spec/addresses/0/routability", json!("k8s.io/x"), "spec.addresses[0].routability", "Cluster"),
            (
                "/spec/addresses/0/routability",
                json!("gw.k8s.io/x"),
                "spec.addresses[0].routability",
                "Cluster",
            ),
            ("/spec/addresses/0/routability", json!("Example/x"), "spec.addresses[0].routability", "Cluster"),
            (
                "/spec/addresses/0/routability",
                json!("example.com/"),
                "spec.addresses[0].routability",
                "Cluster",
            ),
            ("/spec/infrastructure/labels", json!({"a b": "c"}), "spec.infrastructure.labels[a b]", "key"),
            (
                "/spec/infrastructure/labels",
                json!({"a": "b c"}),
                "spec.infrastructure.labels.a",
                "label value",
            ),
            ("/spec/infrastructure/labels", many_options(9), "spec.infrastructure.labels", "at most 8"),
            (
                "/spec/infrastructure/annotations",
                many_options(17),
                "spec.infrastructure.annotations",
                "at most 16",
            ),
            (
                "/spec/infrastructure/annotations",
                json!({"a/b/c": ""}),
                "spec.infrastructure.annotations[a/b/c]",
                "key",
            ),
            (
                "/spec/infrastructure/parametersRef/kind",
                json!(""),
                "spec.infrastructure.parametersRef.kind",
                "empty",
            ),
            (
                "/spec/allowedListeners/namespaces/from",
                json!("Any"),
                "spec.allowedListeners.namespaces.from",
                "\"None\"",
            ),
            ("/spec/defaultScope", json!("Some"), "spec.defaultScope", "\"All\" or \"None\""),
        ],
    );
    let prefix = format!("{}/x", vec!["a".repeat(62); 4].join(".") + "aa");
    assert_eq!(prefix.split('/').next().unwrap().len(), 253);
    let labels = json!({prefix: "v"});
    let errors = errors_of(Gateway, &changed(Gateway, &[("/spec/infrastructure/labels", labels)]));
    assert_eq!(errors.len(), 1, "a prefix of 253 characters is one too long here");
    accepts(
        Gateway,
        &[
            ("/spec/addresses/0/value", json!("2001:db8::1")),
            ("/spec/addresses/0/routability", json!("")),
            ("/spec/addresses/1/value", json!("*.example.com")),
            ("/spec/addresses/3", json!({"type": "NamedAddress", "value": "any thing"})),
            ("/spec/addresses/3", json!({})),
        ],
    );
}

#[test]
fn gateway_tls() {
    let anchors = "spec.tls.frontend.default.validation.caCertificateRefs";
    refuses(
        Gateway,
        &[
            (
                "/spec/tls/backend/clientCertificateRef/name",
                Value::Null,
                "spec.tls.backend.clientCertificateRef.name",
                "required",
            ),
            ("/spec/tls/frontend/default", Value::Null, "spec.tls.frontend.default", "required"),
            ("/spec/tls/frontend/default/validation/caCertificateRefs", json!([]), anchors, "at least 1"),
            (
                "/spec/tls/frontend/default/validation/mode",
                json!("None"),
                "spec.tls.frontend.default.validation.mode",
                "\"AllowValidOnly\"",
            ),
            (
                "/spec/tls/frontend/perPort/1/port",
                json!(8443),
                "spec.tls.frontend.perPort[1].port",
                "there already",
            ),
            ("/spec/tls/frontend/perPort/1/tls", Value::Null, "spec.tls.frontend.perPort[1].tls", "required"),
            (
                "/spec/tls/frontend/perPort/1/tls/validation/caCertificateRefs/0/namespace",
                json!("ns"),
                "spec.tls.frontend.perPort[1].tls.validation.caCertificateRefs[0].namespace",
                "ClusterTrustBundle",
            ),
            (
                "/spec/tls/frontend/perPort",
                many(65, |n| json!({"port": n + 1, "tls": {}})),
                "spec.tls.frontend.perPort",
                "at most 64",
            ),
        ],
    );
    let many = many(17, |_| json!({"group": "", "kind": "ConfigMap", "name": "a"}));
    refuses(
        Gateway,
        &[("/spec/tls/frontend/default/validation/caCertificateRefs", many, anchors, "at most 16")],
    );
}

#[test]
fn listener_set() {
    refuses(
        ListenerSet,
        &[
            ("/spec/parentRef", Value::Null, "spec.parentRef", "required"),
            ("/spec/parentRef/name", Value::Null, "spec.parentRef.name", "required"),
            ("/spec/parentRef/sectionName", json!("a"), "spec.parentRef.sectionName", "unknown field"),
            ("/spec/listeners", json!([]), "spec.listeners", "at least 1"),
            ("/spec/listeners/0/port", Value::Null, "spec.listeners[0].port", "required"),
            (
                "/spec/listeners/0/tls",
                json!({"options": {"a": "b"}}),
                "spec.listeners[0].tls",
                "HTTP, TCP and UDP",
            ),
            ("/spec/listeners/1/name", json!("http"), "spec.listeners[1].name", "there already"),
            (
                "/spec/listeners/1",
                json!({"name": "b", "port": 80, "protocol": "HTTP"}),
                "spec.listeners[1]",
                "port, protocol and hostname",
            ),
        ],
    );
    accepts_all(
        ListenerSet,
        &[("/spec/listeners/0/protocol", json!("TCP")), ("/spec/listeners/0/filters", json!({}))],
    );
}
