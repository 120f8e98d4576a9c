//! What is collected while the rules of a route are translated.

use std::{borrow::Cow, collections::BTreeSet};

use lasthop_dataplane_api::{BackendKey, BackendKind, ObjectName, RouteKey};

use crate::{index::Reader, problem::Problem};

/// The route as one Gateway sees it, and what is found out on the way.
pub(super) struct Scope<'r, 'a> {
    pub reader: &'r Reader<'a>,
    pub route: &'r RouteKey,
    pub gateway: &'r ObjectName,
    /// Whether it hands on what came out of TLS, or was never in it, as a whole: a policy's hop, and no request on it.
    pub is_stream: bool,
    /// The rule that is being translated.
    pub rule: usize,
    /// What is wrong with references.
    pub unresolved: Vec<Problem>,
    /// What is wrong with rules, by their place.
    pub invalid: Vec<(usize, Problem)>,
    /// The backends the rules lead to.
    pub backends: BTreeSet<BackendKey>,
    /// The Services and XBackends they name.
    pub referents: BTreeSet<(BackendKind, ObjectName)>,
}

impl<'r, 'a> Scope<'r, 'a> {
    pub(super) fn new(
        reader: &'r Reader<'a>,
        route: &'r RouteKey,
        gateway: &'r ObjectName,
        is_stream: bool,
    ) -> Self {
        Self {
            reader,
            route,
            gateway,
            is_stream,
            rule: 0,
            unresolved: Vec::new(),
            invalid: Vec::new(),
            backends: BTreeSet::new(),
            referents: BTreeSet::new(),
        }
    }

    /// A reference of the rule leads nowhere.
    pub(super) fn unresolved(&mut self, problem: Problem) {
        if !self.unresolved.contains(&problem) {
            self.unresolved.push(problem);
        }
    }

    /// The rule cannot be honoured.
    pub(super) fn invalid(&mut self, reason: &'static str, message: impl Into<Cow<'static, str>>) {
        self.invalid.push((self.rule, Problem::new(reason, message)));
    }

    /// The field of the rule, for messages.
    pub(super) fn field(&self, field: &str) -> String {
        format!("spec.rules[{}].{field}", self.rule)
    }
}
