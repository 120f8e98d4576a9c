//! What the dataplane said, kept for controllers that come later.

use std::collections::BTreeMap;

use lasthop_dataplane_api::{BackendKey, ListenerKey, ListenerState, Report, Update};

use super::held::Held;
use crate::report::{SaidBackend, SaidListener, WireReport};

/// What the dataplane said of what is in force.
#[derive(Default)]
pub(super) struct Said {
    listeners: BTreeMap<ListenerKey, SaidListener>,
    refused: BTreeMap<BackendKey, SaidBackend>,
}

impl Said {
    /// An update came: what was said of backends that it changes and of listeners that it removes holds no longer.
    pub(super) fn forget(&mut self, update: &Update) {
        for (key, _) in update.listeners.0.iter().filter(|(_, listener)| listener.is_none()) {
            self.listeners.remove(key);
        }
        for (key, _) in &update.backends.0 {
            self.refused.remove(key);
        }
    }

    /// Takes a report about what is held, and gives it in the form in which it goes up.
    ///
    /// A listener that did not change what it listens on keeps its state through an update, so the word about the
    /// version before is renewed for the version that is held.
    pub(super) fn note(&mut self, report: Report, update: Option<&Update>, held: &Held) -> WireReport {
        let mut up = WireReport::default();
        let mut states: BTreeMap<ListenerKey, ListenerState> = report.listeners.into_iter().collect();
        for (key, _) in update.iter().flat_map(|update| &update.listeners.0) {
            if let Some(said) = self.listeners.get(key) {
                states.entry(key.clone()).or_insert_with(|| said.state.clone());
            }
        }
        for (key, state) in states {
            let Some(version) = held.version_of_listener(&key) else { continue };
            let said = SaidListener { key: key.clone(), version: version.to_owned(), state };
            self.listeners.insert(key, said.clone());
            up.listeners.push(said);
        }
        for (key, refusal) in report.refused_backends {
            let Some(version) = held.version_of_backend(&key) else { continue };
            let said = SaidBackend { key: key.clone(), version: version.to_owned(), refusal };
            self.refused.insert(key, said.clone());
            up.refused_backends.push(said);
        }
        up
    }

    /// Everything, for a controller that knows nothing yet.
    pub(super) fn all(&self) -> WireReport {
        WireReport {
            listeners: self.listeners.values().cloned().collect(),
            refused_backends: self.refused.values().cloned().collect(),
            refuses: None,
        }
    }
}
