//! Namespace.

use super::KindSchema;
use super::metadata::cluster_scoped;
use super::patterns::{DNS_LABEL, QUALIFIED_NAME};
use crate::schema::{Pattern, anything, list, object, optional, text};

/// Kubernetes' own names stand alone, others below a domain.
const FINALIZER: Pattern = Pattern {
    accepts: |text| {
        let own = ["kubernetes", "orphan", "foregroundDeletion"];
        own.contains(&text) || (text.contains('/') && (QUALIFIED_NAME.accepts)(text))
    },
    says: "\"kubernetes\", or a name below a domain, such as example.com/name",
};

pub(super) fn schema() -> KindSchema {
    let spec = object([optional("finalizers", list(text().pattern(FINALIZER)))]);
    let status = object([optional("conditions", list(anything())), optional("phase", text())]);
    KindSchema::with_fields(cluster_scoped(DNS_LABEL, 63), [optional("spec", spec)]).status(status)
}
