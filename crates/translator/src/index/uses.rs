//! What accepted routes use: counted, so that one route's change costs one route.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::Hash,
};

use lasthop_dataplane_api::{
    BackendKey, BackendKind, EndpointsKey, ListenerKey, ObjectName, RouteKey, RouteKind,
};

/// Something that routes refer to, with the Gateway it is reached by.
pub(crate) type Use = ((BackendKind, ObjectName), ObjectName);

/// What all routes together use.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    attached: Counts<ListenerKey>,
    backends: Counts<BackendKey>,
    endpoints: Counts<EndpointsKey>,
    users: Counts<Use>,
    passed: Counts<Use>,
    whole: BTreeSet<WholeUse>,
}

/// A route that takes all that comes to a listener, with its age: only the first of a listener serves.
pub(crate) type WholeUse = (ListenerKey, i64, RouteKey);

/// What one route uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RouteUses {
    /// The listeners it is attached to.
    pub attached: BTreeSet<ListenerKey>,
    /// The listeners of which it takes all that comes.
    pub whole: BTreeSet<WholeUse>,
    /// The backends it leads to.
    pub backends: BTreeSet<BackendKey>,
    /// The Services and XBackends it names, whether they exist or not.
    pub referents: BTreeSet<Use>,
    /// Those of them that clients' own TLS goes through to.
    pub passed: BTreeSet<Use>,
}

/// What changed for all when one route changed.
#[derive(Debug, Default)]
pub(crate) struct UsesChange {
    /// Gateways with other numbers of attached routes, or with routes of another age.
    pub attached: BTreeSet<ObjectName>,
    /// Backends that are used now and were not, and the other way round.
    pub backends: Vec<(BackendKey, bool)>,
    /// The same for endpoints.
    pub endpoints: Vec<(EndpointsKey, bool)>,
    /// Services and XBackends with other Gateways, or through which TLS goes now and did not, and the other way round.
    pub users: BTreeSet<(BackendKind, ObjectName)>,
}

#[derive(Debug)]
struct Counts<K>(BTreeMap<K, u32>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Clone + Ord + Hash> Counts<K> {
    /// True when it is the first.
    fn add(&mut self, key: &K) -> bool {
        let count = self.0.entry(key.clone()).or_default();
        *count += 1;
        *count == 1
    }

    /// True when it was the last.
    fn remove(&mut self, key: &K) -> bool {
        match self.0.get_mut(key) {
            Some(count) if *count > 1 => {
                *count -= 1;
                false
            }
            _ => self.0.remove(key).is_some(),
        }
    }
}

impl Uses {
    /// Puts what a route uses now in place of what it used.
    pub(crate) fn replace(&mut self, old: &RouteUses, new: &RouteUses) -> UsesChange {
        let mut change = UsesChange::default();
        for listener in new.attached.difference(&old.attached) {
            self.attached.add(listener);
            change.attached.insert(listener.gateway.clone());
        }
        for listener in old.attached.difference(&new.attached) {
            self.attached.remove(listener);
            change.attached.insert(listener.gateway.clone());
        }
        for whole in new.whole.difference(&old.whole) {
            self.whole.insert(whole.clone());
            change.attached.insert(whole.0.gateway.clone());
        }
        for whole in old.whole.difference(&new.whole) {
            self.whole.remove(whole);
            change.attached.insert(whole.0.gateway.clone());
        }
        for backend in new.backends.difference(&old.backends) {
            if self.backends.add(backend) {
                change.backends.push((backend.clone(), true));
                if self.endpoints.add(&backend.endpoints) {
                    change.endpoints.push((backend.endpoints.clone(), true));
                }
            }
        }
        for backend in old.backends.difference(&new.backends) {
            if self.backends.remove(backend) {
                change.backends.push((backend.clone(), false));
                if self.endpoints.remove(&backend.endpoints) {
                    change.endpoints.push((backend.endpoints.clone(), false));
                }
            }
        }
        for user in new.referents.difference(&old.referents) {
            if self.users.add(user) {
                change.users.insert(user.0.clone());
            }
        }
        for user in old.referents.difference(&new.referents) {
            if self.users.remove(user) {
                change.users.insert(user.0.clone());
            }
        }
        for user in new.passed.difference(&old.passed) {
            if self.passed.add(user) {
                change.users.insert(user.0.clone());
            }
        }
        for user in old.passed.difference(&new.passed) {
            if self.passed.remove(user) {
                change.users.insert(user.0.clone());
            }
        }
        change
    }

    /// How many routes are attached to a listener.
    pub(crate) fn attached(&self, listener: &ListenerKey) -> i32 {
        self.attached.0.get(listener).map_or(0, |count| i32::try_from(*count).unwrap_or(i32::MAX))
    }

    /// The routes that take all that comes to a Gateway's listeners: by listener the one that serves first.
    pub(crate) fn whole(&self, gateway: &ObjectName) -> impl Iterator<Item = &WholeUse> {
        let first = ListenerKey { gateway: gateway.clone(), set: None, name: "".into() };
        let route = RouteKey { kind: RouteKind::HTTPRoute, object: ObjectName::new("", "") };
        self.whole.range((first, i64::MIN, route)..).take_while(move |(key, ..)| key.gateway == *gateway)
    }

    /// Whether clients' own TLS goes through a Gateway to a Service.
    pub(crate) fn is_passed(&self, service: &ObjectName, gateway: &ObjectName) -> bool {
        self.passed.0.contains_key(&((BackendKind::Service, service.clone()), gateway.clone()))
    }

    /// The Gateways whose accepted routes lead to a Service or XBackend, by name.
    pub(crate) fn gateways_of(&self, kind: BackendKind, name: &ObjectName) -> Vec<&ObjectName> {
        let referent = (kind, name.clone());
        let from = (referent.clone(), ObjectName::new("", ""));
        let users = self.users.0.range(from..).map(|(user, _)| user);
        users.take_while(|(used, _)| *used == referent).map(|(_, gateway)| gateway).collect()
    }
}
