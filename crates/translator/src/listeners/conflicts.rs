//! Listeners that cannot be told apart, and those whose host names overlap.

use super::{Clash, Draft, clash};
use crate::problem::Problem;

/// Marks the listeners that cannot be told apart: one port speaks either HTTP or TLS or plain TCP, and listeners of a
/// port differ in their host names. Among listeners of one object none wins; otherwise the Gateway's do, then those of
/// the set that comes first. One that lost against another object's takes none of its own object with it.
pub(super) fn mark(drafts: &mut [Draft<'_>]) {
    let last = drafts.iter().map(|draft| draft.rank).max().unwrap_or(0);
    for rank in 0..=last {
        for among in [Among::Earlier, Among::Own] {
            let conflicts: Vec<(usize, Problem)> = drafts
                .iter()
                .enumerate()
                .filter(|(_, draft)| draft.rank == rank && draft.outcome.conflict.is_none())
                .filter_map(|(index, draft)| Some((index, conflict(draft, drafts, among)?)))
                .collect();
            for (index, problem) in conflicts {
                if let Some(draft) = drafts.get_mut(index) {
                    draft.outcome.refuse(problem.clone());
                    draft.outcome.conflict = Some(problem);
                }
            }
        }
    }
}

/// Whose listeners one is held against.
#[derive(Clone, Copy)]
enum Among {
    /// Those of objects that go before its own.
    Earlier,
    /// Those of its own object.
    Own,
}

fn conflict(draft: &Draft<'_>, all: &[Draft<'_>], among: Among) -> Option<Problem> {
    let protocol = draft.protocol?;
    let rivals = all.iter().filter(|other| {
        other.outcome.key != draft.outcome.key
            && other.outcome.conflict.is_none()
            && other.spec.port == draft.spec.port
            && match among {
                Among::Earlier => other.rank < draft.rank,
                Among::Own => other.rank == draft.rank,
            }
    });
    let mut same_host = None;
    for other in rivals {
        let Some(other_protocol) = other.protocol else { continue };
        match clash((protocol, draft.hostname.as_ref()), (other_protocol, other.hostname.as_ref())) {
            None => {}
            Some(Clash::Protocol) => {
                return Some(Problem::new(
                    "ProtocolConflict",
                    format!(
                        "port {} speaks {other_protocol:?} for {}; give one of the two another port",
                        draft.spec.port,
                        whose(other, draft),
                    ),
                ));
            }
            Some(Clash::Host) => {
                same_host.get_or_insert_with(|| whose(other, draft));
            }
        }
    }
    same_host.map(|other| {
        let host = draft.hostname.as_ref().map_or_else(|| "every host".to_owned(), ToString::to_string);
        Problem::new(
            "HostnameConflict",
            format!("{host} on port {} is also taken by {other}; give one of the two another host name", {
                draft.spec.port
            }),
        )
    })
}

/// A listener of another object is not named: its owner may not want it known.
fn whose(other: &Draft<'_>, seen_by: &Draft<'_>) -> String {
    if other.outcome.key.set == seen_by.outcome.key.set {
        format!("listener {}", other.spec.name)
    } else if other.rank == 0 {
        "a listener of the Gateway".to_owned()
    } else {
        "a listener of another ListenerSet".to_owned()
    }
}

/// Notes which HTTPS listeners of a port have host names in common: a client may reuse a connection made for one of
/// them for another (RFC 9113 §9.1.1).
pub(super) fn note_overlaps(drafts: &mut [Draft<'_>]) {
    let notes: Vec<(usize, String)> = drafts
        .iter()
        .enumerate()
        .filter_map(|(index, draft)| {
            let others: Vec<String> = drafts
                .iter()
                .filter(|other| overlaps(draft, other))
                .map(|other| whose(other, draft))
                .collect();
            (!others.is_empty())
                .then(|| (index, format!("the host names overlap with {}", others.join(", "))))
        })
        .collect();
    for (index, note) in notes {
        if let Some(draft) = drafts.get_mut(index) {
            draft.outcome.overlap = Some(note);
        }
    }
}

fn overlaps(a: &Draft<'_>, b: &Draft<'_>) -> bool {
    let https = Some(lasthop_dataplane_api::ListenerProtocol::HTTPS);
    a.outcome.key != b.outcome.key
        && a.spec.port == b.spec.port
        && a.protocol == https
        && b.protocol == https
        && a.outcome.conflict.is_none()
        && b.outcome.conflict.is_none()
        && match (&a.hostname, &b.hostname) {
            (Some(a), Some(b)) => a.intersect(b).is_some(),
            _ => true,
        }
}
