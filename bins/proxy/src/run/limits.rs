//! The settings' limits as the dataplane takes them.

use lasthop_dataplane::Limits;
use lasthop_runtime::settings::{LimitSettings, Span};

/// What is set, and the dataplane's own for what is not.
pub(crate) fn limits(set: &LimitSettings) -> Limits {
    // Destructured, so that a new limit cannot be forgotten here.
    let Limits {
        header_bytes,
        header_fields,
        header_timeout,
        handshake_timeout,
        idle_timeout,
        stream_idle_timeout,
        http2_streams,
        http2_stream_window,
        http2_connection_window,
        buffer_bytes,
        connect_timeout,
        upstream_idle_timeout,
        upstream_idle_connections,
        connect_attempts,
        replay_bytes,
    } = Limits::default();
    let time = |set: Option<Span>, own| set.map_or(own, |span| span.0);
    Limits {
        header_bytes: set.header_bytes.unwrap_or(header_bytes),
        header_fields: set.header_fields.unwrap_or(header_fields),
        header_timeout: time(set.header_timeout, header_timeout),
        handshake_timeout: time(set.handshake_timeout, handshake_timeout),
        idle_timeout: time(set.idle_timeout, idle_timeout),
        stream_idle_timeout: time(set.stream_idle_timeout, stream_idle_timeout),
        http2_streams: set.http2_streams.unwrap_or(http2_streams),
        http2_stream_window: set.http2_stream_window.unwrap_or(http2_stream_window),
        http2_connection_window: set.http2_connection_window.unwrap_or(http2_connection_window),
        buffer_bytes: set.buffer_bytes.unwrap_or(buffer_bytes),
        connect_timeout: time(set.connect_timeout, connect_timeout),
        upstream_idle_timeout: time(set.upstream_idle_timeout, upstream_idle_timeout),
        upstream_idle_connections: set.upstream_idle_connections.unwrap_or(upstream_idle_connections),
        connect_attempts: set.connect_attempts.unwrap_or(connect_attempts),
        replay_bytes: set.replay_bytes.unwrap_or(replay_bytes),
    }
}
