//! Statuses of listeners, in Gateways and in ListenerSets.

use std::borrow::Cow;

use lasthop_api_model::{GROUP, ListenerStatus, RouteGroupKind};
use lasthop_dataplane_api::ListenerState;

use super::{Verdict, merge, types};
use crate::{
    index::Uses,
    listeners::{ListenerOutcome, kind_name},
    progress::{Progress, Word},
};

/// Why a listener does not serve that nothing is wrong with.
const PORT_UNAVAILABLE: &str = "PortUnavailable";

/// What the dataplane has to do with a listener.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    pub progress: &'a Progress,
    /// Whether the Gateway is accepted: without, none of its listeners serves.
    pub gateway_accepted: bool,
}

/// A listener's status, with the foreign conditions of its old one.
pub(super) fn status(
    outcome: &ListenerOutcome,
    told: Told<'_>,
    uses: &Uses,
    old: &[ListenerStatus],
    generation: Option<i64>,
) -> ListenerStatus {
    let existing = old.iter().find(|status| *status.name == *outcome.key.name);
    let existing = existing.map_or(&[][..], |status| &status.conditions);
    ListenerStatus {
        name: outcome.key.name.to_string(),
        supported_kinds: outcome
            .kinds
            .iter()
            .map(|kind| RouteGroupKind { group: GROUP.to_owned(), kind: kind_name(*kind).to_owned() })
            .collect(),
        attached_routes: uses.attached(&outcome.key),
        conditions: merge::conditions(existing, types::LISTENER, &verdicts(outcome, told), generation),
    }
}

fn verdicts(outcome: &ListenerOutcome, told: Told<'_>) -> Vec<Verdict> {
    let accepted = match (&outcome.refused, told.progress.word(&outcome.key)) {
        (Some(problem), _) => Verdict::problem(types::ACCEPTED, problem),
        (None, Word::Current(ListenerState::Failed { reason, message }))
            if **reason == *PORT_UNAVAILABLE && outcome.serves() =>
        {
            Verdict::no(types::ACCEPTED, PORT_UNAVAILABLE, message.to_string())
        }
        _ => Verdict::yes(types::ACCEPTED, "Accepted", "The listener is accepted"),
    };
    let resolved = match outcome.unresolved() {
        Some(problem) => Verdict::problem(types::RESOLVED_REFS, &problem),
        None => Verdict::yes(types::RESOLVED_REFS, "ResolvedRefs", "All references are resolved"),
    };
    let conflicted = match &outcome.conflict {
        Some(problem) => Verdict::yes(types::CONFLICTED, problem.reason, problem.message.clone()),
        None => Verdict::no(types::CONFLICTED, "NoConflicts", "The listener conflicts with no other"),
    };
    let mut verdicts = vec![accepted, programmed(outcome, told), resolved, conflicted];
    if let Some(overlap) = &outcome.overlap {
        // Negative polarity: never said to be false.
        let message = overlap.clone();
        verdicts.push(Verdict::yes(types::OVERLAPPING_TLS_CONFIG, "OverlappingHostnames", message));
    }
    verdicts
}

/// Whether the dataplane serves a listener.
pub(super) fn programmed(outcome: &ListenerOutcome, told: Told<'_>) -> Verdict {
    if !told.gateway_accepted {
        return Verdict::no(types::PROGRAMMED, "Invalid", "The Gateway is not accepted");
    }
    if !outcome.serves() {
        // The suite asks for the conflict's own reason.
        if let Some(conflict) = &outcome.conflict {
            return Verdict::no(types::PROGRAMMED, conflict.reason, conflict.message.clone());
        }
        let why = outcome.refused.clone().or_else(|| outcome.unresolved());
        let message = why.map_or(Cow::Borrowed("The listener cannot serve"), |problem| problem.message);
        return Verdict::no(types::PROGRAMMED, "Invalid", message);
    }
    let (state, generation) = match told.progress.word(&outcome.key) {
        Word::None | Word::Older(_, None) => {
            return Verdict::pending(types::PROGRAMMED, "Waiting for the dataplane");
        }
        Word::Current(state) => (state, None),
        Word::Older(state, generation) => (state, generation),
    };
    let verdict = match state {
        ListenerState::Bound(_) => {
            Verdict::yes(types::PROGRAMMED, "Programmed", "The dataplane serves the listener")
        }
        ListenerState::Failed { reason, message } => {
            Verdict::no(types::PROGRAMMED, reason.to_string(), message.to_string())
        }
    };
    Verdict { generation, ..verdict }
}

/// Whether the dataplane serves some of these listeners, as one verdict.
pub(super) fn programmed_together<'a>(
    outcomes: impl IntoIterator<Item = &'a ListenerOutcome>,
    told: Told<'_>,
    what: &str,
) -> Verdict {
    let all: Vec<(bool, Verdict)> =
        outcomes.into_iter().map(|outcome| (outcome.serves(), programmed(outcome, told))).collect();
    let messages = || {
        let failed = all.iter().filter(|(_, verdict)| !verdict.holds());
        failed.map(|(_, verdict)| &*verdict.message).collect::<Vec<_>>().join("; ")
    };
    let unusable = all.iter().find(|(_, verdict)| verdict.reason == "AddressNotUsable");
    if let Some((_, verdict)) = unusable {
        return verdict.clone();
    }
    // Said for the oldest generation that one of them is at.
    let generation = all.iter().filter_map(|(_, verdict)| verdict.generation).min();
    if all.iter().any(|(_, verdict)| verdict.holds()) {
        let message = format!("The dataplane serves the {what}");
        return Verdict { generation, ..Verdict::yes(types::PROGRAMMED, "Programmed", message) };
    }
    if all.iter().any(|(_, verdict)| verdict.status == "Unknown") {
        return Verdict::pending(types::PROGRAMMED, "Waiting for the dataplane");
    }
    let message = format!("No listener serves: {}", messages());
    Verdict { generation, ..Verdict::no(types::PROGRAMMED, "Invalid", message) }
}
