//! Signals: SIGTERM and SIGINT end the process after the requests under way, a second one ends it at once, SIGHUP asks
//! for everything to be read again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Take no new connections, let requests under way end, then exit.
    Drain,
    /// Read the source again, and open log files anew.
    Reread,
}

/// The signals of this process.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Takes the signals over.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn take() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Drain,
            _ = self.interrupt.recv() => Request::Drain,
            _ = self.hang_up.recv() => Request::Reread,
        }
    }

    /// Waits for the next SIGTERM or SIGINT.
    pub async fn next_drain(&mut self) {
        while self.next().await != Request::Drain {}
    }
}
