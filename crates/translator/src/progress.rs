//! What the dataplane said about listeners and backends.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lasthop_dataplane_api::{BackendKey, ListenerKey, ListenerState, ObjectName, Refusal, Report, Update};

/// What the dataplane said about listeners and backends.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    listeners: BTreeMap<ListenerKey, Serving>,
    refusals: BTreeMap<BackendKey, Refusal>,
}

/// What is known about a listener the dataplane was given.
#[derive(Debug)]
struct Serving {
    /// The update that changed it last.
    wanted: u64,
    /// What the dataplane said last.
    state: Option<ListenerState>,
    /// Whether it said so about the newest version.
    confirmed: bool,
    /// The Gateway's generation when it last was.
    generation: Option<i64>,
}

/// What can be said about a listener.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Word<'a> {
    /// Nothing yet.
    None,
    /// This, about the newest version.
    Current(&'a ListenerState),
    /// This, about an older version: the one of that generation.
    Older(&'a ListenerState, Option<i64>),
}

impl Progress {
    /// The dataplane is given an update. Gives the policies (as `namespace/name`) of which it said something that
    /// holds no longer.
    pub(crate) fn expect(&mut self, update: &Update) -> BTreeSet<Arc<str>> {
        for (key, listener) in &update.listeners.0 {
            if listener.is_none() {
                self.listeners.remove(key);
                continue;
            }
            let serving = self.listeners.entry(key.clone()).or_insert(Serving {
                wanted: 0,
                state: None,
                confirmed: false,
                generation: None,
            });
            serving.wanted = update.version;
            serving.confirmed = false;
        }
        // A backend that changed is judged anew.
        let changed = update.backends.0.iter();
        changed.filter_map(|(key, _)| self.refusals.remove(key)).map(|refusal| refusal.policy).collect()
    }

    /// The dataplane answered. Gives the Gateways and the policies (as `namespace/name`) it concerns.
    pub(crate) fn report(&mut self, report: &Report) -> (BTreeSet<ObjectName>, BTreeSet<Arc<str>>) {
        let mut gateways = BTreeSet::new();
        for (key, state) in &report.listeners {
            if let Some(serving) = self.listeners.get_mut(key) {
                serving.state = Some(state.clone());
                gateways.insert(key.gateway.clone());
            }
        }
        for (key, serving) in &mut self.listeners {
            if !serving.confirmed && serving.wanted <= report.version && serving.state.is_some() {
                serving.confirmed = true;
                gateways.insert(key.gateway.clone());
            }
        }
        let mut policies = BTreeSet::new();
        for (key, refusal) in &report.refused_backends {
            policies.insert(refusal.policy.clone());
            self.refusals.insert(key.clone(), refusal.clone());
        }
        (gateways, policies)
    }

    /// What was said about a listener.
    pub(crate) fn word(&self, key: &ListenerKey) -> Word<'_> {
        match self.listeners.get(key) {
            Some(Serving { state: Some(state), confirmed: true, .. }) => Word::Current(state),
            Some(Serving { state: Some(state), generation, .. }) => Word::Older(state, *generation),
            _ => Word::None,
        }
    }

    /// The Gateway's status says all about this generation.
    pub(crate) fn told(&mut self, gateway: &ObjectName, generation: Option<i64>) {
        // A listener of the Gateway itself comes before those of its sets, and the empty name before every other.
        let first = ListenerKey { gateway: gateway.clone(), set: None, name: "".into() };
        let own = self.listeners.range_mut(first..).take_while(|(key, _)| key.gateway == *gateway);
        for (_, serving) in own.filter(|(_, serving)| serving.confirmed) {
            serving.generation = generation;
        }
    }

    /// The backends whose TLS the dataplane could not set up.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (&BackendKey, &Refusal)> {
        self.refusals.iter()
    }

    /// Why the dataplane could not set up a backend's TLS.
    pub(crate) fn refusal(&self, key: &BackendKey) -> Option<&Refusal> {
        self.refusals.get(key)
    }
}
