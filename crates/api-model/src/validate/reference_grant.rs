//! ReferenceGrant.

use super::KindSchema;
use super::metadata::namespaced;
use super::references::{group, kind, name, namespace};
use crate::schema::{list, object, optional, required};

pub(super) fn schema() -> KindSchema {
    let from =
        object([required("group", group()), required("kind", kind()), required("namespace", namespace())]);
    let to = object([required("group", group()), required("kind", kind()), optional("name", name())]);
    let spec = object([required("from", list(from).between(1, 16)), required("to", list(to).between(1, 16))]);
    KindSchema::new(namespaced(), spec)
}
