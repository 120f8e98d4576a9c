//! The access log: one line for each request, and for each connection or UDP session that is handed on as a whole.
//!
//! A worker formats the line into its own lane's buffer; one writer thread swaps the lanes' buffers for empty ones and
//! writes them out. A worker never waits for the file: when its lane is full, the line is dropped and counted.

mod clock;
mod lane;
mod line;
mod writer;

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use lasthop_dataplane_api::{AccessLog, AccessRecord};
use prometheus::IntCounter;

use crate::settings::{AccessLogOutput, LogFormat};
use lane::Lane;
use writer::{Shared, Sink, Writer};

thread_local! {
    /// This thread's lanes: one for each access log, so nearly always one.
    static LANES: RefCell<Vec<(u64, Arc<Lane>)>> = const { RefCell::new(Vec::new()) };
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// An access log with its writer thread.
pub struct AccessLogWriter {
    id: u64,
    format: LogFormat,
    shared: Arc<Shared>,
    writer: Writer,
}

/// Why the access log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum AccessLogError {
    /// The file cannot be opened.
    #[error("setting \"access-log\": {output} cannot be opened for writing: {reason}")]
    Open {
        /// The file.
        output: AccessLogOutput,
        /// What the operating system said.
        reason: std::io::Error,
    },
    /// The writer's thread cannot be started.
    #[error("the access log's thread cannot be started: {0}")]
    Thread(std::io::Error),
}

impl AccessLogWriter {
    /// Opens the output and starts the writer. `None` if the log is off. `dropped` counts the lines that were not
    /// written, because the output did not keep up or failed.
    ///
    /// # Errors
    /// An output that cannot be opened.
    pub fn start(
        output: &AccessLogOutput,
        format: LogFormat,
        dropped: IntCounter,
    ) -> Result<Option<Arc<Self>>, AccessLogError> {
        match Sink::open(output).map_err(|reason| AccessLogError::Open { output: output.clone(), reason })? {
            Some(sink) => Self::over(sink, format, dropped).map(Arc::new).map(Some),
            None => Ok(None),
        }
    }

    fn over(sink: Sink, format: LogFormat, dropped: IntCounter) -> Result<Self, AccessLogError> {
        let shared = Arc::new(Shared::new(dropped));
        let writer = Writer::start(sink, shared.clone()).map_err(AccessLogError::Thread)?;
        Ok(Self { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), format, shared, writer })
    }

    /// Opens the file anew before the next line, for log rotation.
    pub fn reopen(&self) {
        self.shared.ask_to_reopen();
        self.writer.wake();
    }

    /// Writes out what is left and ends the writer; gives up after `limit`, if the output is stuck.
    pub fn close(&self, limit: Duration) {
        self.writer.close(limit);
    }

    fn lane(&self, lanes: &mut Vec<(u64, Arc<Lane>)>) -> Arc<Lane> {
        lanes.retain(|(_, lane)| !lane.is_closed());
        let lane = self.shared.add_lane();
        lanes.push((self.id, lane.clone()));
        lane
    }

    fn record_in(&self, lane: &Lane, record: &AccessRecord<'_>) {
        let now = SystemTime::now();
        let was_empty = lane.append(|buffer, clock| line::write(buffer, self.format, clock.at(now), record));
        match was_empty {
            Ok(true) => self.writer.wake(),
            Ok(false) => {}
            Err(lane::Full) => self.shared.dropped(1),
        }
    }
}

impl AccessLog for AccessLogWriter {
    fn record(&self, record: &AccessRecord<'_>) {
        LANES.with_borrow_mut(|lanes| match lanes.iter().find(|(id, _)| *id == self.id) {
            Some((_, lane)) => self.record_in(lane, record),
            None => {
                let lane = self.lane(lanes);
                self.record_in(&lane, record);
            }
        });
    }
}

impl Drop for AccessLogWriter {
    fn drop(&mut self) {
        self.close(Duration::from_secs(1));
    }
}

#[cfg(test)]
mod tests;
