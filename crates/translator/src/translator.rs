//! The translator: changes of resources in, changes of snapshot and status out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lasthop_api_model::{Change, ResourceKey, ResourceKind};
use lasthop_dataplane_api::{Report, Snapshot};

use crate::{
    Options,
    content::ContentCache,
    hops::{self, Hop},
    index::{Derived, Fact, Inputs, Node, Tracker},
    names,
    output::{Notice, Output, Status, StatusChange},
    pending::Pending,
    status::Statuses,
};

/// Turns resources into a snapshot and statuses.
///
/// A pure function of the resources in force and of what the dataplane reported: the order in which they came means
/// nothing. Work is done for what changed and for what depends on it.
#[derive(Debug)]
pub struct Translator {
    pub(crate) options: Options,
    pub(crate) inputs: Inputs,
    pub(crate) derived: Derived,
    pub(crate) cache: ContentCache,
    pub(crate) tracker: Tracker,
    pub(crate) snapshot: Snapshot,
    pub(crate) statuses: Statuses,
    pub(crate) notices: BTreeMap<Node, BTreeSet<Notice>>,
    /// The objects that came in the changes being applied.
    pub(crate) arrived: BTreeSet<ResourceKey>,
}

impl Translator {
    /// A translator that knows no resource yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            inputs: Inputs::default(),
            derived: Derived::default(),
            cache: ContentCache::default(),
            tracker: Tracker::default(),
            snapshot: Snapshot::default(),
            statuses: Statuses::default(),
            notices: BTreeMap::new(),
            arrived: BTreeSet::new(),
        }
    }

    /// Takes over changes of resources, all at once.
    pub fn apply(&mut self, changes: &[Change]) -> Output {
        for change in changes {
            self.take(change);
        }
        let output = self.run();
        self.arrived.clear();
        output
    }

    /// Takes over what the dataplane answered to an update: only now `Programmed` is said.
    pub fn programmed(&mut self, report: &Report) -> Vec<StatusChange> {
        self.heard(report, false)
    }

    /// The same for what a dataplane says by itself: it speaks of what it names, at the report's version, and of nothing
    /// else.
    pub fn reported(&mut self, report: &Report) -> Vec<StatusChange> {
        self.heard(report, true)
    }

    fn heard(&mut self, report: &Report, only_named: bool) -> Vec<StatusChange> {
        let (gateways, policies) = self.derived.progress.report(report, only_named);
        for gateway in gateways {
            self.tracker.touch(&Fact::Programmed(gateway));
        }
        self.refusals_changed(policies);
        self.run().statuses
    }

    /// Everything a dataplane should serve now.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// All statuses as they should be now, in the order of their objects.
    pub fn statuses(&self) -> impl Iterator<Item = (&ResourceKey, &Status)> {
        self.statuses.iter()
    }

    /// Every hop from a rule to a backend, and how it is encrypted.
    pub fn hops(&self) -> Vec<Hop> {
        hops::hops(self)
    }

    /// Puts a change into the store and makes due what reads it.
    fn take(&mut self, change: &Change) {
        let had_class = !self.inputs.store.gateway_classes().is_empty();
        let taken = match &change.new {
            Some(resource) => self.inputs.store.apply(resource.clone()),
            None => self.inputs.store.remove(&change.key),
        };
        // Our own store knows what was there before, whatever the change says.
        let Some(change) = taken else { return };
        for fact in self.inputs.collections.apply(&change) {
            if let (Fact::Policies(service), Some(_)) = (&fact, &change.new) {
                self.tracker.schedule(Node::Claims(service.clone()));
            }
            self.tracker.touch(&fact);
        }
        if had_class == self.inputs.store.gateway_classes().is_empty() {
            self.tracker.touch(&Fact::AnyClass);
        }
        if change.key.kind == ResourceKind::ReferenceGrant {
            self.tracker.touch(&Fact::Grants(change.key.namespace.as_str().into()));
        }
        self.tracker.touch(&Fact::Object(change.key.clone()));
        for node in nodes_of(&change.key) {
            self.tracker.schedule(node);
        }
        self.arrived.insert(change.key);
    }

    /// Does what is due, lowest first. Statuses come when it is known what the dataplane has yet to do.
    fn run(&mut self) -> Output {
        let mut pending = Pending::default();
        let mut holds_content = false;
        while let Some(node) = self.tracker.next_but_statuses() {
            holds_content |= node.holds_content();
            self.evaluate(node, &mut pending);
        }
        let update = pending.update(&mut self.snapshot);
        let judged_anew = self.derived.progress.expect(&update);
        for (key, _) in &update.listeners.0 {
            self.tracker.touch(&Fact::Programmed(key.gateway.clone()));
        }
        self.refusals_changed(judged_anew);
        while let Some(node) = self.tracker.next() {
            self.evaluate(node, &mut pending);
        }
        if holds_content {
            self.cache.prune();
        }
        Output { update, statuses: pending.statuses(), notices: pending.notices() }
    }

    /// Policies, by their source, of which the dataplane says something else than before.
    fn refusals_changed(&mut self, policies: BTreeSet<Arc<str>>) {
        for policy in policies {
            self.tracker.touch(&Fact::Refusals(policy));
        }
    }
}

/// The nodes that an object is the root of.
fn nodes_of(key: &ResourceKey) -> Vec<Node> {
    let name = names::of_key(key);
    if let Some(kind) = names::route_kind(key.kind) {
        return vec![Node::Route(lasthop_dataplane_api::RouteKey { kind, object: name })];
    }
    match key.kind {
        ResourceKind::GatewayClass => vec![Node::ClassStatus(name.name)],
        ResourceKind::Gateway => vec![Node::Gateway(name.clone()), Node::GatewayStatus(name)],
        ResourceKind::ListenerSet => vec![Node::ListenerSetStatus(name)],
        ResourceKind::BackendTlsPolicy => vec![Node::Policy(name.clone()), Node::PolicyStatus(name)],
        ResourceKind::XBackend => vec![Node::XBackend(name.clone()), Node::XBackendStatus(name)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
impl Translator {
    /// Whether nothing is kept of objects that are gone.
    pub(crate) fn is_empty(&self) -> bool {
        // What a dataplane still held when the last Gateway or policy changed goes with the next such change.
        self.cache.prune();
        self.inputs.store.is_empty()
            && self.tracker.is_empty()
            && self.derived.drafts.is_empty()
            && self.derived.gateways.is_empty()
            && self.derived.policies.is_empty()
            && self.derived.claims.is_empty()
            && self.derived.xbackends.is_empty()
            && self.derived.routes.is_empty()
            && self.notices.is_empty()
            && self.cache.is_empty()
    }
}
