//! What a Gateway's proxies say, put together: whether its listeners serve.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lasthop_dataplane_api::{BackendKey, ListenerKey, ListenerState, Refusal};

use crate::report::WireReport;

/// The proxies of a Gateway that are connected.
#[derive(Debug, Default)]
pub(super) struct Voices {
    proxies: BTreeMap<u64, Voice>,
    /// Listeners about which something may have to be said.
    pub(super) due: BTreeSet<ListenerKey>,
    /// What was said last, and about which version.
    told: HashMap<ListenerKey, (String, ListenerState)>,
    /// Backends that a proxy refused, with the version it refused.
    pub(super) refused: BTreeMap<BackendKey, (String, Refusal)>,
}

/// One proxy.
#[derive(Debug)]
struct Voice {
    node: String,
    /// Whether it is told by another replica what to serve.
    is_echo: bool,
    /// The state of listeners, with the version it is about.
    listeners: HashMap<ListenerKey, (String, ListenerState)>,
    /// Why it refused the newest update it was sent.
    refuses: Option<String>,
}

/// A listener's state by the proxies' word, about this version of it.
fn verdict(proxies: &BTreeMap<u64, Voice>, key: &ListenerKey, version: &str) -> Option<ListenerState> {
    if proxies.is_empty() {
        return None;
    }
    // What the user wants is in force nowhere, even if what was before is.
    if proxies.values().all(|voice| voice.refuses.is_some()) {
        let said = proxies.values().filter_map(|voice| Some((&voice.node, voice.refuses.as_ref()?)));
        let message = said.map(|(node, why)| format!("proxy {node} refused the configuration: {why}"));
        return Some(ListenerState::Failed {
            reason: "Invalid".into(),
            message: message.take(1).collect::<String>().into(),
        });
    }
    let states = proxies
        .values()
        .map(|voice| voice.listeners.get(key).filter(|(about, _)| about == version).map(|(_, state)| state));
    let mut failed = None;
    let mut silent = false;
    for state in states {
        match state {
            Some(state @ ListenerState::Bound(_)) => return Some(state.clone()),
            Some(state @ ListenerState::Failed { .. }) => failed = failed.or(Some(state)),
            None => silent = true,
        }
    }
    // As long as one has yet to answer it may be the one that serves.
    failed.filter(|_| !silent).cloned()
}

impl Voices {
    pub(super) fn is_empty(&self) -> bool {
        self.proxies.is_empty()
    }

    /// How many proxies are told here what to serve.
    pub(super) fn followers(&self) -> usize {
        self.proxies.values().filter(|voice| !voice.is_echo).count()
    }

    pub(super) fn join(&mut self, session: u64, node: String, is_echo: bool) {
        self.proxies.insert(session, Voice { node, is_echo, listeners: HashMap::new(), refuses: None });
    }

    pub(super) fn leave(&mut self, session: u64, listeners: impl Iterator<Item = ListenerKey>) {
        self.proxies.remove(&session);
        self.due.extend(listeners);
    }

    /// A proxy answered an update, with the reason if it refused it.
    pub(super) fn answered(
        &mut self,
        session: u64,
        refuses: Option<String>,
        listeners: impl Iterator<Item = ListenerKey>,
    ) {
        let Some(voice) = self.proxies.get_mut(&session) else { return };
        if voice.refuses != refuses {
            voice.refuses = refuses;
            self.due.extend(listeners);
        }
    }

    /// A proxy said something.
    pub(super) fn said(&mut self, session: u64, report: WireReport, known: &BTreeMap<ListenerKey, String>) {
        let Some(voice) = self.proxies.get_mut(&session) else { return };
        voice.listeners.retain(|key, _| known.contains_key(key));
        for said in report.listeners {
            // Nobody speaks of what is not there, nor of another Gateway's.
            if known.contains_key(&said.key) {
                voice.listeners.insert(said.key.clone(), (said.version, said.state));
                self.due.insert(said.key);
            }
        }
        for said in report.refused_backends {
            self.refused.insert(said.key, (said.version, said.refusal));
        }
    }

    /// A listener is new, changed or gone: what was said of it holds no longer.
    pub(super) fn changed(&mut self, key: &ListenerKey) {
        self.told.remove(key);
        self.due.insert(key.clone());
    }

    /// What is to be said now.
    pub(super) fn take(
        &mut self,
        known: &BTreeMap<ListenerKey, String>,
    ) -> Vec<(ListenerKey, ListenerState)> {
        let mut news = Vec::new();
        for key in std::mem::take(&mut self.due) {
            let Some(version) = known.get(&key) else {
                self.told.remove(&key);
                continue;
            };
            let Some(state) = verdict(&self.proxies, &key, version) else { continue };
            let new = (version.clone(), state);
            if self.told.get(&key) != Some(&new) {
                news.push((key.clone(), new.1.clone()));
                self.told.insert(key, new);
            }
        }
        news
    }
}

#[cfg(test)]
mod tests;
