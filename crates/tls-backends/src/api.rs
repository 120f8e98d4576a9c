//! What a TLS stack is to the dataplane.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use lasthop_dataplane_api::{
    HostPattern, ListenerTls, PolicyId, TlsCapabilities, TlsVersion, UpstreamTlsPolicy,
};
use lasthop_tls_verify::TlsError;
use pki_types::{CertificateDer, UnixTime};
use tokio::net::TcpStream;

use crate::{Inspection, TlsStream};

/// An HTTP version as ALPN names it (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// `http/1.1`
    Http1,
    /// `h2`
    Http2,
}

/// A TLS stack.
pub trait TlsBackend: Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> TlsCapabilities;

    /// Compiles a TLS policy. An error refuses every backend that has it.
    fn upstream(&self, policy: &Arc<UpstreamTlsPolicy>) -> Result<Arc<dyn UpstreamTls>, PolicyError>;

    /// Compiles TLS of all HTTPS listeners that share a port.
    fn downstream(&self, settings: &DownstreamSettings) -> Result<Arc<dyn DownstreamTls>, PolicyError>;
}

/// A TLS policy as the stack holds it. Immutable; a changed policy is another object with no sessions.
pub trait UpstreamTls: Send + Sync {
    /// Which policy.
    fn policy_id(&self) -> PolicyId;

    /// The policy towards one endpoint. Asked twice for the same address it gives the same object: that object owns
    /// the endpoint's sessions, and all workers share it.
    fn endpoint(&self, address: SocketAddr) -> Arc<dyn UpstreamEndpointTls>;
}

/// A TLS policy towards one endpoint, with that endpoint's sessions.
#[async_trait]
pub trait UpstreamEndpointTls: Send + Sync {
    /// Shakes hands over a connected socket. Returns only if the peer proved what the policy demands.
    ///
    /// `request_host` is used as SNI if the policy says so, else ignored. `alpn` is offered unless the policy names
    /// its own protocols; a peer that chooses what was not offered is an error.
    async fn connect(
        &self,
        io: TcpStream,
        request_host: Option<&str>,
        alpn: &[Alpn],
    ) -> Result<(TlsStream, PeerInfo), TlsError>;

    /// Shakes hands as [`UpstreamEndpointTls::connect`] does, never resuming a session, waits for so long whether the
    /// backend objects, and closes the connection. Nothing is sent but the handshake; what the backend presented is
    /// told even if it is refused.
    async fn inspect(
        &self,
        io: TcpStream,
        request_host: Option<&str>,
        alpn: &[Alpn],
        patience: Duration,
    ) -> Inspection;
}

/// What a handshake with a backend came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// The version.
    pub version: TlsVersion,
    /// The protocol chosen by ALPN, if any was.
    pub alpn: Option<Alpn>,
    /// Whether a session was resumed (then the chain was verified when the session began).
    pub resumed: bool,
    /// The cipher suite's IANA name.
    pub cipher_suite: &'static str,
    /// The key exchange group's IANA name, if the stack tells.
    pub group: Option<&'static str>,
    /// The certificate it presented; of a resumed session, the one it began with.
    pub leaf: Option<CertificateDer<'static>>,
    /// When that certificate expires.
    pub not_after: Option<UnixTime>,
}

/// TLS of the HTTPS listeners that share a port.
#[derive(Clone, Debug, PartialEq)]
pub struct DownstreamSettings {
    /// The listeners. SNI chooses: an exact host name, then the longest wildcard, then an entry without host name;
    /// a client without SNI gets the entry without host name. No entry fits: alert unrecognized_name.
    pub entries: Vec<DownstreamEntry>,
    /// What the listeners speak, the preferred first.
    pub alpn: Vec<Alpn>,
}

/// One listener of a port.
#[derive(Clone, Debug, PartialEq)]
pub struct DownstreamEntry {
    /// The hosts it takes.
    pub hostname: Option<HostPattern>,
    /// Its certificates (the one whose names fit the SNI, else the first) and the validation of clients.
    pub tls: ListenerTls,
}

/// TLS towards clients, as the stack holds it.
#[async_trait]
pub trait DownstreamTls: Send + Sync {
    /// Shakes hands with a client. `prefix` is what was already read from the socket.
    async fn accept(&self, io: TcpStream, prefix: Bytes) -> Result<(TlsStream, DownstreamInfo), TlsError>;
}

/// What a handshake with a client came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownstreamInfo {
    /// The client's SNI, lower case.
    pub sni: Option<String>,
    /// Which entry of the settings was chosen.
    pub entry: usize,
    /// The protocol chosen by ALPN; `None` means the client offered none.
    pub alpn: Option<Alpn>,
    /// The version.
    pub version: TlsVersion,
    /// Whether a session was resumed.
    pub resumed: bool,
    /// What became of the client's certificate.
    pub client: ClientIdentity,
}

/// What became of a client's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientIdentity {
    /// None was asked for, or none was shown.
    None,
    /// One was shown and verified; the leaf in DER form.
    Verified(Bytes),
    /// One was shown, is not valid, and the listener lets it pass (AllowInsecureFallback).
    Unverified,
}

/// Why a stack cannot do what a policy says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The stack lacks it.
    #[error("{stack} cannot do {what}; {remedy}")]
    Unsupported {
        /// The stack.
        stack: &'static str,
        /// What is asked for.
        what: String,
        /// What to do instead.
        remedy: String,
    },
    /// The stack refused the material.
    #[error("TLS could not be set up: {0}")]
    Setup(String),
}

impl Alpn {
    /// The protocol's id.
    pub fn id(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }

    /// The protocol of this id.
    pub fn from_id(id: &[u8]) -> Option<Self> {
        [Self::Http1, Self::Http2].into_iter().find(|alpn| alpn.id() == id)
    }
}

impl fmt::Display for Alpn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        })
    }
}
