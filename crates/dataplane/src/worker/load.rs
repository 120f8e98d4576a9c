//! Connections of each worker, and which worker a new one should go to.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A worker's number of open client connections, alone on its cache lines: it is written by its worker and read by
/// those that accept.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Load(AtomicUsize);

impl Load {
    /// Adds one: before a connection is handed over, so that a burst is not handed to one worker.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// Takes one away.
    pub(crate) fn drop_one(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// The number.
    pub(crate) fn get(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// The worker that a new connection should go to instead of `own`: the least loaded one, if the difference is worth
/// the way.
pub(crate) fn better<'a>(own: usize, loads: impl Iterator<Item = &'a Load>) -> Option<usize> {
    let loads: smallvec::SmallVec<[usize; 64]> = loads.map(Load::get).collect();
    let (best, least) = loads.iter().enumerate().min_by_key(|(_, load)| **load)?;
    let own = loads.get(own)?;
    (*own > least + 1 + least / 4).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_difference_moves_a_connection() {
        let loads =
            |numbers: &[usize]| -> Vec<Load> { numbers.iter().map(|n| Load(AtomicUsize::new(*n))).collect() };
        assert_eq!(better(0, loads(&[1, 0]).iter()), None);
        assert_eq!(better(0, loads(&[2, 0]).iter()), Some(1));
        assert_eq!(better(0, loads(&[100, 80, 90]).iter()), None);
        assert_eq!(better(0, loads(&[102, 80, 90]).iter()), Some(1));
        assert_eq!(better(1, loads(&[102, 80, 90]).iter()), None);
    }
}
