//! What is said about a route.

use std::collections::BTreeSet;

use super::{attach::Parent, scope::Scope};
use crate::{
    problem::{Problem, messages},
    status::{Said, Verdict, types},
};

/// What is wrong with the route itself, wherever it attaches.
#[derive(Debug)]
pub(super) struct Summary {
    unresolved: Option<Problem>,
    /// Why no rule can be honoured.
    refused: Option<Problem>,
    /// Why some rules cannot.
    partly: Option<Problem>,
}

impl Summary {
    pub(super) fn of(scope: &Scope<'_, '_>, rules: usize) -> Self {
        let unresolved =
            scope.unresolved.first().map(|first| Problem::new(first.reason, messages(&scope.unresolved)));
        let bad: BTreeSet<usize> = scope.invalid.iter().map(|(rule, _)| *rule).collect();
        let all = messages(scope.invalid.iter().map(|(_, problem)| problem));
        let reason = scope.invalid.first().map(|(_, problem)| problem.reason);
        let (mut refused, mut partly) = (None, None);
        if let Some(reason) = reason {
            if bad.len() >= rules {
                refused = Some(Problem::new(reason, all));
            } else {
                let numbers: Vec<String> = bad.iter().map(ToString::to_string).collect();
                let message = format!("Dropped Rule {}: {all}", numbers.join(", "));
                partly = Some(Problem::new(reason, message));
            }
        }
        Self { unresolved, refused, partly }
    }

    /// Whether the route can be accepted where it attaches.
    pub(super) fn accepted(&self) -> bool {
        self.refused.is_none()
    }

    /// What is said at one parent.
    pub(super) fn at(&self, parent: &Parent<'_>) -> Said {
        let accepted = match (&parent.attached, &self.refused) {
            (Err(problem), _) | (Ok(_), Some(problem)) => Verdict::problem(types::ACCEPTED, problem),
            (Ok(_), None) => Verdict::yes(types::ACCEPTED, "Accepted", "The route is accepted"),
        };
        let partly =
            self.partly.as_ref().filter(|_| accepted.holds()).map(|problem| {
                Verdict::yes(types::PARTIALLY_INVALID, problem.reason, problem.message.clone())
            });
        let resolved = match &self.unresolved {
            Some(problem) => Verdict::problem(types::RESOLVED_REFS, problem),
            None => Verdict::yes(types::RESOLVED_REFS, "ResolvedRefs", "All references are resolved"),
        };
        let verdicts = [Some(accepted), Some(resolved), partly].into_iter().flatten().collect();
        (parent.reference.clone(), verdicts)
    }
}
