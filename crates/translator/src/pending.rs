//! What is gathered while changes are applied.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lasthop_api_model::ResourceKey;
use lasthop_dataplane_api::{
    Backend, BackendKey, Changes, EndpointSet, EndpointsKey, HttpRule, L4Rule, Listener, ListenerKey,
    RuleKey, Snapshot, Update,
};

use crate::output::{Notice, Status, StatusChange};

/// What is gathered while changes are applied.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub listeners: BTreeMap<ListenerKey, Option<Arc<Listener>>>,
    pub rules: BTreeMap<RuleKey, Option<Arc<HttpRule>>>,
    pub l4_rules: BTreeMap<RuleKey, Option<Arc<L4Rule>>>,
    pub backends: BTreeMap<BackendKey, Option<Arc<Backend>>>,
    pub endpoints: BTreeMap<EndpointsKey, Option<Arc<EndpointSet>>>,
    statuses: BTreeMap<ResourceKey, Status>,
    notices: BTreeSet<Notice>,
}

impl Pending {
    /// A status to give out; a later one of the same object takes its place.
    pub(crate) fn status(&mut self, change: StatusChange) {
        self.statuses.insert(change.key, change.status);
    }

    /// There is nothing to give out about an object.
    pub(crate) fn no_status(&mut self, key: &ResourceKey) {
        self.statuses.remove(key);
    }

    /// Something to tell.
    pub(crate) fn notice(&mut self, notice: Notice) {
        self.notices.insert(notice);
    }

    /// The update that the gathered changes make, applied to the snapshot. The version counts updates that change
    /// something.
    pub(crate) fn update(&self, snapshot: &mut Snapshot) -> Update {
        let mut update = Update {
            version: snapshot.version,
            listeners: changes(&self.listeners, &snapshot.listeners),
            http_rules: changes(&self.rules, &snapshot.http_rules),
            l4_rules: changes(&self.l4_rules, &snapshot.l4_rules),
            backends: changes(&self.backends, &snapshot.backends),
            endpoints: changes(&self.endpoints, &snapshot.endpoints),
            session_secret: None,
        };
        if !update.is_empty() {
            update.version += 1;
            snapshot.apply(&update);
        }
        update
    }

    pub(crate) fn statuses(&mut self) -> Vec<StatusChange> {
        let statuses = std::mem::take(&mut self.statuses).into_iter();
        statuses.map(|(key, status)| StatusChange { key, status }).collect()
    }

    pub(crate) fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices).into_iter().collect()
    }
}

/// Only what differs from the snapshot is a change.
fn changes<K: Clone + Ord, V: PartialEq>(
    pending: &BTreeMap<K, Option<Arc<V>>>,
    current: &BTreeMap<K, Arc<V>>,
) -> Changes<K, V> {
    let differs = |key: &K, value: &Option<Arc<V>>| current.get(key) != value.as_ref();
    let changed = pending.iter().filter(|(key, value)| differs(key, value));
    Changes(changed.map(|(key, value)| (key.clone(), value.clone())).collect())
}
