//! The path of an HTTPRoute's match, and the changes filters make to paths.

use serde_json::Value;

use super::patterns::is_uri_path;
use crate::schema::path::FieldPath;
use crate::schema::{Look as _, Rule, Schema, blames, goes_with, object, one_of, optional, required, text};

pub(super) fn path_match() -> Schema {
    object([
        optional("type", one_of(&["Exact", "PathPrefix", "RegularExpression"]).default("PathPrefix")),
        optional("value", text().at_most(1024).default("/")),
    ])
    .rules([
        literal("must begin with '/'", "give an absolute path", |path| path.starts_with('/')),
        literal("must not contain \"//\"", "take the empty element out", |path| !path.contains("//")),
        literal("must not contain \"/./\"", "take the element out", |path| !path.contains("/./")),
        literal("must not contain \"/../\"", "write the path it leads to", |path| !path.contains("/../")),
        literal("must not contain \"%2f\"", "use '/', or a regular expression", |path| !path.contains("%2f")),
        literal("must not contain \"%2F\"", "use '/', or a regular expression", |path| !path.contains("%2F")),
        literal("must not contain '#'", "take the fragment out", |path| !path.contains('#')),
        literal("must not end with \"/..\"", "write the path it leads to", |path| !path.ends_with("/..")),
        literal("must not end with \"/.\"", "take the element out", |path| !path.ends_with("/.")),
        literal("has a character no URI path may have", "percent-encode it", is_uri_path),
    ])
}

/// A rule for paths that are compared as they are written.
fn literal(says: &'static str, remedy: &'static str, holds: fn(&str) -> bool) -> Rule {
    blames(says, remedy, move |path: &Value| {
        let literal = matches!(path.text("type"), "Exact" | "PathPrefix");
        (literal && !holds(path.text("value"))).then(|| FieldPath::root().then("value"))
    })
}

/// How a redirect or a rewrite changes the path.
pub(super) fn path_modifier() -> Schema {
    object([
        required("type", one_of(&["ReplaceFullPath", "ReplacePrefixMatch"])),
        optional("replaceFullPath", text().at_most(1024)),
        optional("replacePrefixMatch", text().at_most(1024)),
    ])
    .rules(goes_with("replaceFullPath", "type", "ReplaceFullPath"))
    .rules(goes_with("replacePrefixMatch", "type", "ReplacePrefixMatch"))
}
