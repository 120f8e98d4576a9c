//! How much a peer may ask for. What is not set is as the dataplane has it by itself.

use serde::{Deserialize, Serialize};

use super::{
    Span,
    values::{optional_number, optional_span},
};

/// The limits: `[limits]` in the file, `LASTHOP_LIMITS_…` in the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct LimitSettings {
    /// Clients' connections at a time.
    #[serde(deserialize_with = "optional_number")]
    pub connections: Option<usize>,
    /// Bytes of a request's body.
    #[serde(deserialize_with = "optional_number")]
    pub body_bytes: Option<u64>,
    /// Bytes of a message's header.
    #[serde(deserialize_with = "optional_number")]
    pub header_bytes: Option<usize>,
    /// Fields of a message's header.
    #[serde(deserialize_with = "optional_number")]
    pub header_fields: Option<usize>,
    /// For a request's header to arrive.
    #[serde(deserialize_with = "optional_span")]
    pub header_timeout: Option<Span>,
    /// For a client's TLS handshake.
    #[serde(deserialize_with = "optional_span")]
    pub handshake_timeout: Option<Span>,
    /// For a client's connection without a request.
    #[serde(deserialize_with = "optional_span")]
    pub idle_timeout: Option<Span>,
    /// For a request or response during which nothing moves.
    #[serde(deserialize_with = "optional_span")]
    pub stream_idle_timeout: Option<Span>,
    /// For a TCP or TLS connection that is handed on as a whole and during which nothing moves.
    #[serde(deserialize_with = "optional_span")]
    pub l4_idle_timeout: Option<Span>,
    /// For a UDP session without a datagram.
    #[serde(deserialize_with = "optional_span")]
    pub udp_idle_timeout: Option<Span>,
    /// UDP sessions at a time.
    #[serde(deserialize_with = "optional_number")]
    pub udp_sessions: Option<usize>,
    /// Concurrent streams of an HTTP/2 connection.
    #[serde(deserialize_with = "optional_number")]
    pub http2_streams: Option<u32>,
    /// HTTP/2 flow control window of a stream, in bytes.
    #[serde(deserialize_with = "optional_number")]
    pub http2_stream_window: Option<u32>,
    /// HTTP/2 flow control window of a connection, in bytes.
    #[serde(deserialize_with = "optional_number")]
    pub http2_connection_window: Option<u32>,
    /// Bytes that an HTTP/1.1 connection buffers for each direction.
    #[serde(deserialize_with = "optional_number")]
    pub buffer_bytes: Option<usize>,
    /// For a connection to a backend, its TLS handshake included.
    #[serde(deserialize_with = "optional_span")]
    pub connect_timeout: Option<Span>,
    /// For a backend connection that waits in a pool.
    #[serde(deserialize_with = "optional_span")]
    pub upstream_idle_timeout: Option<Span>,
    /// Idle HTTP/1.1 connections that a worker keeps for an endpoint.
    #[serde(deserialize_with = "optional_number")]
    pub upstream_idle_connections: Option<usize>,
    /// Endpoints that are tried for a request whose connection cannot be made.
    #[serde(deserialize_with = "optional_number")]
    pub connect_attempts: Option<u32>,
    /// Bytes of a request's body that are kept for a repetition or a mirror.
    #[serde(deserialize_with = "optional_number")]
    pub replay_bytes: Option<usize>,
}
