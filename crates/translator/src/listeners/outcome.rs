//! What is said about a listener.

use lasthop_dataplane_api::{ListenerKey, RouteKind};

use crate::problem::{Problem, messages};

/// What is said about a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenerOutcome {
    /// The listener.
    pub key: ListenerKey,
    /// The kinds of routes it takes.
    pub kinds: Vec<RouteKind>,
    /// Why it is not accepted.
    pub refused: Option<Problem>,
    /// Why it cannot be told apart from another.
    pub conflict: Option<Problem>,
    /// What its host name shares with other listeners' on the port.
    pub overlap: Option<String>,
    /// What is wrong with its references.
    pub unresolved: Vec<Problem>,
    /// Whether it lacks what it needs to serve, such as a certificate.
    pub incomplete: bool,
}

impl ListenerOutcome {
    pub(super) fn new(key: ListenerKey) -> Self {
        Self {
            key,
            kinds: Vec::new(),
            refused: None,
            conflict: None,
            overlap: None,
            unresolved: Vec::new(),
            incomplete: false,
        }
    }

    /// It cannot be accepted. The first reason stays.
    pub(crate) fn refuse(&mut self, problem: Problem) {
        self.refused.get_or_insert(problem);
    }

    /// Whether the dataplane can have it.
    pub(crate) fn serves(&self) -> bool {
        self.refused.is_none() && self.conflict.is_none() && !self.incomplete
    }

    /// What is wrong with its references, as one.
    pub(crate) fn unresolved(&self) -> Option<Problem> {
        self.unresolved.first().map(|first| Problem::new(first.reason, messages(&self.unresolved)))
    }
}
