//! Namespace.

use super::KindSchema;
use super::metadata::cluster_scoped;
use super::patterns::DNS_LABEL;
use crate::schema::{anything, list, object, optional, text};

pub(super) fn schema() -> KindSchema {
    let spec = object([optional("finalizers", list(text()))]);
    let status = object([optional("conditions", list(anything())), optional("phase", text())]);
    KindSchema::with_fields(cluster_scoped(DNS_LABEL, 63), [optional("spec", spec)]).status(status)
}
