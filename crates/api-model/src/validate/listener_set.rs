//! ListenerSet.

use super::KindSchema;
use super::listener::{listener, listener_statuses, listeners};
use super::metadata::namespaced;
use super::references::parent_gateway;
use super::status::conditions;
use crate::schema::{object, optional, required};

pub(super) fn schema() -> KindSchema {
    let spec =
        object([required("parentRef", parent_gateway()), required("listeners", listeners(listener()))]);
    KindSchema::new(namespaced(), spec)
        .status(object([optional("conditions", conditions()), optional("listeners", listener_statuses())]))
}
