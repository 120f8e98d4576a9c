//! The snapshot and its changes.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use crate::{
    Backend, BackendKey, EndpointSet, EndpointsKey, HttpRule, L4Rule, Listener, ListenerKey, RuleKey,
    SessionSecret,
};

/// Everything a dataplane serves, at one version.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Counts the updates that led here.
    pub version: u64,
    /// The listeners.
    pub listeners: BTreeMap<ListenerKey, Arc<Listener>>,
    /// The rules of HTTPRoutes and GRPCRoutes.
    pub http_rules: BTreeMap<RuleKey, Arc<HttpRule>>,
    /// The rules of TLSRoutes, TCPRoutes and UDPRoutes.
    pub l4_rules: BTreeMap<RuleKey, Arc<L4Rule>>,
    /// The backends.
    pub backends: BTreeMap<BackendKey, Arc<Backend>>,
    /// The endpoints.
    pub endpoints: BTreeMap<EndpointsKey, Arc<EndpointSet>>,
    /// What clients' sessions are sealed with; `None` leaves it to the dataplane.
    #[serde(skip)]
    pub session_secret: Option<SessionSecret>,
}

/// What changed from one version to the next. It takes effect as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Update {
    /// The version this leads to.
    pub version: u64,
    /// Changed listeners.
    pub listeners: Changes<ListenerKey, Listener>,
    /// Changed rules of HTTPRoutes and GRPCRoutes.
    pub http_rules: Changes<RuleKey, HttpRule>,
    /// Changed rules of TLSRoutes, TCPRoutes and UDPRoutes.
    pub l4_rules: Changes<RuleKey, L4Rule>,
    /// Changed backends.
    pub backends: Changes<BackendKey, Backend>,
    /// Changed endpoints.
    pub endpoints: Changes<EndpointsKey, EndpointSet>,
    /// Another secret for clients' sessions; one that was given stays until there is another one.
    #[serde(skip)]
    pub session_secret: Option<SessionSecret>,
}

/// Changes of one type of resource; each key occurs at most once. `None` removes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changes<K, V>(pub Vec<(K, Option<Arc<V>>)>);

impl<K, V> Default for Changes<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Clone + Ord, V: PartialEq> Changes<K, V> {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn apply(&self, to: &mut BTreeMap<K, Arc<V>>) {
        for (key, value) in &self.0 {
            match value {
                Some(value) => to.insert(key.clone(), value.clone()),
                None => to.remove(key),
            };
        }
    }

    fn between(old: &BTreeMap<K, Arc<V>>, new: &BTreeMap<K, Arc<V>>) -> Self {
        let removed = old.keys().filter(|key| !new.contains_key(key)).map(|key| (key.clone(), None));
        let set = new
            .iter()
            .filter(|(key, value)| old.get(key) != Some(value))
            .map(|(key, value)| (key.clone(), Some(value.clone())));
        Self(removed.chain(set).collect())
    }
}

impl Snapshot {
    /// Takes over an update.
    pub fn apply(&mut self, update: &Update) {
        self.version = update.version;
        update.listeners.apply(&mut self.listeners);
        update.http_rules.apply(&mut self.http_rules);
        update.l4_rules.apply(&mut self.l4_rules);
        update.backends.apply(&mut self.backends);
        update.endpoints.apply(&mut self.endpoints);
        if let Some(secret) = &update.session_secret {
            self.session_secret = Some(secret.clone());
        }
    }

    /// The update that leads from `self` to `new`.
    pub fn update_to(&self, new: &Self) -> Update {
        Update {
            version: new.version,
            listeners: Changes::between(&self.listeners, &new.listeners),
            http_rules: Changes::between(&self.http_rules, &new.http_rules),
            l4_rules: Changes::between(&self.l4_rules, &new.l4_rules),
            backends: Changes::between(&self.backends, &new.backends),
            endpoints: Changes::between(&self.endpoints, &new.endpoints),
            session_secret: new.session_secret.clone().filter(|_| new.session_secret != self.session_secret),
        }
    }
}

impl Update {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        let Self { version: _, listeners, http_rules, l4_rules, backends, endpoints, session_secret } = self;
        let rules = http_rules.is_empty() && l4_rules.is_empty();
        let hops = backends.is_empty() && endpoints.is_empty();
        listeners.is_empty() && rules && hops && session_secret.is_none()
    }
}
