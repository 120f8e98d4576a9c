//! Counters with one writer: a worker counts with plain loads and stores, the collector adds the workers up.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// A number that one thread writes and others read.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Adds.
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes one away.
    pub(crate) fn drop_one(&self) {
        self.0.store(self.0.load(Relaxed).saturating_sub(1), Relaxed);
    }

    /// Reads it, from any thread.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Counts by names from a closed set. Locked, for events that are no part of a request that goes well; the lock is
/// this worker's own.
#[derive(Debug)]
pub(crate) struct Named<K>(Mutex<BTreeMap<K, u64>>);

impl<K> Default for Named<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Copy> Named<K> {
    /// Adds one.
    pub(crate) fn count(&self, name: K) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
    }

    /// Adds these counts to `sums`.
    pub(crate) fn add_to(&self, sums: &mut BTreeMap<K, u64>) {
        for (name, n) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            *sums.entry(*name).or_default() += n;
        }
    }
}

/// Responses of one listener, route and backend, by the class of the status.
#[derive(Debug, Default)]
pub(crate) struct RequestCounters {
    /// 1xx to 5xx.
    pub classes: [Count; 5],
}

impl RequestCounters {
    /// Counts a response.
    pub(crate) fn count(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        if let Some(count) = self.classes.get(class) {
            count.add(1);
        }
    }
}

/// The upper bounds of the histogram's buckets, in microseconds.
pub(crate) const BUCKETS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000, 60_000_000,
];

/// What a listener counts.
#[derive(Debug, Default)]
pub(crate) struct ListenerCounters {
    /// Durations by bucket; the last is over all bounds.
    pub durations: [Count; BUCKETS.len() + 1],
    /// The sum of the durations, in microseconds.
    pub duration_sum: Count,
    /// Failures that are the client's or the configuration's.
    pub failures: Named<&'static str>,
    /// Connections that are handed on as a whole.
    pub l4: L4Counters,
}

impl ListenerCounters {
    /// Counts a request's duration.
    pub(crate) fn duration(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|bound| micros <= *bound).unwrap_or(BUCKETS.len());
        if let Some(count) = self.durations.get(bucket) {
            count.add(1);
        }
        self.duration_sum.add(micros);
    }
}

/// What a backend counts.
#[derive(Debug, Default)]
pub(crate) struct BackendCounters {
    /// Failed attempts.
    pub failures: Named<&'static str>,
    /// Connections that are handed on as a whole.
    pub l4: L4Counters,
}

/// Connections that are handed on as a whole, and UDP sessions, of a listener or of a backend.
#[derive(Debug, Default)]
pub(crate) struct L4Counters {
    /// Open now.
    pub active: Count,
    /// Begun since the start.
    pub total: Count,
    /// Bytes from clients.
    pub bytes_in: Count,
    /// Bytes to clients.
    pub bytes_out: Count,
}

impl L4Counters {
    /// One more.
    pub(crate) fn open(&self) {
        self.active.add(1);
        self.total.add(1);
    }
}

/// Which side of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Downstream,
    Upstream,
}

/// Connections of one side.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    /// Open now.
    pub active: Count,
    /// Opened since the start.
    pub total: Count,
}

/// What a worker counts beyond requests.
#[derive(Debug, Default)]
pub(crate) struct WorkerCounters {
    /// Clients' connections.
    pub downstream: Connections,
    /// Backend connections.
    pub upstream: Connections,
    /// Backend connections that wait in a pool.
    pub upstream_idle: Count,
    /// Requests that took a connection from the pool.
    pub upstream_reused: Count,
    /// Handshakes by side, result and whether a session was resumed.
    pub handshakes: Named<(Side, &'static str, bool)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_durations_fall_into_their_classes() {
        let requests = RequestCounters::default();
        [200, 204, 404, 502, 999, 0].into_iter().for_each(|status| requests.count(status));
        let classes: Vec<_> = requests.classes.iter().map(Count::get).collect();
        assert_eq!(classes, [1, 2, 0, 1, 2]);

        let listener = ListenerCounters::default();
        listener.duration(Duration::from_micros(500));
        listener.duration(Duration::from_secs(100));
        assert_eq!(listener.durations[0].get(), 1);
        assert_eq!(listener.durations[BUCKETS.len()].get(), 1);
        assert_eq!(listener.duration_sum.get(), 100_000_500);
    }
}
