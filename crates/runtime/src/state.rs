//! What the shell knows about itself at any moment: what the admin endpoint shows.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU8, Ordering},
};

use lasthop_dataplane_api::Snapshot;
use serde_json::Value;

/// How far the process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is in force yet.
    Starting,
    /// A snapshot is in force.
    Ready,
    /// The process is about to end.
    Draining,
}

/// The state, shared between the loop that changes it and the admin endpoint.
#[derive(Debug, Default)]
pub struct State {
    phase: AtomicU8,
    snapshot: Mutex<Arc<Snapshot>>,
    status: Mutex<Arc<Value>>,
}

impl State {
    /// How far the process is.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }

    /// Notes how far the process is. It only ever goes forwards.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        lock(&self.snapshot).clone()
    }

    /// Changes the snapshot in force.
    pub fn change_snapshot(&self, change: impl FnOnce(&mut Snapshot)) {
        // Copied only while somebody else looks at it.
        change(Arc::make_mut(&mut lock(&self.snapshot)));
    }

    /// The objects' conditions and the source's problems, ready to be shown.
    pub fn status(&self) -> Arc<Value> {
        lock(&self.status).clone()
    }

    /// Replaces the conditions and problems.
    pub fn set_status(&self, status: Value) {
        *lock(&self.status) = Arc::new(status);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phase_only_goes_forwards() {
        let state = State::default();
        assert_eq!(state.phase(), Phase::Starting);
        state.set_phase(Phase::Draining);
        state.set_phase(Phase::Ready);
        assert_eq!(state.phase(), Phase::Draining);
    }

    #[test]
    fn a_snapshot_that_is_looked_at_stays_as_it_is() {
        let state = State::default();
        let seen = state.snapshot();
        state.change_snapshot(|snapshot| snapshot.version = 2);
        assert_eq!((seen.version, state.snapshot().version), (0, 2));
    }
}
