//! BackendTLSPolicy, and the part of it that XBackend shares.

use serde_json::Value;

use super::KindSchema;
use super::metadata::namespaced;
use super::patterns::{ABSOLUTE_URI, DNS_NAME, DNS_NAME_OR_WILDCARD, WELL_KNOWN_CA};
use super::references::{local_object, options, policy_target};
use super::status::policy_status;
use crate::schema::path::FieldPath;
use crate::schema::{
    Look as _, Schema, blames, goes_with, holds, list, object, one_of, optional, required, text,
};

pub(super) fn schema() -> KindSchema {
    let targets = list(policy_target()).between(1, 16).rule(blames(
        "names a target that is there already, and nothing tells the two apart",
        "give each entry of the same target a sectionName of its own",
        |targets| clash(targets.entries()).map(|index| FieldPath::root().then(index)),
    ));
    // As the standard channel has it: an empty list counts as absent.
    let validation = validation(0).rules([
        holds(BOTH, ONE_OF_TWO, |v| v.list(REFS).is_empty() || v.text(WELL_KNOWN).is_empty()),
        holds(NEITHER, ONE_OF_TWO, |v| !v.list(REFS).is_empty() || !v.text(WELL_KNOWN).is_empty()),
    ]);
    let spec = object([
        required("targetRefs", targets),
        required("validation", validation),
        optional("options", options()),
    ]);
    KindSchema::new(namespaced(), spec).status(policy_status())
}

const REFS: &str = "caCertificateRefs";
const WELL_KNOWN: &str = "wellKnownCACertificates";
const BOTH: &str = "has both caCertificateRefs and wellKnownCACertificates";
const NEITHER: &str = "has neither caCertificateRefs nor wellKnownCACertificates";
const ONE_OF_TWO: &str = "give one of the two: there must be one source of trust";

/// The first target that clashes with one before it: of entries of one target, all have a section name, and each its
/// own.
fn clash(targets: &[Value]) -> Option<usize> {
    let same =
        |a: &Value, b: &Value| ["group", "kind", "name"].iter().all(|field| a.text(field) == b.text(field));
    let apart = |a: &Value, b: &Value| {
        let (a, b) = (a.text("sectionName"), b.text("sectionName"));
        !a.is_empty() && !b.is_empty() && a != b
    };
    (0..targets.len()).find(|&later| {
        targets.iter().take(later).any(|earlier| {
            targets.get(later).is_some_and(|later| same(earlier, later) && !apart(earlier, later))
        })
    })
}

/// What a backend must prove, as XBackend has it: one of the two sources is there, the other is not.
pub(super) fn strict_validation() -> Schema {
    validation(1).rules([
        holds(BOTH, ONE_OF_TWO, |v| !v.has(REFS) || !v.has(WELL_KNOWN)),
        holds(NEITHER, ONE_OF_TWO, |v| v.has(REFS) || v.has(WELL_KNOWN)),
    ])
}

fn validation(least_refs: usize) -> Schema {
    let name = object([
        required("type", one_of(&["Hostname", "URI"])),
        optional("hostname", text().between(1, 253).pattern(DNS_NAME_OR_WILDCARD)),
        optional("uri", text().between(1, 253).pattern(ABSOLUTE_URI)),
    ])
    .rules(goes_with("hostname", "type", "Hostname"))
    .rules(goes_with("uri", "type", "URI"));
    object([
        optional(REFS, list(local_object()).between(least_refs, 8)),
        optional(WELL_KNOWN, text().between(1, 253).pattern(WELL_KNOWN_CA)),
        required("hostname", text().between(1, 253).pattern(DNS_NAME)),
        optional("subjectAltNames", list(name).at_most(5)),
    ])
}
