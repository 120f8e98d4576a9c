//! Status, as files may carry it along.

use super::patterns::{CONDITION_REASON, CONDITION_TYPE, PREFIXED_PATH, TIMESTAMP};
use super::references::parent;
use crate::schema::{Schema, integer, list, object, one_of, optional, required, text};

pub(super) fn conditions() -> Schema {
    list(condition()).at_most(8).unique_by("type")
}

/// Conditions of which an XBackend may have any number.
pub(super) fn many_conditions() -> Schema {
    list(condition()).unique_by("type")
}

fn condition() -> Schema {
    object([
        required("type", text().at_most(316).pattern(CONDITION_TYPE)),
        required("status", one_of(&["True", "False", "Unknown"])),
        required("reason", text().between(1, 1024).pattern(CONDITION_REASON)),
        required("message", text().at_most(32768)),
        required("lastTransitionTime", text().pattern(TIMESTAMP)),
        optional("observedGeneration", integer(0, i64::MAX)),
    ])
}

pub(super) fn controller_name() -> Schema {
    text().between(1, 253).pattern(PREFIXED_PATH)
}

pub(super) fn route_status() -> Schema {
    let entry = object([
        required("parentRef", parent()),
        required("controllerName", controller_name()),
        required("conditions", conditions().between(1, 8)),
    ]);
    object([required("parents", list(entry).at_most(32))])
}

pub(super) fn policy_status() -> Schema {
    let entry = object([
        required("ancestorRef", parent()),
        required("controllerName", controller_name()),
        required("conditions", conditions().between(1, 8)),
    ]);
    object([required("ancestors", list(entry).at_most(16))])
}

pub(super) fn xbackend_status() -> Schema {
    let entry = object([
        required("ancestorRef", parent()),
        required("controllerName", controller_name()),
        optional("conditions", many_conditions()),
    ]);
    object([optional("ancestors", list(entry).at_most(32))])
}
