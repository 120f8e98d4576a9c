//! What a native dataplane is started with.

use std::{sync::Arc, time::Duration};

use lasthop_dataplane_api::{AccessLog, TlsStack};

/// What a native dataplane is started with.
#[derive(Clone)]
pub struct NativeOptions {
    /// Threads that serve; 0 means one for each core this process may use.
    pub workers: usize,
    /// The TLS stack for both sides.
    pub tls_stack: TlsStack,
    /// Where access records go.
    pub access_log: Arc<dyn AccessLog>,
    /// How much a peer may ask for.
    pub limits: Limits,
}

/// How much a peer may ask for, and how long it may take. The defaults are meant for the open internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Clients' connections at a time, of all workers together; more wait unaccepted. `None`: as many as there are file
    /// descriptors for.
    pub connections: Option<usize>,
    /// Bytes of a request's body; more gets 413, and the backend never a whole request. `None`: no limit. Bodies are
    /// never buffered for it.
    pub body_bytes: Option<u64>,
    /// Bytes of a message's header: request line or pseudo-header fields, names and values.
    pub header_bytes: usize,
    /// Fields of a message's header.
    pub header_fields: usize,
    /// From a connection's start, or from the first byte of a later request, to the end of the request's header.
    pub header_timeout: Duration,
    /// A client's TLS handshake.
    pub handshake_timeout: Duration,
    /// A client's connection without a request.
    pub idle_timeout: Duration,
    /// A request or response during which nothing moves.
    pub stream_idle_timeout: Duration,
    /// A connection that is handed on as a whole (TCP, TLS) during which nothing moves.
    pub l4_idle_timeout: Duration,
    /// A UDP session without a datagram.
    pub udp_idle_timeout: Duration,
    /// UDP sessions at a time, of all workers together; each worker has its share. Each takes a file descriptor.
    pub udp_sessions: usize,
    /// Concurrent streams of an HTTP/2 connection, either side.
    pub http2_streams: u32,
    /// HTTP/2 flow control window of a stream, in bytes.
    pub http2_stream_window: u32,
    /// HTTP/2 flow control window of a connection, in bytes.
    pub http2_connection_window: u32,
    /// Bytes that one HTTP/1.1 connection buffers for each direction.
    pub buffer_bytes: usize,
    /// A connection to a backend, its TLS handshake included.
    pub connect_timeout: Duration,
    /// A backend connection that waits in a pool.
    pub upstream_idle_timeout: Duration,
    /// Idle HTTP/1.1 connections that a worker keeps for an endpoint.
    pub upstream_idle_connections: usize,
    /// Endpoints that are tried for a request whose connection cannot be made.
    pub connect_attempts: u32,
    /// Bytes of a request's body that are kept for a repetition or a mirror.
    pub replay_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: None,
            body_bytes: None,
            header_bytes: 32 * 1024,
            header_fields: 100,
            header_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            stream_idle_timeout: Duration::from_secs(300),
            l4_idle_timeout: Duration::from_secs(3600),
            udp_idle_timeout: Duration::from_secs(60),
            udp_sessions: 16 * 1024,
            http2_streams: 100,
            http2_stream_window: 64 * 1024,
            http2_connection_window: 1024 * 1024,
            buffer_bytes: 64 * 1024,
            connect_timeout: Duration::from_secs(5),
            upstream_idle_timeout: Duration::from_secs(60),
            upstream_idle_connections: 1024,
            connect_attempts: 3,
            replay_bytes: 64 * 1024,
        }
    }
}
