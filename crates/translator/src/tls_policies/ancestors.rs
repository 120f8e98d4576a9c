//! The Gateways a policy is reported for.

use std::collections::BTreeSet;

use lasthop_api_model::BackendTlsPolicy;
use lasthop_dataplane_api::{BackendKind, ObjectName};

use super::PolicyOutcome;
use crate::index::Reader;

/// How many entries `status.ancestors` takes, those of other controllers among them.
const LIMIT: usize = 16;

/// The Gateways whose accepted routes lead to a target of the policy, by name, as far as `status.ancestors` has room.
/// For the others the policy must not be put into force.
pub(crate) fn ancestors(
    reader: &Reader<'_>,
    name: &ObjectName,
    outcome: &PolicyOutcome,
) -> BTreeSet<ObjectName> {
    let foreign = reader.object::<BackendTlsPolicy>(name).and_then(|policy| policy.status.as_ref()).map_or(
        0,
        |status| {
            let ours = &reader.options.controller_name;
            status.ancestors.iter().filter(|entry| entry.controller_name != *ours).count()
        },
    );
    let gateways: BTreeSet<&ObjectName> = outcome
        .targets
        .iter()
        .flat_map(|target| reader.users(BackendKind::Service, &target.service))
        .collect();
    gateways.into_iter().take(LIMIT.saturating_sub(foreign)).cloned().collect()
}
