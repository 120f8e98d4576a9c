//! Backends and their endpoints.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{BackendKey, EndpointsKey, UpstreamTlsPolicy};

/// A port of a Service, or an XBackend, as one Gateway reaches it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Backend {
    /// Its name.
    pub key: BackendKey,
    /// What the Service's port says it speaks.
    pub protocol: AppProtocol,
    /// Whether and how the hop is encrypted.
    pub tls: BackendTls,
    /// Whether each connection begins with a PROXY protocol v2 header that tells the client's address (before TLS, if
    /// the hop is encrypted). Such connections serve one client: they are never shared.
    pub proxy_protocol: bool,
}

/// `appProtocol` of the Service's port (GEP-1911). How the backend is encrypted never depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AppProtocol {
    /// Not given, or one we do not know: HTTP/1.1, over TLS also HTTP/2 if ALPN chooses it.
    #[default]
    Unspecified,
    /// `kubernetes.io/h2c`: HTTP/2 by prior knowledge. Over TLS: HTTP/2 by ALPN.
    H2c,
    /// `kubernetes.io/ws`: HTTP/1.1 with upgrades.
    WebSocket,
    /// `kubernetes.io/wss`: the same over TLS.
    WebSocketTls,
}

/// Whether and how a hop is encrypted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum BackendTls {
    /// Not encrypted, because nobody asked for it.
    Plaintext(PlaintextReason),
    /// Encrypted and verified as this policy says.
    Policy(Arc<UpstreamTlsPolicy>),
    /// Encryption was asked for and cannot be had as asked: no connection is made, requests get 502.
    Refused(Refusal),
}

/// Why a hop is in plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PlaintextReason {
    /// No BackendTLSPolicy targets this port of the Service.
    NoPolicy,
    /// The XBackend says mode `None` (GEP-4894).
    ModeNone,
}

/// Why a backend's TLS cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// A name from the API's conditions, such as `InvalidCACertificateRef`.
    pub reason: Arc<str>,
    /// The object, the field and the remedy.
    pub message: Arc<str>,
    /// The policy, as `namespace/name`.
    pub policy: Arc<str>,
}

/// The ready endpoints of a Service's port, or of an XBackend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointSet {
    /// Its name.
    pub key: EndpointsKey,
    /// Sorted and without repetition. Empty, and without a host name: requests get 503.
    pub endpoints: Vec<Endpoint>,
    /// A DNS name, lower case. If given, the endpoints are its addresses at the key's port as the dataplane resolves
    /// them, and `endpoints` is empty.
    pub hostname: Option<Arc<str>>,
}

impl EndpointSet {
    /// Where to connect: the endpoints, then the addresses of the host name, as far as it is resolved, at the key's port.
    pub fn addresses<'a>(&'a self, resolved: &'a [IpAddr]) -> impl Iterator<Item = SocketAddr> + 'a {
        let listed = self.endpoints.iter().map(|endpoint| endpoint.address);
        listed.chain(resolved.iter().map(|address| SocketAddr::new(*address, self.key.port)))
    }
}

/// One endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ObjectName;

    #[test]
    fn a_names_addresses_follow_those_listed_at_the_keys_port() {
        let at = |address: &str| address.parse().unwrap();
        let set = EndpointSet {
            key: EndpointsKey::service(ObjectName::new("default", "app"), 443),
            endpoints: vec![Endpoint { address: at("10.0.0.1:8443") }],
            hostname: None,
        };
        let resolved = ["10.0.0.2".parse().unwrap(), "::1".parse().unwrap()];
        let addresses: Vec<_> = set.addresses(&resolved).collect();
        assert_eq!(addresses, [at("10.0.0.1:8443"), at("10.0.0.2:443"), at("[::1]:443")]);
    }
}
