//! Statuses of XBackends.

use lasthop_api_model::{PolicyStatus, ResourceKind, XBackend};
use lasthop_dataplane_api::{BackendKind, ObjectName};

use super::{Said, Verdict, merge, policy::ancestor, types};
use crate::{gateways, index::Reader, names, problem::Problem};

/// How many entries `status.ancestors` takes, those of other controllers among them.
const LIMIT: usize = 32;

/// The status of an XBackend: one entry for each Gateway whose accepted routes lead to it. `None` when there is nothing
/// to say.
pub(crate) fn xbackend_status(reader: &Reader<'_>, name: &ObjectName) -> Option<PolicyStatus> {
    let backend = reader.object::<XBackend>(name)?;
    let outcome = reader.xbackend(name)?;
    let old = backend.status.as_ref().map_or(&[][..], |status| &status.ancestors);
    let controller = &reader.options.controller_name;
    let foreign = old.iter().filter(|entry| entry.controller_name != *controller).count();
    let users = reader.users(BackendKind::XBackend, name);
    let said: Vec<Said> = users
        .into_iter()
        .take(LIMIT.saturating_sub(foreign))
        .map(|gateway| {
            let refused = || {
                let mut refusals = reader.refusals(format!("XBackend {name}"));
                let (_, refusal) = refusals.find(|(key, _)| key.gateway == *gateway)?;
                let message =
                    format!("the TLS stack cannot set it up: {}: {}", refusal.reason, refusal.message);
                Some(Problem::new("Invalid", message))
            };
            let accepted = match outcome.problem().cloned().or_else(refused) {
                Some(problem) => Verdict::problem(types::ACCEPTED, &problem),
                None => Verdict::yes(types::ACCEPTED, "Accepted", "The backend is accepted"),
            };
            (ancestor(gateway), vec![accepted])
        })
        .collect();
    if let (true, Some(problem), true) =
        (said.is_empty(), outcome.problem(), gateways::owns_everything(reader))
    {
        // The API has no place to say it, but whoever wrote the XBackend should know.
        reader.notice(names::key(ResourceKind::XBackend, name), "spec", problem.message.clone());
    }
    if said.is_empty() && !old.iter().any(|entry| entry.controller_name == *controller) {
        return None;
    }
    let generation = backend.metadata.generation;
    let ours = &[types::ACCEPTED];
    Some(PolicyStatus { ancestors: merge::entries(old, controller, ours, &said, generation) })
}
