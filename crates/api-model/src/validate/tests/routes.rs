//! GRPCRoute, TLSRoute, TCPRoute, UDPRoute, ReferenceGrant.

use serde_json::json;

use super::*;
use crate::ResourceKind::{GrpcRoute, ReferenceGrant, TcpRoute, TlsRoute, UdpRoute};

#[test]
fn grpc_route() {
    refuses(
        GrpcRoute,
        &[
            ("/spec/hostnames/0", json!("A"), "spec.hostnames[0]", "DNS name"),
            ("/spec/rules", many(17, |_| json!({})), "spec.rules", "at most 16"),
            ("/spec/rules/1/name", json!("one"), "spec.rules[1].name", "name of a rule before it"),
            (
                "/spec/rules",
                many(3, |_| json!({"matches": many(43, |_| json!({}))})),
                "spec.rules",
                "more than 128 matches",
            ),
            ("/spec/rules/0/matches", many(65, |_| json!({})), "spec.rules[0].matches", "at most 64"),
            (
                "/spec/rules/0/matches/0/method",
                json!({}),
                "spec.rules[0].matches[0].method",
                "a service, a method or both",
            ),
            (
                "/spec/rules/0/matches/0/method/service",
                json!("a/b"),
                "spec.rules[0].matches[0].method.service",
                "gRPC service",
            ),
            (
                "/spec/rules/0/matches/0/method/service",
                json!("a..b"),
                "spec.rules[0].matches[0].method.service",
                "gRPC service",
            ),
            (
                "/spec/rules/0/matches/0/method/method",
                json!("a.b"),
                "spec.rules[0].matches[0].method.method",
                "gRPC method",
            ),
            (
                "/spec/rules/0/matches/0/method/method",
                json!("9a"),
                "spec.rules[0].matches[0].method.method",
                "gRPC method",
            ),
            (
                "/spec/rules/0/matches/0/method/method",
                letters(1025),
                "spec.rules[0].matches[0].method.method",
                "at most 1024",
            ),
            (
                "/spec/rules/0/matches/0/method/type",
                json!("Prefix"),
                "spec.rules[0].matches[0].method.type",
                "\"Exact\"",
            ),
            (
                "/spec/rules/0/matches/0/headers/-",
                json!({"name": "a", "value": "c"}),
                "spec.rules[0].matches[0].headers[1].name",
                "there already",
            ),
            (
                "/spec/rules/0/filters/0/requestHeaderModifier",
                Value::Null,
                "spec.rules[0].filters[0].requestHeaderModifier",
                "must be set",
            ),
            (
                "/spec/rules/0/filters/1/responseHeaderModifier",
                Value::Null,
                "spec.rules[0].filters[1].responseHeaderModifier",
                "must be set",
            ),
            (
                "/spec/rules/0/filters/2/requestMirror",
                Value::Null,
                "spec.rules[0].filters[2].requestMirror",
                "must be set",
            ),
            (
                "/spec/rules/0/filters/3/extensionRef",
                Value::Null,
                "spec.rules[0].filters[3].extensionRef",
                "must be set",
            ),
            (
                "/spec/rules/0/filters/0/type",
                json!("RequestMirror"),
                "spec.rules[0].filters[0].requestHeaderModifier",
                "must not be set",
            ),
            (
                "/spec/rules/0/filters/1/type",
                json!("RequestMirror"),
                "spec.rules[0].filters[1].responseHeaderModifier",
                "must not be set",
            ),
            (
                "/spec/rules/0/filters/2/type",
                json!("ExtensionRef"),
                "spec.rules[0].filters[2].requestMirror",
                "must not be set",
            ),
            (
                "/spec/rules/0/filters/3/type",
                json!("RequestMirror"),
                "spec.rules[0].filters[3].extensionRef",
                "must not be set",
            ),
            (
                "/spec/rules/0/filters/0/type",
                json!("URLRewrite"),
                "spec.rules[0].filters[0].type",
                "\"ExtensionRef\"",
            ),
            (
                "/spec/rules/0/filters/-",
                json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {}}),
                "spec.rules[0].filters[4]",
                "second",
            ),
            (
                "/spec/rules/0/filters/-",
                json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": {}}),
                "spec.rules[0].filters[4]",
                "second",
            ),
            (
                "/spec/rules/0/backendRefs/0/port",
                Value::Null,
                "spec.rules[0].backendRefs[0].port",
                "for a Service",
            ),
            (
                "/spec/rules/0/sessionPersistence/header",
                Value::Null,
                "spec.rules[0].sessionPersistence.header",
                "must be set",
            ),
            ("/spec/rules/0/timeouts", json!({}), "spec.rules[0].timeouts", "unknown field"),
            (
                "/spec/parentRefs/-",
                json!({"name": "edge"}),
                "spec.parentRefs[1]",
                "nothing tells the two apart",
            ),
        ],
    );
    accepts(
        GrpcRoute,
        &[
            ("/spec/rules", json!([])),
            ("/spec/rules/0/matches/0/method/service", json!(".A.b_c.D9")),
            ("/spec/rules/0/matches/1/method/service", json!("a/.*")),
        ],
    );
}

#[test]
fn stream_routes() {
    for kind in [TlsRoute, TcpRoute, UdpRoute] {
        refuses(
            kind,
            &[
                ("/spec/rules", Value::Null, "spec.rules", "required"),
                ("/spec/rules", json!([]), "spec.rules", "at least 1"),
                (
                    "/spec/rules",
                    many(2, |_| json!({"backendRefs": [{"name": "a", "port": 1}]})),
                    "spec.rules",
                    "at most 1 ",
                ),
                ("/spec/rules/0/backendRefs", Value::Null, "spec.rules[0].backendRefs", "required"),
                ("/spec/rules/0/backendRefs", json!([]), "spec.rules[0].backendRefs", "at least 1"),
                (
                    "/spec/rules/0/backendRefs",
                    many(17, |_| json!({"name": "a", "port": 1})),
                    "spec.rules[0].backendRefs",
                    "at most 16",
                ),
                (
                    "/spec/rules/0/backendRefs/0/port",
                    Value::Null,
                    "spec.rules[0].backendRefs[0].port",
                    "for a Service",
                ),
                (
                    "/spec/rules/0/backendRefs/0/filters",
                    json!([]),
                    "spec.rules[0].backendRefs[0].filters",
                    "unknown field",
                ),
                ("/spec/rules/0/name", json!("A"), "spec.rules[0].name", "DNS name"),
                (
                    "/spec/parentRefs",
                    json!([{"name": "a"}, {"name": "a"}]),
                    "spec.parentRefs[1]",
                    "nothing tells the two apart",
                ),
            ],
        );
    }
    refuses(
        TlsRoute,
        &[
            ("/spec/hostnames", Value::Null, "spec.hostnames", "required"),
            ("/spec/hostnames", json!([]), "spec.hostnames", "at least 1"),
            ("/spec/hostnames/0", json!("192.0.2.1"), "spec.hostnames[0]", "IP address"),
            ("/spec/hostnames/0", json!("a.*.b"), "spec.hostnames[0]", "DNS name"),
            ("/spec/hostnames/0", json!("a_b"), "spec.hostnames[0]", "DNS name"),
            ("/spec/hostnames", many(1025, |n| json!(format!("h{n}"))), "spec.hostnames", "at most 1024"),
        ],
    );
    refuses(TcpRoute, &[("/spec/hostnames", json!(["a"]), "spec.hostnames", "unknown field")]);
}

#[test]
fn stream_routes_v1alpha2() {
    let rule = |name: &str| json!({"name": name, "backendRefs": [{"name": "a", "port": 1}]});
    let check = |kind, json: &mut Value| KindSchema::of(kind, "v1alpha2").check(json);
    for kind in [TlsRoute, TcpRoute, UdpRoute] {
        let mut two = changed(
            kind,
            &[("/spec/rules", json!([rule("a"), rule("b")])), ("/spec/hostnames", Value::Null)],
        );
        assert_eq!(check(kind, &mut two), []);
        let mut same = changed(kind, &[("/spec/rules", json!([rule("a"), rule("a")]))]);
        assert_eq!(check(kind, &mut same)[0].field(), "spec.rules[1].name");
        let mut many = changed(kind, &[("/spec/rules", many(17, |n| rule(&format!("r{n}"))))]);
        assert_eq!(check(kind, &mut many)[0].field(), "spec.rules");
    }
    let mut address = changed(TlsRoute, &[("/spec/hostnames/0", json!("192.0.2.1"))]);
    assert_eq!(check(TlsRoute, &mut address), [], "v1alpha2 had no rule against addresses");
}

#[test]
fn reference_grant() {
    refuses(
        ReferenceGrant,
        &[
            ("/spec/from", json!([]), "spec.from", "at least 1"),
            ("/spec/to", json!([]), "spec.to", "at least 1"),
            (
                "/spec/from",
                many(17, |_| json!({"group": "", "kind": "A", "namespace": "b"})),
                "spec.from",
                "at most 16",
            ),
            ("/spec/to", many(17, |_| json!({"group": "", "kind": "A"})), "spec.to", "at most 16"),
            ("/spec/from/0/group", Value::Null, "spec.from[0].group", "required"),
            ("/spec/from/0/kind", Value::Null, "spec.from[0].kind", "required"),
            ("/spec/from/0/namespace", Value::Null, "spec.from[0].namespace", "required"),
            ("/spec/from/0/namespace", json!("*"), "spec.from[0].namespace", "DNS label"),
            ("/spec/to/0/group", Value::Null, "spec.to[0].group", "required"),
            ("/spec/to/0/kind", json!("a b"), "spec.to[0].kind", "kind"),
            ("/spec/to/0/name", json!(""), "spec.to[0].name", "empty"),
            ("/spec/to/0/namespace", json!("x"), "spec.to[0].namespace", "unknown field"),
        ],
    );
}
