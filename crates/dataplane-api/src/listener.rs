//! Listeners: where clients connect.

mod shrinks;

use std::{net::IpAddr, sync::Arc};

use lasthop_tls_verify::{CertifiedKey, TrustAnchors};
use serde::{Deserialize, Serialize};

use crate::{HostPattern, ListenerKey};

/// One listener that may serve. A listener that must not is not in the snapshot; its status says why.
///
/// Several listeners may share a port: HTTP listeners by host, HTTPS and TLS listeners by SNI.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listener {
    /// Its name.
    pub key: ListenerKey,
    /// The port it listens on.
    pub port: u16,
    /// The addresses it listens on; empty means all.
    pub addresses: Vec<IpAddr>,
    /// What it speaks.
    pub protocol: ListenerProtocol,
    /// The hosts it takes; `None` means every host.
    pub hostname: Option<HostPattern>,
    /// How it terminates TLS: given for HTTPS, and for TLS in mode Terminate.
    pub tls: Option<ListenerTls>,
    /// Whether each connection must begin with a PROXY protocol header (v1 or v2), which tells the client's address.
    pub proxy_protocol: bool,
}

impl Listener {
    /// The addresses that set it apart from listeners of other addresses on the same port; empty is every one. The
    /// unspecified address (`0.0.0.0` or `::`) is every one, too.
    pub fn own_addresses(&self) -> &[IpAddr] {
        if self.addresses.iter().any(IpAddr::is_unspecified) { &[] } else { &self.addresses }
    }

    /// Whether some address is listened on by both, so that on one port only their hosts tell them apart.
    pub fn meets(&self, other: &Self) -> bool {
        let (own, others) = (self.own_addresses(), other.own_addresses());
        own.is_empty() || others.is_empty() || own.iter().any(|address| others.contains(address))
    }
}

/// The protocols of listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the API's own names")]
#[allow(clippy::upper_case_acronyms, reason = "the API's own names")]
pub enum ListenerProtocol {
    HTTP,
    HTTPS,
    TLS,
    TCP,
    UDP,
}

/// TLS towards clients.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListenerTls {
    /// The certificates to choose from by SNI; never empty. The first serves clients that no other fits.
    pub certificates: Vec<Arc<CertifiedKey>>,
    /// Whether and how clients' certificates are verified (GEP-91).
    pub client_validation: Option<ClientValidation>,
}

/// How clients' certificates are verified.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClientValidation {
    /// The CAs to trust.
    pub anchors: Arc<TrustAnchors>,
    /// What happens to a client without a valid certificate.
    pub mode: ClientValidationMode,
}

/// What happens to a client without a valid certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ClientValidationMode {
    /// The handshake fails.
    AllowValidOnly,
    /// A certificate is asked for, and the client is served with or without a valid one.
    AllowInsecureFallback,
}
