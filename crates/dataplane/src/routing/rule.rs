//! A rule, compiled.

use std::{ops::Deref, sync::Arc};

use lasthop_dataplane_api::{BackendTarget, HttpRule};

use super::{
    condition::CompiledMatch,
    weight::{Turns, by_weight},
};
use crate::{
    filters::CompiledFilters,
    proxy::{self, BackendIdentity},
};

/// A rule in the form that requests go through. It is immutable and holds nothing of a worker.
#[derive(Debug)]
pub(crate) struct CompiledRule {
    /// What it was compiled from.
    pub(crate) source: Arc<HttpRule>,
    /// The rule's own filters.
    pub(crate) filters: CompiledFilters,
    /// Where requests go, in the rule's order.
    pub(crate) backends: Vec<CompiledBackendRef>,
    /// What cannot be honoured: a match that never holds, a filter that answers 500.
    pub(crate) problems: Vec<String>,
    /// In the order of `source.matches`.
    pub(super) matches: Vec<CompiledMatch>,
    /// The sum of the weights.
    total: u64,
}

/// A reference to a backend, compiled.
#[derive(Debug)]
pub(crate) struct CompiledBackendRef {
    /// Where it leads.
    pub(crate) target: BackendTarget,
    /// Its share is this over the sum of the weights.
    pub(crate) weight: u32,
    /// What happens to requests that go there, after the rule's own filters.
    pub(crate) filters: CompiledFilters,
    /// What sessions know it by, if the rule has any.
    pub(crate) identity: Option<BackendIdentity>,
}

impl CompiledRule {
    /// Compiles a rule. What cannot be compiled is made to match nothing or to answer 500, and is named in
    /// `problems`.
    pub(crate) fn compile(source: &Arc<HttpRule>) -> Self {
        let mut problems = Vec::new();
        let matches =
            source.matches.iter().map(|source| CompiledMatch::compile(source, &mut problems)).collect();
        let filters = CompiledFilters::compile(&source.filters);
        problems.extend_from_slice(filters.problems());
        let backends: Vec<_> = source
            .backends
            .iter()
            .map(|backend| CompiledBackendRef {
                target: backend.target.clone(),
                weight: backend.weight,
                filters: CompiledFilters::compile(&backend.filters),
                identity: match (&source.persistence, &backend.target) {
                    (Some(_), BackendTarget::Backend(key)) => Some(proxy::identity(key)),
                    _ => None,
                },
            })
            .collect();
        problems.extend(backends.iter().flat_map(|backend| backend.filters.problems().iter().cloned()));
        let total = backends.iter().map(|backend| u64::from(backend.weight)).sum();
        Self { source: source.clone(), filters, backends, problems, matches, total }
    }

    /// The backend for a number, by weight. `None` if there is none with a weight: the request gets a 500.
    pub(crate) fn for_number(&self, number: u32) -> Option<&CompiledBackendRef> {
        by_weight(&self.backends, self.total, |backend| backend.weight, number)
    }
}

/// A rule as one worker holds it. Workers share the compiled rule; each counts its own references (`Rc`), so that
/// requests of different workers do not meet at a counter.
#[derive(Debug)]
pub(crate) struct WorkerRule {
    compiled: Arc<CompiledRule>,
    turns: Turns,
}

impl WorkerRule {
    pub(super) fn new(compiled: Arc<CompiledRule>) -> Self {
        Self { compiled, turns: Turns::new() }
    }

    /// The next backend, by weight. `None` if there is none with a weight: the request gets a 500.
    pub(crate) fn choose(&self) -> Option<&CompiledBackendRef> {
        self.compiled.for_number(self.turns.next())
    }
}

impl Deref for WorkerRule {
    type Target = CompiledRule;

    fn deref(&self) -> &CompiledRule {
        &self.compiled
    }
}
