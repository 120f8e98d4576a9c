//! Filters of HTTPRoute.

use super::external_auth::external_auth;
use super::filters::{field_name, header_modifier, once, request_mirror};
use super::http_path::path_modifier;
use super::patterns::{DNS_NAME, ORIGIN};
use super::references::{local_object, port};
use crate::schema::{
    Look as _, Rule, Schema, boolean, goes_with, holds, integer, list, object, one_of, one_of_integers,
    optional, required, text,
};

const TYPES: &[&str] = &[
    "RequestHeaderModifier",
    "ResponseHeaderModifier",
    "RequestMirror",
    "RequestRedirect",
    "URLRewrite",
    "ExtensionRef",
    "CORS",
    "ExternalAuth",
];

/// The filters of a rule or of a backend.
pub(super) fn filters() -> Schema {
    list(filter())
        .at_most(16)
        .rule(holds(
            "has both a RequestRedirect and a URLRewrite filter",
            "keep one of them: a redirected request is not rewritten",
            |filters| {
                let any = |of_type| filters.entries().iter().any(|filter| filter.text("type") == of_type);
                !(any("RequestRedirect") && any("URLRewrite"))
            },
        ))
        .rules(
            ["CORS", "RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite"]
                .map(once),
        )
}

fn filter() -> Schema {
    let hostname = || optional("hostname", text().between(1, 253).pattern(DNS_NAME));
    let redirect = object([
        optional("scheme", one_of(&["http", "https"])),
        hostname(),
        optional("path", path_modifier()),
        optional("port", port()),
        optional("statusCode", one_of_integers(&[301, 302, 303, 307, 308]).default(302)),
    ]);
    object([
        required("type", one_of(TYPES)),
        optional("requestHeaderModifier", header_modifier()),
        optional("responseHeaderModifier", header_modifier()),
        optional("requestMirror", request_mirror()),
        optional("requestRedirect", redirect),
        optional("urlRewrite", object([hostname(), optional("path", path_modifier())])),
        optional("cors", cors()),
        optional("externalAuth", external_auth()),
        optional("extensionRef", local_object()),
    ])
    .rules(goes_with("requestHeaderModifier", "type", "RequestHeaderModifier"))
    .rules(goes_with("responseHeaderModifier", "type", "ResponseHeaderModifier"))
    .rules(goes_with("requestMirror", "type", "RequestMirror"))
    .rules(goes_with("requestRedirect", "type", "RequestRedirect"))
    .rules(goes_with("urlRewrite", "type", "URLRewrite"))
    .rules(goes_with("cors", "type", "CORS"))
    .rules(goes_with("externalAuth", "type", "ExternalAuth"))
    .rules(goes_with("extensionRef", "type", "ExtensionRef"))
}

fn cors() -> Schema {
    let method =
        one_of(&["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"]);
    let origin = text().between(1, 253).pattern(ORIGIN);
    object([
        optional("allowOrigins", list(origin).at_most(64).unique().rule(star_stands_alone())),
        optional("allowCredentials", boolean()),
        optional("allowMethods", list(method).at_most(9).unique().rule(star_stands_alone())),
        optional("allowHeaders", list(field_name()).at_most(64).unique().rule(star_stands_alone())),
        optional("exposeHeaders", list(field_name()).at_most(64).unique()),
        optional("maxAge", integer(1, i64::from(i32::MAX)).default(5)),
    ])
}

fn star_stands_alone() -> Rule {
    holds("has \"*\" beside other entries", "keep \"*\" alone, or the others without it", |list| {
        let entries = list.entries();
        entries.len() <= 1 || !entries.iter().any(|entry| entry.as_str() == Some("*"))
    })
}
