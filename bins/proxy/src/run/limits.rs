//! The settings' limits as the dataplane takes them.

use lasthop_dataplane::Limits;
use lasthop_runtime::settings::{LimitSettings, Span};

/// File descriptors that are nobody's connection: listening sockets, logs, epoll, the folder that is watched.
const OWN_FILES: u64 = 256;
/// With whatever few files, so many clients are served.
const FEWEST_CONNECTIONS: usize = 16;

/// What is set, and the dataplane's own for what is not. `open_files` is how many there may be; `None`: no limit.
pub(crate) fn limits(set: &LimitSettings, open_files: Option<u64>) -> Limits {
    // Destructured, so that a new limit cannot be forgotten here.
    let Limits {
        connections: _,
        body_bytes,
        header_bytes,
        header_fields,
        header_timeout,
        handshake_timeout,
        idle_timeout,
        stream_idle_timeout,
        l4_idle_timeout,
        udp_idle_timeout,
        udp_sessions,
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
    // Each has a socket of its own.
    let few = open_files.and_then(|files| usize::try_from(files / 16).ok());
    let udp_sessions =
        set.udp_sessions.unwrap_or_else(|| few.map_or(udp_sessions, |few| few.min(udp_sessions)));
    let time = |set: Option<Span>, own| set.map_or(own, |span| span.0);
    Limits {
        connections: set.connections.or_else(|| open_files.map(|files| connections(files, udp_sessions))),
        body_bytes: set.body_bytes.or(body_bytes),
        header_bytes: set.header_bytes.unwrap_or(header_bytes),
        header_fields: set.header_fields.unwrap_or(header_fields),
        header_timeout: time(set.header_timeout, header_timeout),
        handshake_timeout: time(set.handshake_timeout, handshake_timeout),
        idle_timeout: time(set.idle_timeout, idle_timeout),
        stream_idle_timeout: time(set.stream_idle_timeout, stream_idle_timeout),
        l4_idle_timeout: time(set.l4_idle_timeout, l4_idle_timeout),
        udp_idle_timeout: time(set.udp_idle_timeout, udp_idle_timeout),
        udp_sessions,
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

/// The clients there are files for beside UDP sessions: each may need one more, for its backend.
fn connections(open_files: u64, udp_sessions: usize) -> usize {
    let taken = OWN_FILES.saturating_add(udp_sessions as u64);
    let half = open_files.saturating_sub(taken) / 2;
    usize::try_from(half).unwrap_or(usize::MAX).max(FEWEST_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_files_are_for_clients_unless_a_number_is_set() {
        let none = LimitSettings::default();
        assert_eq!(limits(&none, Some(1256)).udp_sessions, 78);
        assert_eq!(limits(&none, Some(1256)).connections, Some((1256 - 256 - 78) / 2));
        assert_eq!(limits(&none, Some(1_048_576)).udp_sessions, 16_384);
        assert_eq!(limits(&none, Some(64)).connections, Some(FEWEST_CONNECTIONS));
        assert_eq!(limits(&none, None).connections, None);
        let set = LimitSettings { connections: Some(7), body_bytes: Some(8), ..none };
        assert_eq!(limits(&set, Some(1256)).connections, Some(7));
        assert_eq!(limits(&set, None).body_bytes, Some(8));
    }
}
