//! Ports for listeners: free now, below those that clients are given, and never the same one twice.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

const FIRST: u16 = 16_000;
const LAST: u16 = 20_900;

/// A port that nobody listens on.
pub(crate) fn free() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two runs at once begin at different places.
    let start = (std::process::id() % 97) as u16 * 50;
    for _ in FIRST..LAST {
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % (LAST - FIRST);
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {LAST}");
}
