//! What the shell knows about itself at any moment: what the admin endpoint shows.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU8, Ordering},
};

use lasthop_dataplane_api::Snapshot;
use tokio::sync::watch;

use crate::status::Board;

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
#[derive(Debug)]
pub struct State {
    phase: AtomicU8,
    ready: watch::Sender<bool>,
    snapshot: Mutex<Arc<Snapshot>>,
    board: Mutex<Board>,
}

impl State {
    /// The state at the start. `controller` is the name our conditions carry.
    pub fn new(controller: impl Into<String>) -> Self {
        Self {
            phase: AtomicU8::new(Phase::Starting as u8),
            ready: watch::Sender::new(false),
            snapshot: Mutex::default(),
            board: Mutex::new(Board::new(controller)),
        }
    }

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
        self.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
    }

    /// Waits until something is in force.
    pub async fn ready(&self) {
        // The sender lives as long as `self` does.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
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

    /// Looks at the conditions and problems, or changes them.
    pub fn change_board<T>(&self, change: impl FnOnce(&mut Board) -> T) -> T {
        change(&mut lock(&self.board))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_phase_only_goes_forwards() {
        let state = State::new("us");
        assert_eq!(state.phase(), Phase::Starting);
        state.set_phase(Phase::Draining);
        state.set_phase(Phase::Ready);
        assert_eq!(state.phase(), Phase::Draining);
        state.ready().await;
    }

    #[test]
    fn a_snapshot_that_is_looked_at_stays_as_it_is() {
        let state = State::new("us");
        let seen = state.snapshot();
        state.change_snapshot(|snapshot| snapshot.version = 2);
        assert_eq!((seen.version, state.snapshot().version), (0, 2));
    }
}
