//! An access log that shows the demo what became of its requests, and later writes lines like any other.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lasthop_dataplane_api::{AccessLog, AccessRecord, FailureReason};
use lasthop_runtime::access_log::AccessLogWriter;

use super::client::Scheme;

/// What the demo wants to know of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) reason: Option<&'static str>,
    pub(crate) detail: Option<String>,
    pub(crate) tls: Option<&'static str>,
}

/// The log.
pub(crate) struct Watcher {
    records: Mutex<Vec<(String, String, Record)>>,
    forward: AtomicBool,
    lines: Option<Arc<AccessLogWriter>>,
}

impl Watcher {
    pub(crate) fn new(lines: Option<Arc<AccessLogWriter>>) -> Self {
        Self { records: Mutex::default(), forward: AtomicBool::new(false), lines }
    }

    /// What the log says about the request for this host. It is written when the response is over, which may be a
    /// moment after the client saw its end.
    pub(crate) async fn record_of(&self, host: &str, scheme: Scheme) -> Option<Record> {
        for _ in 0..200 {
            let found = self.records().iter().find_map(|(asked, listener, record)| {
                let host_fits = asked.split(':').next() == Some(host);
                (host_fits && listener == scheme.listener()).then(|| record.clone())
            });
            if found.is_some() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    /// From now on, writes lines.
    pub(crate) fn forward(&self) {
        self.forward.store(true, Ordering::Relaxed);
    }

    /// Writes the last lines.
    pub(crate) fn close(&self) {
        if let Some(lines) = &self.lines {
            lines.close(Duration::from_secs(1));
        }
    }

    fn records(&self) -> MutexGuard<'_, Vec<(String, String, Record)>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccessLog for Watcher {
    fn record(&self, record: &AccessRecord<'_>) {
        if self.forward.load(Ordering::Relaxed) {
            if let Some(lines) = &self.lines {
                lines.record(record);
            }
            return;
        }
        let detail = match record.reason {
            Some(FailureReason::UpstreamTls(error)) => Some(error.to_string()),
            _ => None,
        };
        let listener = record.listener.map(|key| key.name.to_string()).unwrap_or_default();
        let seen =
            Record { reason: record.reason.map(FailureReason::name), detail, tls: record.upstream_tls };
        self.records().push((record.host.to_owned(), listener, seen));
    }
}
