//! What came of a policy by itself.

use std::sync::Arc;

use lasthop_dataplane_api::{ObjectName, UpstreamTlsPolicy};

use crate::problem::Problem;

/// What came of a policy by itself, before it meets others and Gateways.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PolicyOutcome {
    /// What it targets.
    pub targets: Vec<Target>,
    /// What is wrong with some of its references.
    pub unresolved: Option<Problem>,
    /// What it means, or why it cannot be honoured.
    pub compiled: Result<Compiled, Problem>,
}

/// What a policy means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Compiled {
    /// The TLS policy, without the Gateway's client certificate.
    pub policy: Arc<UpstreamTlsPolicy>,
    /// Where its own client certificate stands.
    pub own_certificate: Option<Arc<str>>,
    /// Where its anchors come from, and how many there are.
    pub authorities: Vec<(Arc<str>, usize)>,
}

/// One target of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The Service.
    pub service: ObjectName,
    /// Its port's name; `None` is the whole Service.
    pub section: Option<String>,
    /// Whether the policy can hold for it.
    pub state: TargetState,
}

/// Whether a policy can hold for its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetState {
    /// It can; with something to know about it.
    Found(Option<String>),
    /// It cannot.
    Bad(Problem),
}

impl PolicyOutcome {
    /// Why a backend is refused: the reference that is wrong says more than that none is right.
    pub(crate) fn refusal(&self, problem: &Problem) -> Problem {
        match &self.unresolved {
            Some(unresolved) if problem.reason == "NoValidCACertificate" => unresolved.clone(),
            _ => problem.clone(),
        }
    }
}
