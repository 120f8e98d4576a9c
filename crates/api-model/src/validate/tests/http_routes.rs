//! HTTPRoute.

use serde_json::json;

use super::*;
use crate::ResourceKind::HttpRoute;

#[test]
fn parents_and_hostnames() {
    refuses(
        HttpRoute,
        &[
            ("/spec/parentRefs/0/name", Value::Null, "spec.parentRefs[0].name", "required"),
            ("/spec/parentRefs/0/sectionName", json!("A"), "spec.parentRefs[0].sectionName", "DNS name"),
            ("/spec/parentRefs/0/port", json!(0), "spec.parentRefs[0].port", "between 1 and 65535"),
            ("/spec/parentRefs/0/group", json!("A"), "spec.parentRefs[0].group", "API group"),
            ("/spec/parentRefs/0/namespace", json!("a.b"), "spec.parentRefs[0].namespace", "DNS label"),
            (
                "/spec/parentRefs/1/sectionName",
                json!("http"),
                "spec.parentRefs[1]",
                "nothing tells the two apart",
            ),
            (
                "/spec/parentRefs/1/sectionName",
                Value::Null,
                "spec.parentRefs[1]",
                "nothing tells the two apart",
            ),
            (
                "/spec/parentRefs",
                many(33, |n| json!({"name": format!("g{n}")})),
                "spec.parentRefs",
                "at most 32",
            ),
            ("/spec/hostnames/0", json!(""), "spec.hostnames[0]", "empty"),
            ("/spec/hostnames/0", json!("*"), "spec.hostnames[0]", "DNS name"),
            ("/spec/hostnames/0", json!("A.example"), "spec.hostnames[0]", "lower case"),
            ("/spec/hostnames/0", json!("a.example:80"), "spec.hostnames[0]", "DNS name"),
            ("/spec/hostnames", many(17, |n| json!(format!("h{n}"))), "spec.hostnames", "at most 16"),
            ("/spec/useDefaultGateways", json!("Yes"), "spec.useDefaultGateways", "\"All\" or \"None\""),
        ],
    );
    accepts(
        HttpRoute,
        &[
            (
                "/spec/parentRefs",
                json!([{"name": "a"}, {"name": "a", "namespace": "b"}, {"name": "a", "kind": "ListenerSet"}]),
            ),
            // The experimental channel takes entries that differ in the port alone, the standard channel those that
            // differ in the section name alone.
            ("/spec/parentRefs", json!([{"name": "a", "port": 80}, {"name": "a", "port": 81}])),
            (
                "/spec/parentRefs",
                json!([{"name": "a", "sectionName": "x", "port": 80}, {"name": "a", "sectionName": "y"}]),
            ),
        ],
    );
}

#[test]
fn rules() {
    let redirect = json!([{"type": "RequestRedirect", "requestRedirect": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}]);
    let rewrite = json!([{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}]);
    let two = json!([{"path": {"value": "/a"}}, {"path": {"value": "/b"}}]);
    refuses(
        HttpRoute,
        &[
            ("/spec/rules", json!([]), "spec.rules", "at least 1"),
            ("/spec/rules", many(17, |_| json!({})), "spec.rules", "at most 16"),
            ("/spec/rules/0/name", json!("A"), "spec.rules[0].name", "DNS name"),
            ("/spec/rules/1/name", json!("first"), "spec.rules[1].name", "name of a rule before it"),
            ("/spec/rules/0/matches", many(65, |_| json!({})), "spec.rules[0].matches", "at most 64"),
            (
                "/spec/rules",
                many(3, |_| json!({"matches": many(43, |_| json!({}))})),
                "spec.rules",
                "more than 128 matches",
            ),
            (
                "/spec/rules/1/backendRefs",
                json!([{"name": "a", "port": 1}]),
                "spec.rules[1].backendRefs",
                "redirected",
            ),
            ("/spec/rules/0/matches", two.clone(), "spec.rules[0].matches", "exactly one match"),
            (
                "/spec/rules/0/matches/0/path/type",
                json!("Exact"),
                "spec.rules[0].matches",
                "exactly one match",
            ),
            ("/spec/rules/1/filters", redirect.clone(), "spec.rules[1].matches", "exactly one match"),
            (
                "/spec/rules/1",
                json!({"matches": two.clone(), "backendRefs": [{"name": "a", "port": 1, "filters": rewrite.clone()}]}),
                "spec.rules[1].matches",
                "exactly one match",
            ),
            (
                "/spec/rules/1",
                json!({"matches": two.clone(), "backendRefs": [{"name": "a", "port": 1, "filters": redirect.clone()}]}),
                "spec.rules[1].matches",
                "exactly one match",
            ),
            (
                "/spec/rules/0/backendRefs/0/port",
                Value::Null,
                "spec.rules[0].backendRefs[0].port",
                "for a Service",
            ),
            ("/spec/rules/0/backendRefs/1/port", json!(80), "spec.rules[0].backendRefs[1].port", "XBackend"),
            (
                "/spec/rules/0/backendRefs/0/weight",
                json!(-1),
                "spec.rules[0].backendRefs[0].weight",
                "between 0 and 1000000",
            ),
            (
                "/spec/rules/0/backendRefs/0/weight",
                json!(1_000_001),
                "spec.rules[0].backendRefs[0].weight",
                "between 0 and 1000000",
            ),
            (
                "/spec/rules/0/backendRefs",
                many(17, |_| json!({"name": "a", "port": 1})),
                "spec.rules[0].backendRefs",
                "at most 16",
            ),
            ("/spec/rules/0/timeouts/request", json!("10"), "spec.rules[0].timeouts.request", "duration"),
            (
                "/spec/rules/0/timeouts/request",
                json!("1s"),
                "spec.rules[0].timeouts.backendRequest",
                "longer",
            ),
            (
                "/spec/rules/0/retry/codes",
                json!([399]),
                "spec.rules[0].retry.codes[0]",
                "between 400 and 599",
            ),
            ("/spec/rules/0/retry/codes", json!([500, 500]), "spec.rules[0].retry.codes[1]", "there already"),
            ("/spec/rules/0/retry/attempts", json!(-1), "spec.rules[0].retry.attempts", "0 or more"),
            ("/spec/rules/0/retry/backoff", json!("1d"), "spec.rules[0].retry.backoff", "duration"),
        ],
    );
    accepts(
        HttpRoute,
        &[
            ("/spec/rules", Value::Null),
            ("/spec/rules/0/timeouts", json!({"request": "0s", "backendRequest": "1h"})),
            ("/spec/rules/0/timeouts", json!({"request": "1s", "backendRequest": "1000ms"})),
            ("/spec/rules/0/backendRefs/0", json!({"group": "example.com", "kind": "Bucket", "name": "B!"})),
            ("/spec/rules", many(2, |_| json!({"matches": many(64, |_| json!({}))}))),
            // Two backends that replace a prefix escape the rule of the API, which looks for one alone.
            (
                "/spec/rules/1",
                json!({"matches": two, "backendRefs": [
                {"name": "a", "port": 1, "filters": rewrite}, {"name": "b", "port": 1, "filters": rewrite}]}),
            ),
            ("/spec/rules/0/retry", json!({"attempts": 0})),
        ],
    );
}

#[test]
fn matches() {
    let at = "spec.rules[0].matches[0]";
    for (pointer, value, field, says) in [
        ("path/type", json!("Prefix"), "path.type", "\"PathPrefix\""),
        ("path/value", json!("shop"), "path.value", "begin with '/'"),
        ("path/value", json!("/a//b"), "path.value", "\"//\""),
        ("path/value", json!("/a/./b"), "path.value", "\"/./\""),
        ("path/value", json!("/a/../b"), "path.value", "\"/../\""),
        ("path/value", json!("/a%2fb"), "path.value", "%2f"),
        ("path/value", json!("/a%2Fb"), "path.value", "%2F"),
        ("path/value", json!("/a#b"), "path.value", "'#'"),
        ("path/value", json!("/a/.."), "path.value", "end with \"/..\""),
        ("path/value", json!("/a/."), "path.value", "end with \"/.\""),
        ("path/value", json!("/a b"), "path.value", "no URI path"),
        ("path/value", json!("/a%zz"), "path.value", "no URI path"),
        ("path/value", letters(1025), "path.value", "at most 1024"),
        ("method", json!("get"), "method", "\"GET\""),
        ("headers/0/name", json!("a b"), "headers[0].name", "token"),
        ("headers/0/name", letters(257), "headers[0].name", "at most 256"),
        ("headers/0/value", json!(""), "headers[0].value", "empty"),
        ("headers/0/value", letters(4097), "headers[0].value", "at most 4096"),
        ("headers/0/type", json!("Prefix"), "headers[0].type", "\"Exact\""),
        ("headers/1/name", json!("X-A"), "headers[1].name", "there already"),
        ("headers", many(17, |n| json!({"name": format!("h{n}"), "value": "v"})), "headers", "at most 16"),
        ("queryParams/0/name", json!("a b"), "queryParams[0].name", "token"),
        ("queryParams/0/value", json!(""), "queryParams[0].value", "empty"),
        ("queryParams/0/value", letters(1025), "queryParams[0].value", "at most 1024"),
        ("queryParams/0/type", json!("Prefix"), "queryParams[0].type", "\"Exact\""),
        (
            "queryParams",
            json!([{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]),
            "queryParams[1].name",
            "there already",
        ),
        (
            "queryParams",
            many(17, |n| json!({"name": format!("q{n}"), "value": "v"})),
            "queryParams",
            "at most 16",
        ),
    ] {
        refuses_all(
            HttpRoute,
            &[(&format!("/spec/rules/0/matches/0/{pointer}"), value)],
            &format!("{at}.{field}"),
            says,
        );
    }
    accepts(
        HttpRoute,
        &[
            ("/spec/rules/0/matches/0/path/value", json!("/%41/a.b/..c/~$&'()*+,;=:@")),
            ("/spec/rules/0/matches/0/headers/0/value", json!("two  spaces, as the standard channel has it")),
            ("/spec/rules/1/matches/0/path/value", json!("(a|b)//../%2F#")),
        ],
    );
}

#[test]
fn session_persistence() {
    let at = "spec.rules[0].sessionPersistence";
    for (pointer, value, field, says) in [
        ("cookie", Value::Null, "cookie", "must be set"),
        ("header", json!({"name": "a"}), "header", "must not be set"),
        ("type", json!("Header"), "cookie", "must not be set"),
        ("type", json!("Header"), "header", "must be set"),
        ("type", json!("Query"), "type", "\"Cookie\" or \"Header\""),
        ("absoluteTimeout", Value::Null, "absoluteTimeout", "Permanent"),
        ("absoluteTimeout", json!("1w"), "absoluteTimeout", "duration"),
        ("cookie/name", json!("a="), "cookie.name", "token"),
        ("cookie/path", letters(1025), "cookie.path", "at most 1024"),
        ("cookie/lifetimeType", json!("Ever"), "cookie.lifetimeType", "\"Permanent\" or \"Session\""),
    ] {
        let pointer = format!("/spec/rules/0/sessionPersistence/{pointer}");
        refuses_all(HttpRoute, &[(&pointer, value)], &format!("{at}.{field}"), says);
    }
}
