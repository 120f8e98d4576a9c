//! Statuses of ListenerSets.

use lasthop_api_model::{ListenerSet, ListenerSetStatus, ResourceKind};
use lasthop_dataplane_api::ObjectName;

use super::{
    Verdict,
    listener::{self, Told},
    merge, types,
};
use crate::{
    gateways::{self, GatewayOutcome},
    index::Reader,
    listeners::ListenerOutcome,
    names,
    problem::Problem,
};

/// The status of a ListenerSet; `None` when its Gateway is not ours.
pub(crate) fn listener_set_status(reader: &Reader<'_>, name: &ObjectName) -> Option<ListenerSetStatus> {
    let set = reader.object::<ListenerSet>(name)?;
    let parent = &set.spec.parent_ref;
    let gateway =
        ObjectName::new(parent.namespace.as_deref().unwrap_or(&name.namespace), parent.name.as_str());
    let Some(outcome) = reader.gateway(&gateway).filter(|outcome| outcome.sets.contains_key(name)) else {
        if gateways::owns_everything(reader) {
            // The API has no place to say it where nobody owns the parent.
            let message =
                format!("there is no {} {gateway} that a ListenerSet could join; create it", parent.kind);
            reader.notice(names::key(ResourceKind::ListenerSet, name), "spec.parentRef", message);
        }
        return None;
    };
    let generation = set.metadata.generation;
    let none = ListenerSetStatus::default();
    let old = set.status.as_ref().unwrap_or(&none);
    let told = Told { progress: reader.progress(&gateway), gateway_accepted: outcome.refused.is_none() };
    let own: Vec<&ListenerOutcome> = listeners(outcome, name).collect();
    let problem = problem(outcome, name);
    let programmed = match &problem {
        Some(problem) => Verdict::problem(types::PROGRAMMED, problem),
        None => listener::programmed_together(own.iter().copied(), told, "ListenerSet"),
    };
    let verdicts = [accepted(problem.as_ref(), &own), programmed];
    let uses = reader.uses(&gateway);
    Some(ListenerSetStatus {
        conditions: merge::conditions(&old.conditions, types::LISTENER_SET, &verdicts, generation),
        listeners: own
            .into_iter()
            .map(|listener| listener::status(listener, told, uses, &old.listeners, generation))
            .collect(),
    })
}

fn listeners<'a>(
    outcome: &'a GatewayOutcome,
    set: &'a ObjectName,
) -> impl Iterator<Item = &'a ListenerOutcome> + use<'a> {
    outcome.listeners.iter().filter(move |listener| listener.key.set.as_ref() == Some(set))
}

/// Why a ListenerSet is not accepted.
pub(super) fn problem(outcome: &GatewayOutcome, set: &ObjectName) -> Option<Problem> {
    if let Some(problem) = outcome.sets.get(set).and_then(Option::as_ref) {
        return Some(problem.clone());
    }
    // Nothing would come of it, be it for want of a certificate.
    if listeners(outcome, set).any(ListenerOutcome::serves) {
        return None;
    }
    Some(Problem::new("ListenersNotValid", "None of the listeners can serve; see their status"))
}

fn accepted(problem: Option<&Problem>, own: &[&ListenerOutcome]) -> Verdict {
    if let Some(problem) = problem {
        return Verdict::problem(types::ACCEPTED, problem);
    }
    let bad: Vec<&str> = own
        .iter()
        .filter(|listener| listener.refused.is_some())
        .map(|listener| &*listener.key.name)
        .collect();
    if bad.is_empty() {
        Verdict::yes(types::ACCEPTED, "Accepted", "The ListenerSet is accepted")
    } else {
        let message = format!("These listeners are not accepted: {}", bad.join(", "));
        Verdict::yes(types::ACCEPTED, "ListenersNotValid", message)
    }
}
