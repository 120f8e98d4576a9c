//! Statuses of GatewayClasses.

use lasthop_api_model::{GatewayClass, GatewayClassStatus};

use super::{Verdict, merge, types};
use crate::{gateways, index::Reader};

/// The status of a GatewayClass; `None` when it is not ours. What others wrote stays, the features among it.
pub(crate) fn class_status(reader: &Reader<'_>, name: &str) -> Option<GatewayClassStatus> {
    let class = reader.find::<GatewayClass>("", name)?;
    if class.spec.controller_name != reader.options.controller_name {
        return None;
    }
    let verdict = match gateways::class_problem(class, reader.options) {
        Some(problem) => Verdict::problem(types::ACCEPTED, &problem),
        None => Verdict::yes(types::ACCEPTED, "Accepted", "Gateways of the class are served"),
    };
    let mut status = class.status.clone().unwrap_or_default();
    let generation = class.metadata.generation;
    status.conditions = merge::conditions(&status.conditions, types::CLASS, &[verdict], generation);
    Some(status)
}
