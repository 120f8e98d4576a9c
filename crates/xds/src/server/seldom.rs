//! What strangers can have logged, not as often as they like.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Between two lines of a kind.
const PAUSE: Duration = Duration::from_secs(10);

/// Lets a line of a kind be written now and then.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// How many lines were left out since the last one, if it is time for another.
    pub(super) fn turn(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, left_out) = &mut *state;
        if last.is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
            *left_out += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_left_out_and_counted() {
        let (seldom, now) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.turn(now), Some(0));
        assert_eq!(seldom.turn(now), None);
        assert_eq!(seldom.turn(now + PAUSE / 2), None);
        assert_eq!(seldom.turn(now + PAUSE), Some(2));
        assert_eq!(seldom.turn(now + 2 * PAUSE), Some(0));
    }
}
