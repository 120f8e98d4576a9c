//! Statuses that could not be written.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lasthop_api_model::ResourceKey;

/// The longest wait before another attempt.
const LATEST: Duration = Duration::from_secs(300);

/// The objects whose statuses could not be written: each is told of once, and waits once, twice as long each time.
#[derive(Debug, Default)]
pub(super) struct Failing(Mutex<HashMap<ResourceKey, Failure>>);

#[derive(Debug)]
struct Failure {
    why: String,
    times: u32,
    waits: bool,
}

impl Failing {
    fn all(&self) -> MutexGuard<'_, HashMap<ResourceKey, Failure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody waits any more.
    pub(super) fn forget_all(&self) {
        self.all().clear();
    }

    /// An attempt failed. How long to wait for the next one, unless somebody does already.
    pub(super) fn failed(&self, key: &ResourceKey, after: Duration, why: &str) -> Option<Duration> {
        let mut all = self.all();
        let failure =
            all.entry(key.clone()).or_insert_with(|| Failure { why: String::new(), times: 0, waits: false });
        if failure.why != why {
            tracing::warn!(object = %key, "the status could not be written, it is tried again: {why}");
            why.clone_into(&mut failure.why);
        }
        if std::mem::replace(&mut failure.waits, true) {
            return None;
        }
        let wait = after.saturating_mul(1 << failure.times.min(16)).min(LATEST);
        failure.times = failure.times.saturating_add(1);
        Some(wait)
    }

    /// The wait is over.
    pub(super) fn waited(&self, key: &ResourceKey) {
        if let Some(failure) = self.all().get_mut(key) {
            failure.waits = false;
        }
    }

    /// It was written, or is gone.
    pub(super) fn mended(&self, key: &ResourceKey) {
        let mut all = self.all();
        // Who waits for it finds nothing to do.
        if all.remove(key).is_some() {
            tracing::info!(object = %key, "the status could be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use lasthop_api_model::ResourceKind;

    use super::*;

    #[test]
    fn one_waits_for_each_object_longer_each_time() {
        let failing = Failing::default();
        let key = ResourceKey::new(ResourceKind::HttpRoute, "shop", "a");
        let second = Duration::from_secs(1);
        assert_eq!(failing.failed(&key, second, "no"), Some(second));
        assert_eq!(failing.failed(&key, second, "no"), None, "one waits already");
        failing.waited(&key);
        assert_eq!(failing.failed(&key, second, "no"), Some(2 * second));
        for _ in 0..40 {
            failing.waited(&key);
            failing.failed(&key, second, "no");
        }
        failing.waited(&key);
        assert_eq!(failing.failed(&key, second, "no"), Some(LATEST));
        failing.mended(&key);
        assert_eq!(failing.failed(&key, second, "no"), Some(second));
    }
}
