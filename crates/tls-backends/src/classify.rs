//! Names for errors that come through `std::io::Error`.

use std::io;

use lasthop_tls_verify::TlsError;

/// Which side of the gateway a connection is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Towards a backend: the peer is the server.
    Upstream,
    /// Towards a client.
    Downstream,
}

/// What happened to TLS, if an error of an established connection to a backend has to do with TLS at all.
///
/// In TLS 1.3 a backend refuses our certificate after the handshake is done for us (RFC 8446 §4.4.2.4): the refusal
/// comes as an error of the first read. A connection that ends without close_notify gives [`TlsError::Truncated`].
pub fn classify_io(error: &io::Error) -> Option<TlsError> {
    let ours = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    if let Some(error) = ours {
        return Some(error.clone());
    }
    #[cfg(feature = "rustls")]
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return Some(crate::rustls::tls_error(error, Side::Upstream));
    }
    match from_socket(error) {
        TlsError::Io(_) => None,
        error => Some(error),
    }
}

/// What an alert of the peer says.
pub(crate) fn from_alert(alert: u8, side: Side) -> TlsError {
    match (alert, side) {
        (70, _) => TlsError::NoCommonVersion,
        (120, _) => TlsError::AlpnMismatch { offered: Vec::new(), selected: None },
        // Whatever a server dislikes about a certificate can only be ours.
        (42..=46 | 48 | 49 | 116, Side::Upstream) => TlsError::ClientCertRefused(alert),
        _ => TlsError::PeerAlert(alert),
    }
}

/// A failure below TLS.
pub(crate) fn from_socket(error: &io::Error) -> TlsError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => TlsError::Truncated,
        // No socket says this. rustls does, of handshake messages without end.
        io::ErrorKind::InvalidData | io::ErrorKind::Other => TlsError::ProtocolViolation(error.to_string()),
        kind => TlsError::Io(kind),
    }
}

/// How the choice of a protocol that was not on offer is told; the stacks do not say which it was.
pub(crate) const NOT_OFFERED: &str = "one that was not offered";
