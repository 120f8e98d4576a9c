//! What a dataplane saw of the endpoints of its TLS backends.

use std::{net::SocketAddr, sync::Arc};

use serde::Serialize;

use crate::{BackendKey, PolicyId, TlsVersion};

/// An endpoint of a TLS backend, and what came of the last handshakes with it under the backend's policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndpointReport {
    /// The backend.
    pub backend: BackendKey,
    /// The endpoint.
    pub endpoint: SocketAddr,
    /// The policy, as `namespace/name`.
    pub policy: Arc<str>,
    /// The policy's content.
    pub policy_id: PolicyId,
    /// The last handshake that went well; `None` if none has yet.
    pub last: Option<Handshake>,
    /// The last one that failed; `None` if none has.
    pub failed: Option<FailedHandshake>,
}

/// A handshake with an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Handshake {
    /// When, in seconds since 1970.
    pub at: u64,
    /// The version.
    pub version: TlsVersion,
    /// The cipher suite's IANA name.
    pub cipher_suite: &'static str,
    /// The key exchange group's IANA name, if the stack tells.
    pub group: Option<&'static str>,
    /// Whether a session was resumed; then the certificate is that of the session's beginning.
    pub resumed: bool,
    /// The certificate it presented.
    pub certificate: Option<PresentedLeaf>,
}

/// What a leaf says of itself: a stranger's text, bounded and printable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PresentedLeaf {
    /// The issuer's distinguished name (RFC 4514).
    pub issuer: String,
    /// The subject alternative names, such as `DNS:example.com`.
    pub names: Vec<String>,
    /// When it expires, in seconds since 1970.
    pub not_after: u64,
}

/// A handshake that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedHandshake {
    /// When, in seconds since 1970.
    pub at: u64,
    /// The reason's name.
    pub reason: &'static str,
    /// The reason in words.
    pub message: String,
}
