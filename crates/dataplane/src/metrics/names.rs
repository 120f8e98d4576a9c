//! What became of the names of backends.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

/// What came of asking for a name's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookupOutcome {
    /// There are some.
    Answered,
    /// One family was answered, the other one was not.
    Partial,
    /// There are none.
    Empty,
    /// Nobody answered.
    Failed,
}

impl LookupOutcome {
    const ALL: [(Self, &str); 4] = [
        (Self::Answered, "answered"),
        (Self::Partial, "partial"),
        (Self::Empty, "empty"),
        (Self::Failed, "failed"),
    ];
}

/// The names, and how often they were asked for.
#[derive(Debug, Default)]
pub(crate) struct NameBook {
    lookups: [AtomicU64; 4],
    names: Mutex<BTreeMap<Arc<str>, Noted>>,
}

#[derive(Debug, Default)]
struct Noted {
    addresses: usize,
    confirmed: Option<Instant>,
}

impl NameBook {
    fn names(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Noted>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a lookup.
    pub(crate) fn count(&self, outcome: LookupOutcome) {
        if let Some(count) = self.lookups.get(outcome as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// A resolver answered.
    pub(crate) fn confirm(&self, name: &Arc<str>) {
        self.names().entry(name.clone()).or_default().confirmed = Some(Instant::now());
    }

    /// The addresses in force; `None`: the name is nobody's any more.
    pub(crate) fn resolved(&self, name: &Arc<str>, addresses: Option<&Arc<[IpAddr]>>) {
        match addresses {
            Some(addresses) => self.names().entry(name.clone()).or_default().addresses = addresses.len(),
            None => drop(self.names().remove(name)),
        }
    }

    /// Lookups by outcome.
    pub(super) fn lookups(&self) -> impl Iterator<Item = (&'static str, u64)> {
        LookupOutcome::ALL.into_iter().filter_map(|(outcome, name)| {
            let count = self.lookups.get(outcome as usize)?.load(Relaxed);
            (count > 0).then_some((name, count))
        })
    }

    /// Each name with the number of its addresses and, if there ever was an answer, the seconds since the last one.
    pub(super) fn standing(&self) -> Vec<(String, usize, Option<u64>)> {
        let names = self.names();
        let one = |(name, noted): (&Arc<str>, &Noted)| {
            let age = noted.confirmed.map(|confirmed| confirmed.elapsed().as_secs());
            (name.to_string(), noted.addresses, age)
        };
        names.iter().map(one).collect()
    }
}
