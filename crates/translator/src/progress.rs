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

    /// The dataplane said something: about everything up to the report's version, or only about what it names. Gives the
    /// Gateways and the policies (as `namespace/name`) it concerns.
    pub(crate) fn report(
        &mut self,
        report: &Report,
        only_named: bool,
    ) -> (BTreeSet<ObjectName>, BTreeSet<Arc<str>>) {
        let mut gateways = BTreeSet::new();
        for (key, state) in &report.listeners {
            if let Some(serving) = self.listeners.get_mut(key) {
                serving.state = Some(state.clone());
                serving.confirmed |= serving.wanted <= report.version;
                gateways.insert(key.gateway.clone());
            }
        }
        for (key, serving) in self.listeners.iter_mut().filter(|_| !only_named) {
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

#[cfg(test)]
mod tests {
    use lasthop_dataplane_api::{Changes, Listener, ListenerProtocol};

    use super::*;

    fn key(gateway: &str) -> ListenerKey {
        ListenerKey { gateway: ObjectName::new("n", gateway), set: None, name: "http".into() }
    }

    fn update(version: u64, gateways: &[&str]) -> Update {
        let listener = |gateway: &&str| {
            let listener = Listener {
                key: key(gateway),
                port: 80,
                addresses: Vec::new(),
                protocol: ListenerProtocol::HTTP,
                hostname: None,
                tls: None,
                proxy_protocol: false,
            };
            (listener.key.clone(), Some(Arc::new(listener)))
        };
        Update { version, listeners: Changes(gateways.iter().map(listener).collect()), ..Update::default() }
    }

    fn bound(version: u64, gateway: &str) -> Report {
        let listeners = vec![(key(gateway), ListenerState::Bound(Vec::new()))];
        Report { version, listeners, ..Report::default() }
    }

    #[test]
    fn a_word_about_one_listener_is_no_word_about_another() {
        let mut progress = Progress::default();
        progress.expect(&update(1, &["a", "b"]));
        for gateway in ["a", "b"] {
            progress.report(&bound(1, gateway), true);
            assert!(matches!(progress.word(&key(gateway)), Word::Current(_)));
        }
        progress.expect(&update(2, &["a", "b"]));
        progress.report(&bound(2, "a"), true);
        assert!(matches!(progress.word(&key("a")), Word::Current(_)));
        assert!(matches!(progress.word(&key("b")), Word::Older(..)), "its proxies have yet to answer");
        progress.report(&bound(1, "b"), true);
        assert!(matches!(progress.word(&key("b")), Word::Older(..)), "this was about the version before");
        progress.report(&bound(2, "a"), false);
        assert!(
            matches!(progress.word(&key("b")), Word::Current(_)),
            "everything up to version 2 is in force"
        );
    }
}
