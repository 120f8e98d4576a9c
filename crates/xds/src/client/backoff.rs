//! How long to wait before the next attempt.

use std::time::Duration;

/// Doubles from the shortest to the longest wait, with jitter, so that a controller that comes back is not run over.
#[derive(Debug)]
pub(super) struct Backoff {
    range: (Duration, Duration),
    attempts: u32,
}

impl Backoff {
    pub(super) fn new(range: (Duration, Duration)) -> Self {
        Self { range, attempts: 0 }
    }

    /// It went well: the next wait is the shortest again.
    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Between half and all of the wait that is due.
    pub(super) fn next(&mut self) -> Duration {
        let (shortest, longest) = self.range;
        let due = shortest.saturating_mul(1 << self.attempts.min(16)).min(longest);
        self.attempts = self.attempts.saturating_add(1);
        due.mul_f64(0.5 + 0.5 * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new((Duration::from_millis(100), Duration::from_secs(2)));
        let first = backoff.next();
        assert!((50..=100).contains(&first.as_millis()), "{first:?}");
        for _ in 0..40 {
            backoff.next();
        }
        let late = backoff.next();
        assert!((1000..=2000).contains(&late.as_millis()), "{late:?}");
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(100));
    }
}
