//! One thread's buffer of lines.

use std::{
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::clock::Clock;

/// What a lane holds at most before lines are dropped, in bytes. Some 2,000 lines.
const CAPACITY: usize = 1 << 20;

/// The buffer between one worker and the writer. The lock is the worker's own, but for the moment of a swap.
pub(super) struct Lane {
    state: Mutex<State>,
    closed: AtomicBool,
}

struct State {
    lines: Vec<u8>,
    count: u64,
    clock: Clock,
}

/// The lane holds all it may; the line was dropped.
pub(super) struct Full;

impl Lane {
    pub(super) fn new() -> Self {
        let state = State { lines: Vec::with_capacity(16 * 1024), count: 0, clock: Clock::new() };
        Self { state: Mutex::new(state), closed: AtomicBool::new(false) }
    }

    /// Lets `format` add one line. Answers whether the lane was empty, so that the writer has to be woken.
    pub(super) fn append(&self, format: impl FnOnce(&mut Vec<u8>, &mut Clock)) -> Result<bool, Full> {
        let mut state = self.lock();
        let State { lines, count, clock } = &mut *state;
        let before = lines.len();
        if before >= CAPACITY {
            return Err(Full);
        }
        format(lines, clock);
        *count += 1;
        Ok(before == 0)
    }

    /// Takes what is there in exchange for an empty buffer, and says how many lines it is.
    pub(super) fn swap(&self, empty: &mut Vec<u8>) -> u64 {
        let mut state = self.lock();
        mem::swap(&mut state.lines, empty);
        mem::take(&mut state.count)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().lines.is_empty()
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while formatting leaves half a line at worst.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
