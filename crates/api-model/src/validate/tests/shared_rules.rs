//! Rules that several kinds share, at the places the other tests do not reach.

use serde_json::json;

use super::*;
use crate::ResourceKind::{Gateway, GrpcRoute, HttpRoute, ListenerSet, XBackend};

#[test]
fn listeners_of_a_listener_set() {
    refuses(
        ListenerSet,
        &[
            (
                "/spec/listeners/1/tls",
                json!({"mode": "Passthrough"}),
                "spec.listeners[1].tls",
                "mode Terminate",
            ),
            ("/spec/listeners/1/tls", json!({}), "spec.listeners[1].tls.certificateRefs", "at least one"),
            ("/spec/listeners/0/protocol", json!("TLS"), "spec.listeners[0].tls", "protocol TLS"),
        ],
    );
    let tcp = [("/spec/listeners/0/protocol", json!("TCP")), ("/spec/listeners/0/hostname", json!("a"))];
    refuses_all(ListenerSet, &tcp, "spec.listeners[0].hostname", "TCP and UDP");
    let filters = "/spec/listeners/0/filters/requests";
    for (filter, field, says) in [
        (json!({"type": "ExternalAuth"}), "externalAuth", "must be set"),
        (json!({"type": "ExtensionRef"}), "extensionRef", "must be set"),
    ] {
        let place = format!("spec.listeners[0].filters.requests[0].{field}");
        refuses_all(ListenerSet, &[(filters, json!([filter]))], &place, says);
    }
}

#[test]
fn external_auth_of_filters() {
    for (kind, pointer, place) in [
        (HttpRoute, "/spec/rules/0/filters/7/externalAuth", "spec.rules[0].filters[7].externalAuth"),
        (
            Gateway,
            "/spec/listeners/0/filters/requests/1/externalAuth",
            "spec.listeners[0].filters.requests[1].externalAuth",
        ),
    ] {
        for (protocol, set, unset) in [("GRPC", "grpc", "http"), ("HTTP", "http", "grpc")] {
            let auth = |config: Value| {
                let mut auth = json!({"protocol": protocol, "backendRef": {"name": "a", "port": 1}});
                auth.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
                [(pointer, auth)]
            };
            accepts_all(kind, &auth(json!({set: {}})));
            refuses_all(kind, &auth(json!({})), &format!("{place}.{set}"), "must be set");
            refuses_all(
                kind,
                &auth(json!({set: {}, unset: {}})),
                &format!("{place}.{unset}"),
                "must not be set",
            );
            let port = format!("{place}.backendRef.port");
            refuses_all(kind, &auth(json!({set: {}, "backendRef": {"name": "a"}})), &port, "for a Service");
            let xbackend =
                json!({"group": "gateway.networking.x-k8s.io", "kind": "XBackend", "name": "a", "port": 1});
            refuses_all(kind, &auth(json!({set: {}, "backendRef": xbackend})), &port, "XBackend");
        }
    }
}

#[test]
fn paths_of_rewrites() {
    let path = "/spec/rules/0/filters/0/urlRewrite/path";
    let place = "spec.rules[0].filters[0].urlRewrite.path";
    for (modifier, field, says) in [
        (json!({"type": "ReplaceFullPath"}), "replaceFullPath", "must be set"),
        (json!({"type": "ReplacePrefixMatch"}), "replacePrefixMatch", "must be set"),
        (
            json!({"type": "ReplaceFullPath", "replaceFullPath": "/", "replacePrefixMatch": "/"}),
            "replacePrefixMatch",
            "must not be set",
        ),
        (
            json!({"type": "ReplacePrefixMatch", "replaceFullPath": "/", "replacePrefixMatch": "/"}),
            "replaceFullPath",
            "must not be set",
        ),
    ] {
        refuses_all(HttpRoute, &[(path, modifier)], &format!("{place}.{field}"), says);
    }
}

#[test]
fn mirrors() {
    for (kind, index) in [(HttpRoute, 4), (GrpcRoute, 2)] {
        let pointer = format!("/spec/rules/0/filters/{index}/requestMirror");
        let place = format!("spec.rules[0].filters[{index}].requestMirror");
        let backend = json!({"name": "a", "port": 1});
        for (mirror, field, says) in [
            (json!({"backendRef": {"name": "a"}}), "backendRef.port", "for a Service"),
            (
                json!({"backendRef": {"group": "gateway.networking.x-k8s.io", "kind": "XBackend", "name": "a", "port": 1}}),
                "backendRef.port",
                "XBackend",
            ),
            (
                json!({"backendRef": backend, "percent": 1, "fraction": {"numerator": 1}}),
                "fraction",
                "beside percent",
            ),
            (
                json!({"backendRef": backend, "fraction": {"numerator": 3, "denominator": 2}}),
                "fraction.numerator",
                "denominator",
            ),
        ] {
            refuses_all(kind, &[(&pointer, mirror)], &format!("{place}.{field}"), says);
        }
    }
}

#[test]
fn sessions() {
    for (kind, pointer, place) in [
        (GrpcRoute, "/spec/rules/0/sessionPersistence", "spec.rules[0].sessionPersistence"),
        (HttpRoute, "/spec/rules/0/sessionPersistence", "spec.rules[0].sessionPersistence"),
        (XBackend, "/spec/sessionPersistence", "spec.sessionPersistence"),
    ] {
        for (session, field, says) in [
            (json!({}), "cookie", "must be set"),
            (json!({"type": "Header"}), "header", "must be set"),
            (json!({"type": "Header", "header": {"name": "a"}, "cookie": {}}), "cookie", "must not be set"),
            (json!({"cookie": {}, "header": {"name": "a"}}), "header", "must not be set"),
            (json!({"cookie": {"lifetimeType": "Permanent"}}), "absoluteTimeout", "Permanent"),
        ] {
            refuses_all(kind, &[(pointer, session)], &format!("{place}.{field}"), says);
        }
    }
}

#[test]
fn alternative_names_of_an_xbackend() {
    let place = "spec.tls.validation.subjectAltNames[0]";
    for (name, field, says) in [
        (json!({"type": "Hostname"}), "hostname", "must be set"),
        (json!({"type": "URI"}), "uri", "must be set"),
        (json!({"type": "Hostname", "hostname": "a", "uri": "a://b"}), "uri", "must not be set"),
        (json!({"type": "URI", "hostname": "a", "uri": "a://b"}), "hostname", "must not be set"),
    ] {
        let change = [("/spec/tls/validation/subjectAltNames", json!([name]))];
        refuses_all(XBackend, &change, &format!("{place}.{field}"), says);
    }
}
