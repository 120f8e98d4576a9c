//! HTTPRoute.

use serde_json::{Value, json};

use super::KindSchema;
use super::filters::{field_name, total_matches, unique_rule_names};
use super::http_path::path_match;
use super::http_route_filters::filters;
use super::metadata::namespaced;
use super::parent_refs::route_fields;
use super::patterns::{DNS_NAME_OR_WILDCARD, DURATION};
use super::references::{backend, section_name};
use super::session_persistence::session_persistence;
use super::status::route_status;
use crate::ApiDuration;
use crate::schema::path::FieldPath;
use crate::schema::{
    Look as _, Rule, Schema, blames, integer, list, object, one_of, optional, required, text,
};

pub(super) fn schema() -> KindSchema {
    let everything = json!([{"path": {"type": "PathPrefix", "value": "/"}}]);
    let rules = list(rule(&everything))
        .between(1, 16)
        .default(json!([{"matches": everything}]))
        .rules([unique_rule_names(), total_matches()]);
    let hostname = text().between(1, 253).pattern(DNS_NAME_OR_WILDCARD);
    let own = [optional("hostnames", list(hostname).at_most(16)), optional("rules", rules)];
    KindSchema::new(namespaced(), object(route_fields().into_iter().chain(own))).status(route_status())
}

fn rule(everything: &Value) -> Schema {
    let matches = list(route_match()).at_most(64).default(everything.clone());
    let backend = backend([optional("filters", filters())]);
    object([
        optional("name", section_name()),
        optional("matches", matches),
        optional("filters", filters()),
        optional("backendRefs", list(backend).at_most(16)),
        optional("timeouts", timeouts()),
        optional("retry", retry()),
        optional("sessionPersistence", session_persistence()),
    ])
    .rule(blames(
        "must not be set beside a RequestRedirect filter: a redirected request reaches no backend",
        "take the backends out, or the filter",
        |rule| {
            let redirects = rule.list("filters").iter().any(|filter| filter.has("requestRedirect"));
            (redirects && !rule.list("backendRefs").is_empty()).then(|| FieldPath::root().then("backendRefs"))
        },
    ))
    .rules(["requestRedirect", "urlRewrite"].map(prefix_in_rule))
    .rules(["requestRedirect", "urlRewrite"].map(prefix_in_backend))
}

/// ReplacePrefixMatch has one prefix to replace only where the rule has one match, of type PathPrefix.
fn prefix_in_rule(filter: &'static str) -> Rule {
    blames(PREFIX_SAYS, PREFIX_REMEDY, move |rule| {
        let broken = replaces_prefix(rule.list("filters"), filter) && !has_one_prefix(rule);
        broken.then(|| FieldPath::root().then("matches"))
    })
}

/// The same for filters of backends. As the API has it, the rule looks only where one backend alone has such a filter.
fn prefix_in_backend(filter: &'static str) -> Rule {
    blames(PREFIX_SAYS, PREFIX_REMEDY, move |rule| {
        let replacing = |backend: &&Value| replaces_prefix(backend.list("filters"), filter);
        let broken = rule.list("backendRefs").iter().filter(replacing).count() == 1 && !has_one_prefix(rule);
        broken.then(|| FieldPath::root().then("matches"))
    })
}

const PREFIX_SAYS: &str =
    "must be exactly one match of type PathPrefix beside a filter with replacePrefixMatch";
const PREFIX_REMEDY: &str = "split the rule, or use replaceFullPath";

fn replaces_prefix(filters: &[Value], filter: &str) -> bool {
    let replaces = |path: &Value| path.text("type") == "ReplacePrefixMatch" && path.has("replacePrefixMatch");
    let replacing = |each: &&Value| each.get(filter).and_then(|it| it.get("path")).is_some_and(replaces);
    filters.iter().filter(replacing).count() == 1
}

fn has_one_prefix(rule: &Value) -> bool {
    match rule.list("matches") {
        [only] => only.get("path").is_some_and(|path| path.text("type") == "PathPrefix"),
        _ => false,
    }
}

fn route_match() -> Schema {
    let compared = || optional("type", one_of(&["Exact", "RegularExpression"]).default("Exact"));
    let header =
        object([compared(), required("name", field_name()), required("value", text().between(1, 4096))]);
    let parameter =
        object([compared(), required("name", field_name()), required("value", text().between(1, 1024))]);
    let method = one_of(&["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]);
    object([
        optional("path", path_match().default(json!({"type": "PathPrefix", "value": "/"}))),
        optional("headers", list(header).at_most(16).unique_by("name")),
        optional("queryParams", list(parameter).at_most(16).unique_by("name")),
        optional("method", method),
    ])
}

fn timeouts() -> Schema {
    let duration = || text().pattern(DURATION);
    object([optional("request", duration()), optional("backendRequest", duration())]).rule(blames(
        "must not be longer than the request timeout",
        "shorten it, or lengthen request",
        |timeouts| {
            let length = |field| ApiDuration::from(timeouts.text(field)).to_duration();
            let broken = match (length("request"), length("backendRequest")) {
                (Some(whole), Some(each)) => !whole.is_zero() && each > whole,
                _ => false,
            };
            broken.then(|| FieldPath::root().then("backendRequest"))
        },
    ))
}

fn retry() -> Schema {
    object([
        optional("codes", list(integer(400, 599)).unique()),
        optional("attempts", integer(0, i64::from(i32::MAX)).default(1)),
        optional("backoff", text().pattern(DURATION)),
    ])
}
