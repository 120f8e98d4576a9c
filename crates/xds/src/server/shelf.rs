//! What one Gateway's proxies get.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use lasthop_dataplane_api::{EndpointsKey, ListenerKey, RuleKey};
use tokio::sync::watch;

use super::{entry::Entry, verdict::Voices};

/// So many changes are remembered one by one. A proxy further behind starts over by telling what it has.
const REMEMBERED: usize = 1024;

/// The resources of one Gateway.
#[derive(Debug)]
pub(super) struct Shelf {
    entries: HashMap<Arc<str>, Arc<Entry>>,
    /// How many entries refer to a blob.
    references: HashMap<Arc<str>, usize>,
    /// The endpoints that a backend of the Gateway leads to.
    pub(super) wanted_endpoints: BTreeSet<EndpointsKey>,
    /// The rules that keep clients' sessions.
    pub(super) keeps_sessions: BTreeSet<RuleKey>,
    /// The names that changed, by generation.
    log: VecDeque<(u64, Vec<Arc<str>>)>,
    changing: BTreeSet<Arc<str>>,
    /// Counts the changes.
    generation: watch::Sender<u64>,
    /// The listeners with their versions.
    pub(super) listeners: BTreeMap<ListenerKey, String>,
    /// What the proxies say.
    pub(super) voices: Voices,
}

/// What a proxy lacks.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub(super) changed: Vec<Arc<Entry>>,
    pub(super) removed: Vec<Arc<str>>,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            references: HashMap::new(),
            wanted_endpoints: BTreeSet::new(),
            keeps_sessions: BTreeSet::new(),
            log: VecDeque::new(),
            changing: BTreeSet::new(),
            generation: watch::Sender::new(0),
            listeners: BTreeMap::new(),
            voices: Voices::default(),
        }
    }
}

impl Shelf {
    /// Nothing to give, and nobody who wants it.
    pub(super) fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.voices.is_empty() && self.generation.receiver_count() == 0
    }

    pub(super) fn version_of(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(|entry| entry.version.as_str())
    }

    /// Puts a resource there, and what it refers to. `blob_of` finds or makes the entry of a blob.
    pub(super) fn put(
        &mut self,
        entry: Arc<Entry>,
        mut blob_of: impl FnMut(&crate::wire::Named) -> Arc<Entry>,
    ) {
        if self.entries.get(&entry.name).is_some_and(|old| old.version == entry.version) {
            return;
        }
        for blob in &entry.blobs {
            let name = &blob.name;
            let count = self.references.entry(name.clone()).or_insert(0);
            *count += 1;
            if *count == 1 {
                self.entries.insert(name.clone(), blob_of(blob));
                self.changing.insert(name.clone());
            }
        }
        self.changing.insert(entry.name.clone());
        let old = self.entries.insert(entry.name.clone(), entry);
        self.release(old);
    }

    pub(super) fn remove(&mut self, name: &str) {
        let old = self.entries.remove(name);
        if let Some(old) = &old {
            self.changing.insert(old.name.clone());
        }
        self.release(old);
    }

    fn release(&mut self, entry: Option<Arc<Entry>>) {
        for blob in entry.iter().flat_map(|entry| &entry.blobs) {
            let name = &blob.name;
            let Some(count) = self.references.get_mut(name) else { continue };
            *count -= 1;
            if *count == 0 {
                self.references.remove(name);
                self.entries.remove(name);
                self.changing.insert(name.clone());
            }
        }
    }

    /// What was put and removed since the last time becomes one change, and the proxies hear of it.
    pub(super) fn commit(&mut self) {
        if self.changing.is_empty() {
            return;
        }
        let changed = std::mem::take(&mut self.changing).into_iter().collect();
        let generation = self.generation() + 1;
        self.log.push_back((generation, changed));
        if self.log.len() > REMEMBERED {
            self.log.pop_front();
        }
        self.generation.send_replace(generation);
    }

    pub(super) fn generation(&self) -> u64 {
        *self.generation.borrow()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// What a proxy lacks that has these versions.
    pub(super) fn since_versions(&self, versions: &HashMap<String, String>) -> Difference {
        let lacks = |entry: &&Arc<Entry>| versions.get(&*entry.name) != Some(&entry.version);
        Difference {
            changed: self.entries.values().filter(lacks).cloned().collect(),
            removed: versions
                .keys()
                .filter(|name| !self.entries.contains_key(name.as_str()))
                .map(|name| name.as_str().into())
                .collect(),
        }
    }

    /// What a proxy lacks that has this generation; `None` if that is forgotten.
    pub(super) fn since(&self, generation: u64) -> Option<Difference> {
        let oldest = self.log.front().map_or(self.generation(), |(first, _)| first - 1);
        if generation < oldest {
            return None;
        }
        let later = self.log.iter().rev().take_while(|(at, _)| *at > generation);
        let names: BTreeSet<&Arc<str>> = later.flat_map(|(_, names)| names).collect();
        let mut difference = Difference::default();
        for name in names {
            match self.entries.get(name) {
                Some(entry) => difference.changed.push(entry.clone()),
                None => difference.removed.push(name.clone()),
            }
        }
        Some(difference)
    }
}

impl Difference {
    pub(super) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}
