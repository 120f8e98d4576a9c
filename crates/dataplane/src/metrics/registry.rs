//! Which counters there are: looked up when a worker meets an object for the first time, not on each request.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lasthop_dataplane_api::{BackendKey, ListenerKey, RouteKey, Snapshot};

use super::{BackendCounters, ListenerCounters, RequestCounters, WorkerCounters};

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
    series: Mutex<Series>,
}

/// The series of objects, each with one set of counters a worker.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) requests: BTreeMap<RequestSeries, Cells<RequestCounters>>,
    pub(super) listeners: BTreeMap<ListenerKey, Cells<ListenerCounters>>,
    pub(super) backends: BTreeMap<BackendKey, Cells<BackendCounters>>,
}

/// One set of counters for each worker that has met the object.
pub(super) type Cells<T> = BTreeMap<usize, Arc<T>>;

impl Metrics {
    /// Counters for so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers: (0..workers).map(|_| Arc::default()).collect(), series: Mutex::default() }
    }

    pub(super) fn series(&self) -> MutexGuard<'_, Series> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker's counters of requests.
    pub(crate) fn requests(&self, worker: usize, series: RequestSeries) -> Arc<RequestCounters> {
        self.series().requests.entry(series).or_default().entry(worker).or_default().clone()
    }

    /// A worker's counters of a listener.
    pub(crate) fn listener(&self, worker: usize, key: &ListenerKey) -> Arc<ListenerCounters> {
        self.series().listeners.entry(key.clone()).or_default().entry(worker).or_default().clone()
    }

    /// A worker's counters of a backend.
    pub(crate) fn backend(&self, worker: usize, key: &BackendKey) -> Arc<BackendCounters> {
        self.series().backends.entry(key.clone()).or_default().entry(worker).or_default().clone()
    }

    /// Forgets the series of objects that are no longer in the snapshot.
    pub(crate) fn keep_only(&self, snapshot: &Snapshot) {
        let mut series = self.series();
        let routes: std::collections::BTreeSet<_> =
            snapshot.http_rules.keys().map(|key| &key.route).collect();
        series.listeners.retain(|key, _| snapshot.listeners.contains_key(key));
        series.backends.retain(|key, _| snapshot.backends.contains_key(key));
        series.requests.retain(|key, _| {
            key.listener.as_ref().is_none_or(|listener| snapshot.listeners.contains_key(listener))
                && key.route.as_ref().is_none_or(|route| routes.contains(route))
                && key.backend.as_ref().is_none_or(|backend| snapshot.backends.contains_key(backend))
        });
    }
}
