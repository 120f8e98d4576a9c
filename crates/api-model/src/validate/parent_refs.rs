//! The parents of a route, and the rules that keep them apart.

use serde_json::Value;

use super::references::parent;
use crate::schema::path::FieldPath;
use crate::schema::{Field, Look as _, Schema, blames, list, one_of, optional};

/// The fields every kind of route begins with.
pub(super) fn route_fields() -> [Field; 2] {
    [optional("parentRefs", parent_refs()), optional("useDefaultGateways", one_of(&["All", "None"]))]
}

fn parent_refs() -> Schema {
    list(parent()).at_most(32).rule(blames(
        "names a parent that is there already, and nothing tells the two apart",
        "give each entry of the same parent a sectionName or port of its own",
        |parents| clash(parents.entries()).map(|index| FieldPath::root().then(index)),
    ))
}

/// The first parent that clashes with one before it, when both channels of the API see a clash somewhere.
///
/// Entries of one parent must all have a section name or none, and differ in it; the experimental channel counts the
/// port beside it.
fn clash(parents: &[Value]) -> Option<usize> {
    let first = |clashes: fn(&Value, &Value) -> bool| {
        (1..parents.len()).find(|&later| {
            parents.iter().take(later).any(|earlier| {
                parents.get(later).is_some_and(|later| same_parent(earlier, later) && clashes(earlier, later))
            })
        })
    };
    let by_section = first(|a, b| {
        a.text("sectionName").is_empty()
            || a.text("sectionName") == b.text("sectionName")
            || b.text("sectionName").is_empty()
    });
    let by_section_and_port = first(|a, b| {
        a.text("sectionName").is_empty() != b.text("sectionName").is_empty()
            || a.has("port") != b.has("port")
            || (a.text("sectionName") == b.text("sectionName") && a.number("port") == b.number("port"))
    });
    by_section.and(by_section_and_port)
}

fn same_parent(a: &Value, b: &Value) -> bool {
    ["group", "kind", "name", "namespace"].iter().all(|field| a.text(field) == b.text(field))
}
