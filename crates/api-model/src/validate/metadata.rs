//! Names, namespaces, labels: what the API server asks of every object's metadata.

use super::patterns::{ANNOTATION_KEY, DNS_LABEL, DNS_NAME, LABEL_VALUE, QUALIFIED_NAME, TIMESTAMP};
use crate::schema::path::FieldPath;
use crate::schema::{
    Pattern, Rule, Schema, anything, blames, boolean, holds, integer, list, map, object, optional, required,
    text,
};

/// All annotations of an object together, keys and values, in bytes.
const ANNOTATIONS_MAX: usize = 256 * 1024;

/// Metadata of a namespaced kind whose names are DNS subdomains.
pub(super) fn namespaced() -> Schema {
    metadata(DNS_NAME, 253, true)
}

/// Metadata of a namespaced kind whose names are DNS labels.
pub(super) fn namespaced_label() -> Schema {
    metadata(DNS_LABEL, 63, true)
}

/// Metadata of a cluster-scoped kind whose names have this form.
pub(super) fn cluster_scoped(name: Pattern, longest: usize) -> Schema {
    metadata(name, longest, false).rule(no_namespace())
}

fn no_namespace() -> Rule {
    blames("must not be set: the kind is cluster-scoped", "take the namespace out", |metadata| {
        metadata
            .get("namespace")
            .and_then(|namespace| namespace.as_str())
            .filter(|namespace| !namespace.is_empty())
            .map(|_| FieldPath::root().then("namespace"))
    })
}

/// As owners have it.
const GROUP_VERSION: Pattern = Pattern {
    accepts: |text| text.matches('/').count() < 2 && !text.ends_with('/'),
    says: "GROUP/VERSION, or VERSION alone",
};

/// What names begin with: a name, or one that lacks what would follow a `-`.
fn begins(name: Pattern, longest: usize) -> Rule {
    holds("must be the beginning of a name", "leave it out, or give the beginning of a name", move |prefix| {
        let prefix = prefix.as_str().unwrap_or_default();
        let whole = prefix.strip_suffix('-').map_or_else(|| prefix.to_owned(), |front| format!("{front}a"));
        whole.is_empty() || (whole.len() <= longest && (name.accepts)(&whole))
    })
}

fn metadata(name: Pattern, longest: usize, namespaced: bool) -> Schema {
    let namespace = if namespaced { text().between(1, 63).pattern(DNS_LABEL) } else { text() };
    let owner = object([
        required("apiVersion", text().between(1, usize::MAX).pattern(GROUP_VERSION)),
        required("kind", text().between(1, usize::MAX)),
        required("name", text().between(1, usize::MAX)),
        required("uid", text().between(1, usize::MAX)),
        optional("controller", boolean()),
        optional("blockOwnerDeletion", boolean()),
    ]);
    let managed = object([
        optional("apiVersion", text()),
        optional("fieldsType", text()),
        optional("fieldsV1", anything()),
        optional("manager", text()),
        optional("operation", text()),
        optional("subresource", text()),
        optional("time", text().pattern(TIMESTAMP)),
    ]);
    let annotations = map(text()).pattern(ANNOTATION_KEY).rule(holds(
        "annotations take more than 256 KiB together",
        "shorten them, or keep the data in a ConfigMap",
        |annotations| {
            let bytes = annotations.as_object().map_or(0, |entries| {
                entries.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum()
            });
            bytes <= ANNOTATIONS_MAX
        },
    ));
    object([
        required("name", text().between(1, longest).pattern(name)),
        optional("namespace", namespace),
        optional("labels", map(text().at_most(63).pattern(LABEL_VALUE)).pattern(QUALIFIED_NAME)),
        optional("annotations", annotations),
        optional("generateName", text().rule(begins(name, longest))),
        optional("creationTimestamp", text().pattern(TIMESTAMP)),
        optional("deletionTimestamp", text().pattern(TIMESTAMP)),
        optional("deletionGracePeriodSeconds", integer(i64::MIN, i64::MAX)),
        optional("finalizers", list(text().pattern(QUALIFIED_NAME))),
        optional("generation", integer(0, i64::MAX)),
        optional("managedFields", list(managed)),
        optional("ownerReferences", list(owner).unique_by("uid")),
        optional("resourceVersion", text()),
        optional("selfLink", text()),
        optional("uid", text()),
    ])
}
