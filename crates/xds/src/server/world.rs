//! Everything the server knows: one shelf for each Gateway.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
};

use lasthop_dataplane_api::{
    EndpointSet, EndpointsKey, ListenerKey, ObjectName, Report, SessionSecret, Update,
};

use super::{entry::Entry, shelf::Shelf};
use crate::{kind::Kind, sessions::of_gateway, wire::Named};

/// The state behind the server's lock. Nothing in here waits.
#[derive(Debug, Default)]
pub(super) struct World {
    /// The last update.
    pub(super) version: u64,
    shelves: BTreeMap<ObjectName, Shelf>,
    /// All endpoints: they belong to no Gateway, and go to those whose backends lead to them.
    endpoints: BTreeMap<EndpointsKey, Arc<EndpointSet>>,
    /// Blobs that some shelf holds, so that Gateways share them.
    blobs: HashMap<Arc<str>, Weak<Entry>>,
    /// What each Gateway's secret for clients' sessions is made from.
    session_master: Option<SessionSecret>,
}

/// A Gateway, a resource's name, and the resource unless it is gone.
type Placed<'a> = (&'a ObjectName, Arc<str>, Option<Arc<Entry>>);

/// An update, encoded and sorted by Gateway: done without the lock.
pub(super) struct Prepared<'a> {
    update: &'a Update,
    listeners: Vec<(&'a ListenerKey, Option<Arc<Entry>>)>,
    /// Rules and backends.
    others: Vec<Placed<'a>>,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(update: &'a Update) -> Self {
        // Endpoints belong to no Gateway, and a secret is of our own making here.
        let Update { version: _, listeners, http_rules, l4_rules, backends, endpoints: _, session_secret: _ } =
            update;
        let listeners =
            listeners.0.iter().map(|(key, value)| (key, value.as_deref().map(Entry::listener))).collect();
        let http = http_rules.0.iter().map(|(key, value)| {
            (&key.gateway, Kind::HttpRule.name(key), value.as_deref().map(Entry::http_rule))
        });
        let l4 = l4_rules
            .0
            .iter()
            .map(|(key, value)| (&key.gateway, Kind::L4Rule.name(key), value.as_deref().map(Entry::l4_rule)));
        let backends = backends.0.iter().map(|(key, value)| {
            (&key.gateway, Kind::Backend.name(key), value.as_deref().map(Entry::backend))
        });
        Self { update, listeners, others: http.chain(l4).chain(backends).collect() }
    }
}

impl World {
    /// Takes over an update.
    pub(super) fn apply(&mut self, prepared: Prepared<'_>) {
        let Prepared { update, listeners, others } = prepared;
        self.version = update.version;
        let blobs = &mut self.blobs;
        let mut blob_of = |blob: &Named| shared(blobs, blob);
        for (key, entry) in listeners {
            let shelf = self.shelves.entry(key.gateway.clone()).or_default();
            match entry {
                Some(entry) => {
                    shelf.listeners.insert(key.clone(), entry.version.clone());
                    shelf.put(entry, &mut blob_of);
                }
                None => {
                    shelf.listeners.remove(key);
                    shelf.remove(&Kind::Listener.name(key));
                }
            }
            shelf.voices.changed(key);
        }
        for (gateway, name, entry) in others {
            let shelf = self.shelves.entry(gateway.clone()).or_default();
            match entry {
                Some(entry) => shelf.put(entry, &mut blob_of),
                None => shelf.remove(&name),
            }
        }
        self.apply_endpoints(update);
        for (key, rule) in &update.http_rules.0 {
            let Some(shelf) = self.shelves.get_mut(&key.gateway) else { continue };
            match rule.as_ref().is_some_and(|rule| rule.persistence.is_some()) {
                true => shelf.keeps_sessions.insert(key.clone()),
                false => shelf.keeps_sessions.remove(key),
            };
        }
        self.share_secrets();
        self.shelves.values_mut().for_each(Shelf::commit);
        self.shelves.retain(|_, shelf| !shelf.is_idle());
        self.blobs.retain(|_, entry| entry.strong_count() > 0);
    }

    /// From now on each Gateway's secret for clients' sessions is made from this one.
    pub(super) fn set_session_master(&mut self, master: SessionSecret) {
        if self.session_master.as_ref() == Some(&master) {
            return;
        }
        self.session_master = Some(master);
        // Those of before are of another master.
        for (gateway, shelf) in &mut self.shelves {
            shelf.remove(&Kind::SessionSecret.name(gateway));
        }
        self.share_secrets();
        self.shelves.values_mut().for_each(Shelf::commit);
    }

    /// Those that keep clients' sessions get a secret of their Gateway's own, so that any of its proxies takes over
    /// another one's sessions.
    fn share_secrets(&mut self) {
        let Some(master) = &self.session_master else { return };
        for (gateway, shelf) in &mut self.shelves {
            let name = Kind::SessionSecret.name(gateway);
            match (shelf.keeps_sessions.is_empty(), shelf.version_of(&name)) {
                (true, Some(_)) => shelf.remove(&name),
                (true, None) | (false, Some(_)) => {}
                (false, None) => {
                    shelf.put(Entry::session_secret(gateway, &of_gateway(master, gateway)), Entry::blob);
                }
            }
        }
    }

    fn apply_endpoints(&mut self, update: &Update) {
        for (key, value) in &update.endpoints.0 {
            match value {
                Some(endpoints) => self.endpoints.insert(key.clone(), endpoints.clone()),
                None => self.endpoints.remove(key),
            };
        }
        for (key, value) in &update.backends.0 {
            let Some(shelf) = self.shelves.get_mut(&key.gateway) else { continue };
            shelf.voices.refused.remove(key);
            if value.is_none() {
                shelf.wanted_endpoints.remove(&key.endpoints);
                shelf.remove(&Kind::Endpoints.name(&key.endpoints));
            } else if shelf.wanted_endpoints.insert(key.endpoints.clone())
                && let Some(endpoints) = self.endpoints.get(&key.endpoints)
            {
                shelf.put(Entry::endpoints(endpoints), Entry::blob);
            }
        }
        for (key, value) in &update.endpoints.0 {
            let entry = value.as_deref().map(Entry::endpoints);
            for shelf in self.shelves.values_mut().filter(|shelf| shelf.wanted_endpoints.contains(key)) {
                match &entry {
                    Some(entry) => shelf.put(entry.clone(), Entry::blob),
                    None => shelf.remove(&Kind::Endpoints.name(key)),
                }
            }
        }
    }

    /// The shelf of a Gateway; an empty one if nothing is known of it.
    pub(super) fn shelf(&mut self, gateway: &ObjectName) -> &mut Shelf {
        self.shelves.entry(gateway.clone()).or_default()
    }

    pub(super) fn gateways(&self) -> usize {
        self.shelves.len()
    }

    /// Forgets a Gateway that has nothing and nobody.
    pub(super) fn tidy(&mut self, gateway: &ObjectName) {
        if self.shelves.get(gateway).is_some_and(Shelf::is_idle) {
            self.shelves.remove(gateway);
        }
    }

    /// What is to be said now about listeners and backends.
    pub(super) fn news(&mut self) -> Option<Report> {
        let mut report = Report { version: self.version, ..Report::default() };
        for shelf in self.shelves.values_mut() {
            let news = shelf.voices.take(&shelf.listeners);
            report.listeners.extend(news);
            let refused = std::mem::take(&mut shelf.voices.refused);
            let newest = refused.into_iter().filter(|(key, (version, _))| {
                shelf.version_of(&Kind::Backend.name(key)) == Some(version.as_str())
            });
            report.refused_backends.extend(newest.map(|(key, (_, refusal))| (key, refusal)));
        }
        let silent = report.listeners.is_empty() && report.refused_backends.is_empty();
        (!silent).then_some(report)
    }
}

fn shared(blobs: &mut HashMap<Arc<str>, Weak<Entry>>, blob: &Named) -> Arc<Entry> {
    if let Some(entry) = blobs.get(&blob.name).and_then(Weak::upgrade) {
        return entry;
    }
    let entry = Entry::blob(blob);
    blobs.insert(blob.name.clone(), Arc::downgrade(&entry));
    entry
}

#[cfg(test)]
mod tests;
