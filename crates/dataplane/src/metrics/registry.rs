//! Which counters there are: looked up when a worker meets an object for the first time, not on each request.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lasthop_dataplane_api::{BackendKey, ListenerKey, RouteKey, Snapshot, Update};

use super::{
    BackendCounters, ListenerCounters, RequestCounters, WorkerCounters, names::NameBook, peers::Peers,
};

/// What requests are counted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestSeries {
    /// The listener; `None` where no listener takes the host.
    pub listener: Option<ListenerKey>,
    /// The route; `None` where none matched.
    pub route: Option<RouteKey>,
    /// The backend; `None` where the response is our own before one was chosen.
    pub backend: Option<BackendKey>,
}

/// The counters of all workers.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// By worker.
    pub workers: Vec<Arc<WorkerCounters>>,
    /// What endpoints presented.
    pub peers: Peers,
    /// What names resolved to.
    pub names: NameBook,
    series: Mutex<Series>,
}

/// The series of objects, each with one set of counters a worker.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) requests: BTreeMap<RequestSeries, Cells<RequestCounters>>,
    pub(super) listeners: BTreeMap<ListenerKey, Cells<ListenerCounters>>,
    pub(super) backends: BTreeMap<BackendKey, Cells<BackendCounters>>,
    /// The rules of each route.
    rules: BTreeMap<RouteKey, u32>,
}

/// One set of counters for each worker that has met the object.
pub(super) type Cells<T> = BTreeMap<usize, Arc<T>>;

/// The routes of rules that come and go with an update, one entry for each rule.
pub(crate) struct RuleChanges {
    added: Vec<RouteKey>,
    removed: Vec<RouteKey>,
}

impl RuleChanges {
    /// What the update changes in the snapshot.
    pub(crate) fn new(update: &Update, old: &Snapshot) -> Self {
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for (key, rule) in &update.http_rules.0 {
            match (old.http_rules.contains_key(key), rule) {
                (false, Some(_)) => added.push(key.route.clone()),
                (true, None) => removed.push(key.route.clone()),
                (false, None) | (true, Some(_)) => {}
            }
        }
        Self { added, removed }
    }
}

impl Metrics {
    /// Counters for so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        let workers = (0..workers).map(|_| Arc::default()).collect();
        Self { workers, peers: Peers::default(), names: NameBook::default(), series: Mutex::default() }
    }

    pub(super) fn series(&self) -> MutexGuard<'_, Series> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker's counters of requests.
    pub(crate) fn requests(&self, worker: usize, series: RequestSeries) -> Arc<RequestCounters> {
        let mut known = self.series();
        if !known.knows(&series) {
            return Arc::default();
        }
        known.requests.entry(series).or_default().entry(worker).or_default().clone()
    }

    /// A worker's counters of a listener.
    pub(crate) fn listener(&self, worker: usize, key: &ListenerKey) -> Arc<ListenerCounters> {
        self.series().listeners.entry(key.clone()).or_default().entry(worker).or_default().clone()
    }

    /// A worker's counters of a backend.
    pub(crate) fn backend(&self, worker: usize, key: &BackendKey) -> Arc<BackendCounters> {
        self.series().backends.entry(key.clone()).or_default().entry(worker).or_default().clone()
    }

    /// Takes note of new rules. Before the workers do.
    pub(crate) fn admit(&self, rules: &RuleChanges) {
        let mut series = self.series();
        for route in &rules.added {
            *series.rules.entry(route.clone()).or_default() += 1;
        }
    }

    /// Forgets the series of objects that the update takes away. After the workers did.
    pub(crate) fn forget(&self, update: &Update, rules: &RuleChanges) {
        let mut series = self.series();
        let mut less = false;
        for (key, _) in update.listeners.0.iter().filter(|(_, listener)| listener.is_none()) {
            less |= series.listeners.remove(key).is_some();
        }
        for (key, _) in update.backends.0.iter().filter(|(_, backend)| backend.is_none()) {
            less |= series.backends.remove(key).is_some();
        }
        for route in &rules.removed {
            if let Some(count) = series.rules.get_mut(route) {
                *count -= 1;
                if *count == 0 {
                    series.rules.remove(route);
                    less = true;
                }
            }
        }
        if less {
            let mut requests = std::mem::take(&mut series.requests);
            requests.retain(|key, _| series.knows(key));
            series.requests = requests;
        }
    }
}

impl Series {
    /// Whether the objects of a series are in force. A request that ends after they were taken away counts nowhere.
    fn knows(&self, series: &RequestSeries) -> bool {
        let RequestSeries { listener, route, backend } = series;
        listener.as_ref().is_none_or(|key| self.listeners.contains_key(key))
            && route.as_ref().is_none_or(|key| self.rules.contains_key(key))
            && backend.as_ref().is_none_or(|key| self.backends.contains_key(key))
    }
}
