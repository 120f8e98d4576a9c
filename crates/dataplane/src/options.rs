//! What a native dataplane is started with.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use aws_lc_rs::{digest, rand};
use lasthop_dataplane_api::{AccessLog, TlsStack};

use crate::ResolverOptions;

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
    /// What clients' sessions are sealed with; `None`: a key of this process alone, so that sessions end with it.
    pub session_key: Option<SessionKey>,
    /// The folder whose files hold the tokens that policies send to backends, by name.
    pub bearer_tokens: Option<PathBuf>,
    /// How names of backends are resolved.
    pub resolver: ResolverOptions,
}

/// What clients' sessions are sealed with. Proxies with the same key take over each other's sessions.
#[derive(Clone)]
pub struct SessionKey([u8; 32]);

/// A key is too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session key has at least 32 bytes; this one has {0}")]
pub struct ShortSessionKey(usize);

impl SessionKey {
    const SHORTEST: usize = 32;

    /// The key that follows from a secret, whatever form that has.
    ///
    /// # Errors
    /// Fewer than 32 bytes, white space at the end not counted.
    pub fn derive(secret: &[u8]) -> Result<Self, ShortSessionKey> {
        let secret = secret.trim_ascii_end();
        if secret.len() < Self::SHORTEST {
            return Err(ShortSessionKey(secret.len()));
        }
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(b"lasthop session key\0");
        hash.update(secret);
        let mut key = [0; 32];
        key.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Ok(Self(key))
    }

    /// A key that nobody else has; `None` if there is no randomness.
    pub fn random() -> Option<Self> {
        let mut key = [0; 32];
        rand::fill(&mut key).ok()?;
        Some(Self(key))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
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
