//! TLS sessions to resume, per TLS policy and endpoint.
//!
//! Resumption skips the verification of the peer's certificate in every stack. So a store belongs to one policy and
//! one endpoint, and no session outlives what was verified when it began: see [`Deadline`].

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pki_types::UnixTime;

/// How many sessions one endpoint may leave with us. A peer that floods us with tickets replaces its own.
pub(crate) const MOST_SESSIONS: usize = 32;

/// How long after a full handshake its sessions, and those that follow from them, may be resumed.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Until when a verdict may be relied on: an hour after it, or until the leaf expires. All sessions that go back to
/// one full handshake share one deadline, so a chain of resumptions cannot stretch it.
#[derive(Clone, Debug)]
pub(crate) struct Deadline(Arc<AtomicU64>);

impl Deadline {
    pub(crate) fn after(now: UnixTime) -> Self {
        Self(Arc::new(AtomicU64::new(now.as_secs().saturating_add(LONGEST.as_secs()))))
    }

    /// Brings it forward to when the leaf expires.
    pub(crate) fn no_later_than(&self, not_after: UnixTime) {
        self.0.fetch_min(not_after.as_secs(), Ordering::Relaxed);
    }

    fn passed(&self, now: UnixTime) -> bool {
        self.0.load(Ordering::Relaxed) < now.as_secs()
    }
}

/// One session, for the server name it was made with: a backend may tell its hosts apart by it.
struct Stored<S> {
    name: Arc<str>,
    deadline: Deadline,
    session: S,
}

/// A bounded number of sessions, the newest last.
pub(crate) struct SessionStore<S>(Mutex<VecDeque<Stored<S>>>);

impl<S> SessionStore<S> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    pub(crate) fn put(&self, name: &Arc<str>, deadline: &Deadline, session: S) {
        let mut sessions = lock(&self.0);
        if sessions.len() >= MOST_SESSIONS {
            sessions.pop_front();
        }
        sessions.push_back(Stored { name: name.clone(), deadline: deadline.clone(), session });
    }

    /// The newest session for the name; it is used once (RFC 8446 §C.4).
    pub(crate) fn take(&self, name: &str, now: UnixTime) -> Option<(S, Deadline)> {
        let mut sessions = lock(&self.0);
        sessions.retain(|stored| !stored.deadline.passed(now));
        let place = sessions.iter().rposition(|stored| *stored.name == *name)?;
        sessions.remove(place).map(|stored| (stored.session, stored.deadline))
    }

    /// Forgets the sessions for the name.
    #[cfg(feature = "rustls")]
    pub(crate) fn forget(&self, name: &str) {
        lock(&self.0).retain(|stored| *stored.name != *name);
    }
}

/// The endpoints of a policy. One that nobody holds any more is dropped when room is needed.
pub(crate) struct Endpoints<E> {
    held: Mutex<(HashMap<SocketAddr, Arc<E>>, usize)>,
}

impl<E> Endpoints<E> {
    const AT_FIRST: usize = 64;

    pub(crate) fn new() -> Self {
        Self { held: Mutex::new((HashMap::new(), Self::AT_FIRST)) }
    }

    pub(crate) fn get(&self, address: SocketAddr, make: impl FnOnce() -> E) -> Arc<E> {
        let mut held = lock(&self.held);
        let (endpoints, room) = &mut *held;
        if let Some(endpoint) = endpoints.get(&address) {
            return endpoint.clone();
        }
        if endpoints.len() >= *room {
            endpoints.retain(|_, endpoint| Arc::strong_count(endpoint) > 1);
            *room = Self::AT_FIRST.max(endpoints.len() * 2);
        }
        let endpoint = Arc::new(make());
        endpoints.insert(address, endpoint.clone());
        endpoint
    }
}

/// What is behind these locks is whole at every moment, also after a panic elsewhere.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn a_flood_replaces_the_oldest() {
        let (store, name) = (SessionStore::new(), Arc::from("a"));
        let deadline = Deadline::after(at(0));
        (0..10_000).for_each(|i| store.put(&name, &deadline, i));
        assert_eq!(lock(&store.0).len(), MOST_SESSIONS);
        assert_eq!(store.take("a", at(1)).unwrap().0, 9_999);
        assert!(store.take("b", at(1)).is_none());
    }

    #[test]
    fn sessions_die_with_the_verdict_they_stand_on() {
        let (store, name) = (SessionStore::new(), Arc::from("a"));
        let deadline = Deadline::after(at(0));
        store.put(&name, &deadline, 1);
        let (session, inherited) = store.take("a", at(3_600)).unwrap();
        store.put(&name, &inherited, session);
        assert!(store.take("a", at(3_601)).is_none());
        let deadline = Deadline::after(at(0));
        store.put(&name, &deadline, 2);
        deadline.no_later_than(at(10));
        assert!(store.take("a", at(11)).is_none());
    }

    #[test]
    fn endpoints_are_the_same_while_held_and_bounded() {
        let endpoints = Endpoints::new();
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let kept = endpoints.get(address(1), || 0);
        (2..10_000).for_each(|port| drop(endpoints.get(address(port), || port)));
        assert!(lock(&endpoints.held).0.len() <= 64);
        assert!(Arc::ptr_eq(&kept, &endpoints.get(address(1), || 1)));
    }
}
