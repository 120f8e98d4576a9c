//! A worker's coarse clock and its deadlines: one timer a worker instead of one an operation.
//!
//! Limits like "60 s idle" need no precision, so a worker looks at the time once a tick. Noting that bytes moved, or
//! moving a deadline, is then a store to memory.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Waker},
    time::{Duration, Instant},
};

/// How often the coarse clock moves.
pub(crate) const TICK: Duration = Duration::from_millis(200);

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// Coarse time of this worker: milliseconds since it started.
pub(crate) fn now() -> u64 {
    NOW.get()
}

/// A duration in the clock's unit.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The deadlines of a worker.
#[derive(Default)]
pub(crate) struct Deadlines {
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<usize>>,
}

struct Slot {
    at: u64,
    waker: Option<Waker>,
}

/// One deadline, which can be moved for the price of a store.
pub(crate) struct Deadline {
    deadlines: Rc<Deadlines>,
    index: usize,
}

impl Deadlines {
    /// A deadline that is not set.
    pub(crate) fn add(self: &Rc<Self>) -> Deadline {
        let mut slots = self.slots.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(Slot { at: u64::MAX, waker: None });
            slots.len() - 1
        });
        Deadline { deadlines: self.clone(), index }
    }

    /// Moves the clock and wakes what is due.
    pub(crate) fn tick(&self, started: Instant) {
        let now = millis(started.elapsed());
        NOW.set(now);
        self.wake(|slot| slot.at <= now);
    }

    /// Wakes everything that waits, so that it looks at the worker's state.
    pub(crate) fn wake_all(&self) {
        self.wake(|_| true);
    }

    fn wake(&self, which: impl Fn(&Slot) -> bool) {
        // Collected first: a waker may come back here.
        let due: Vec<Waker> = self
            .slots
            .borrow_mut()
            .iter_mut()
            .filter(|slot| which(slot))
            .filter_map(|s| s.waker.take())
            .collect();
        due.into_iter().for_each(Waker::wake);
    }
}

impl Deadline {
    /// Sets it to a coarse time.
    pub(crate) fn set(&self, at: u64) {
        if let Some(slot) = self.deadlines.slots.borrow_mut().get_mut(self.index) {
            slot.at = at;
        }
    }

    /// Whether it is over; if not, the task is woken when it is.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> bool {
        let mut slots = self.deadlines.slots.borrow_mut();
        let Some(slot) = slots.get_mut(self.index) else { return false };
        if slot.at <= now() {
            return true;
        }
        match &slot.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => slot.waker = Some(cx.waker().clone()),
        }
        false
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        let waker = {
            let mut slots = self.deadlines.slots.borrow_mut();
            slots.get_mut(self.index).and_then(|slot| {
                slot.at = u64::MAX;
                slot.waker.take()
            })
        };
        self.deadlines.free.borrow_mut().push(self.index);
        // Outside the borrow: dropping a waker may drop a task.
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, task::Wake};

    use super::*;

    struct Count(std::sync::atomic::AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    #[test]
    fn a_deadline_wakes_once_when_due_and_its_place_is_used_again() {
        let count = Arc::new(Count(0.into()));
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let deadlines = Rc::new(Deadlines::default());
        let deadline = deadlines.add();
        deadline.set(millis(Duration::from_secs(5)));
        assert!(!deadline.poll(&mut cx));
        let started = Instant::now();
        deadlines.tick(started);
        assert_eq!(count.0.load(std::sync::atomic::Ordering::Relaxed), 0);
        deadlines.tick(started.checked_sub(Duration::from_secs(6)).unwrap());
        assert_eq!(count.0.load(std::sync::atomic::Ordering::Relaxed), 1);
        assert!(deadline.poll(&mut cx));
        drop(deadline);
        let again = deadlines.add();
        assert_eq!(again.index, 0);
        assert!(!again.poll(&mut cx), "a new deadline does not inherit the old time");
        NOW.set(0);
    }
}
