//! One record a request, or a connection that is handed on as a whole: what the access log is made from.

use std::{net::SocketAddr, time::Duration};

use crate::{BackendKey, FailureReason, ListenerKey, RuleKey};

/// A time in whole milliseconds and three decimals, as logs show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Millis(pub f64);

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        Self((duration.as_micros() as f64) / 1000.0)
    }
}

/// What happened to one request. Borrowed: writing it must not allocate.
///
/// A TCP or TLS connection or a UDP session that is handed on as a whole has one record at its end, without method, path
/// and status; its host is the server name that the client sent.
#[derive(Clone, Debug)]
pub struct AccessRecord<'a> {
    /// The client's address.
    pub client: SocketAddr,
    /// The listener.
    pub listener: Option<&'a ListenerKey>,
    /// The method.
    pub method: &'a str,
    /// The request's host.
    pub host: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// `HTTP/1.1`, `HTTP/2`, `TCP`, `TLS`, `UDP`.
    pub protocol: &'static str,
    /// The response's status; 0 where there are no requests.
    pub status: u16,
    /// The rule that matched.
    pub rule: Option<&'a RuleKey>,
    /// The backend that was chosen.
    pub backend: Option<&'a BackendKey>,
    /// The endpoint of the last attempt.
    pub endpoint: Option<SocketAddr>,
    /// Attempts made.
    pub attempts: u32,
    /// The version of TLS to the backend, such as `1.3`; `None` in plaintext.
    pub upstream_tls: Option<&'static str>,
    /// Whether the TLS session to the backend was resumed.
    pub upstream_resumed: bool,
    /// Whether the connection to the backend came from the pool.
    pub upstream_reused: bool,
    /// Why the response is our own.
    pub reason: Option<&'a FailureReason>,
    /// Bytes of the request's body, or from the client.
    pub bytes_in: u64,
    /// Bytes of the response's body, or to the client.
    pub bytes_out: u64,
    /// From the request's head to the response's end.
    pub duration: Duration,
    /// From the attempt's start to the backend's response head.
    pub upstream_duration: Option<Duration>,
}

/// Where access records go. Called on the worker's own thread: it must not block.
pub trait AccessLog: Send + Sync {
    /// Takes one record.
    fn record(&self, record: &AccessRecord<'_>);
}
