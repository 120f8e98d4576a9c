//! Filters of HTTPRoute.

use serde_json::json;

use super::*;
use crate::ResourceKind::HttpRoute;

#[test]
fn filters() {
    let at = "spec.rules[0].filters";
    refuses(
        HttpRoute,
        &[
            ("/spec/rules/0/filters/-", json!({"type": "Log"}), &format!("{at}[8].type"), "\"CORS\""),
            (
                "/spec/rules/0/filters/-",
                json!({"type": "CORS", "cors": {}}),
                &format!("{at}[8]"),
                "second CORS",
            ),
            (
                "/spec/rules/0/filters/-",
                json!({"type": "URLRewrite", "urlRewrite": {}}),
                &format!("{at}[8]"),
                "second URLRewrite",
            ),
            (
                "/spec/rules/0/filters/-",
                json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {}}),
                &format!("{at}[8]"),
                "second RequestHeaderModifier",
            ),
            (
                "/spec/rules/0/filters/-",
                json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": {}}),
                &format!("{at}[8]"),
                "second ResponseHeaderModifier",
            ),
            (
                "/spec/rules/1/filters/-",
                json!({"type": "RequestRedirect", "requestRedirect": {}}),
                "spec.rules[1].filters[1]",
                "second RequestRedirect",
            ),
            (
                "/spec/rules/0/filters/-",
                json!({"type": "RequestRedirect", "requestRedirect": {}}),
                at,
                "both a RequestRedirect and a URLRewrite",
            ),
            ("/spec/rules/0/filters", many(17, |_| json!({"type": "RequestMirror"})), at, "at most 16"),
            (
                "/spec/rules/0/backendRefs/0/filters/-",
                json!({"type": "CORS"}),
                "spec.rules[0].backendRefs[0].filters[1].cors",
                "must be set",
            ),
        ],
    );
    for (index, field) in [
        (0, "urlRewrite"),
        (1, "requestHeaderModifier"),
        (2, "responseHeaderModifier"),
        (3, "requestMirror"),
        (5, "cors"),
        (6, "extensionRef"),
        (7, "externalAuth"),
    ] {
        let pointer = format!("/spec/rules/0/filters/{index}/{field}");
        let place = format!("{at}[{index}].{field}");
        refuses_all(HttpRoute, &[(&pointer, Value::Null)], &place, "must be set when type");
        let other = if field == "extensionRef" { "RequestMirror" } else { "ExtensionRef" };
        let pointer = format!("/spec/rules/0/filters/{index}/type");
        refuses_all(HttpRoute, &[(&pointer, json!(other))], &place, "must not be set unless");
    }
    refuses_all(
        HttpRoute,
        &[("/spec/rules/1/filters/0/requestRedirect", Value::Null)],
        "spec.rules[1].filters[0].requestRedirect",
        "must be set when type",
    );
    refuses_all(
        HttpRoute,
        &[("/spec/rules/1/filters/0/type", json!("ExtensionRef"))],
        "spec.rules[1].filters[0].requestRedirect",
        "must not be set unless",
    );
}

#[test]
fn filter_contents() {
    let case = |pointer: &str, value: Value, field: &str, says: &str| {
        refuses_all(
            HttpRoute,
            &[(&format!("/spec/rules/{pointer}"), value)],
            &format!("spec.rules{field}"),
            says,
        );
    };
    let headers = "0/filters/1/requestHeaderModifier";
    let at = "[0].filters[1].requestHeaderModifier";
    case(&format!("{headers}/set/0/name"), json!("a:"), &format!("{at}.set[0].name"), "token");
    case(&format!("{headers}/set/0/value"), json!(""), &format!("{at}.set[0].value"), "empty");
    case(
        &format!("{headers}/set/-"),
        json!({"name": "a", "value": "c"}),
        &format!("{at}.set[1].name"),
        "there already",
    );
    case(
        &format!("{headers}/add/-"),
        json!({"name": "a", "value": "c"}),
        &format!("{at}.add[1].name"),
        "there already",
    );
    case(&format!("{headers}/remove/-"), json!("c"), &format!("{at}.remove[1]"), "there already");
    case(
        &format!("{headers}/remove"),
        many(17, |n| json!(n.to_string())),
        &format!("{at}.remove"),
        "at most 16",
    );

    let (mirror, at) = ("0/filters/3/requestMirror", "[0].filters[3].requestMirror");
    case(&format!("{mirror}/percent"), json!(10), &format!("{at}.fraction"), "beside percent");
    case(
        &format!("{mirror}/fraction/numerator"),
        json!(101),
        &format!("{at}.fraction.numerator"),
        "denominator",
    );
    case(
        &format!("{mirror}/fraction/numerator"),
        json!(-1),
        &format!("{at}.fraction.numerator"),
        "0 or more",
    );
    case(
        &format!("{mirror}/fraction/denominator"),
        json!(0),
        &format!("{at}.fraction.denominator"),
        "1 or more",
    );
    case(
        &format!("{mirror}/backendRef/port"),
        Value::Null,
        &format!("{at}.backendRef.port"),
        "for a Service",
    );
    case(
        "0/filters/4/requestMirror/percent",
        json!(101),
        "[0].filters[4].requestMirror.percent",
        "between 0 and 100",
    );

    let (cors, at) = ("0/filters/5/cors", "[0].filters[5].cors");
    for list in ["allowOrigins", "allowMethods"] {
        let entry = if list == "allowOrigins" { "https://a.example" } else { "GET" };
        case(&format!("{cors}/{list}"), json!(["*", entry]), &format!("{at}.{list}"), "beside other entries");
        case(&format!("{cors}/{list}"), json!([entry, entry]), &format!("{at}.{list}[1]"), "there already");
    }
    case(
        &format!("{cors}/allowHeaders"),
        json!(["*", "a"]),
        &format!("{at}.allowHeaders"),
        "beside other entries",
    );
    case(&format!("{cors}/allowHeaders"), json!(["a b"]), &format!("{at}.allowHeaders[0]"), "token");
    case(&format!("{cors}/exposeHeaders"), json!(["a b"]), &format!("{at}.exposeHeaders[0]"), "token");
    case(&format!("{cors}/allowMethods"), json!(["get"]), &format!("{at}.allowMethods[0]"), "\"GET\"");
    case(&format!("{cors}/allowOrigins"), json!(["example.com"]), &format!("{at}.allowOrigins[0]"), "origin");
    case(&format!("{cors}/maxAge"), json!(0), &format!("{at}.maxAge"), "1 or more");

    let (redirect, at) = ("1/filters/0/requestRedirect", "[1].filters[0].requestRedirect");
    case(&format!("{redirect}/scheme"), json!("ftp"), &format!("{at}.scheme"), "\"http\" or \"https\"");
    case(&format!("{redirect}/hostname"), json!("*.a"), &format!("{at}.hostname"), "DNS name");
    case(&format!("{redirect}/port"), json!(0), &format!("{at}.port"), "between 1 and 65535");
    case(
        &format!("{redirect}/statusCode"),
        json!(200),
        &format!("{at}.statusCode"),
        "301, 302, 303, 307 or 308",
    );
    case(
        &format!("{redirect}/path/type"),
        json!("ReplacePrefixMatch"),
        &format!("{at}.path.replacePrefixMatch"),
        "must be set",
    );
    case(
        &format!("{redirect}/path/type"),
        json!("ReplacePrefixMatch"),
        &format!("{at}.path.replaceFullPath"),
        "must not be set",
    );
    case(
        &format!("{redirect}/path/replaceFullPath"),
        Value::Null,
        &format!("{at}.path.replaceFullPath"),
        "must be set",
    );
    case(
        &format!("{redirect}/path/replacePrefixMatch"),
        json!("/"),
        &format!("{at}.path.replacePrefixMatch"),
        "must not be set",
    );
    case(
        &format!("{redirect}/path/replaceFullPath"),
        letters(1025),
        &format!("{at}.path.replaceFullPath"),
        "at most 1024",
    );
}
