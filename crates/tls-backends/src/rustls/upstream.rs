//! Handshakes with backends.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use lasthop_dataplane_api::{PolicyId, UpstreamTlsPolicy};
use lasthop_tls_verify::{TlsError, Verifier, leaf_not_after};
use pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, client::Resumption};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{
    errors, observer, provider,
    sessions::{ConnectionSessions, EndpointSessions},
    verifier::BackendVerifier,
};
use crate::{
    Alpn, Inspection, PeerInfo, PolicyError, TlsStream, UpstreamEndpointTls, UpstreamTls,
    classify::Side,
    iana,
    inspect::{self, Observer},
    offer::{self, AlpnOffer},
    read_ahead::ReadAhead,
    sessions::Endpoints,
    stream::Inner,
};

/// A TLS policy.
pub(super) struct Upstream {
    base: Arc<Base>,
    endpoints: Endpoints<Endpoint>,
}

/// What all endpoints of the policy share. rustls resumes a session only under the very verifier and client
/// certificate it began with; both live here, so in this policy only.
struct Base {
    policy: Arc<UpstreamTlsPolicy>,
    config: ClientConfig,
    verifier: Arc<BackendVerifier>,
}

/// The policy towards one endpoint.
struct Endpoint {
    base: Arc<Base>,
    address: SocketAddr,
    sessions: Arc<EndpointSessions>,
}

impl Upstream {
    pub(super) fn new(policy: Arc<UpstreamTlsPolicy>) -> Result<Self, PolicyError> {
        let settings = policy.settings();
        let setup = |error: &dyn std::fmt::Display| PolicyError::Setup(error.to_string());
        let verifier = Verifier::new(settings.peer.clone()).map_err(|error| setup(&error))?;
        let provider = provider::with(&settings.cipher_suites, &settings.groups)?;
        let versions = provider::versions(offer::versions(settings)?);
        let verifier = Arc::new(BackendVerifier::new(verifier, &provider));
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| setup(&error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone());
        let mut config = match &settings.client_certificate {
            Some(ours) => builder
                .with_client_auth_cert(ours.chain().to_vec(), ours.key().clone_key())
                .map_err(|error| setup(&error))?,
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(Self { base: Arc::new(Base { policy, config, verifier }), endpoints: Endpoints::new() })
    }
}

impl UpstreamTls for Upstream {
    fn policy_id(&self) -> PolicyId {
        self.base.policy.id()
    }

    fn endpoint(&self, address: SocketAddr) -> Arc<dyn UpstreamEndpointTls> {
        self.endpoints.get(address, || Endpoint {
            base: self.base.clone(),
            address,
            sessions: Arc::new(EndpointSessions::new()),
        })
    }
}

#[async_trait]
impl UpstreamEndpointTls for Endpoint {
    async fn connect(
        &self,
        io: TcpStream,
        request_host: Option<&str>,
        alpn: &[Alpn],
    ) -> Result<(TlsStream, PeerInfo), TlsError> {
        self.shake_hands(io, request_host, alpn, &self.sessions, None).await
    }

    async fn inspect(
        &self,
        io: TcpStream,
        request_host: Option<&str>,
        alpn: &[Alpn],
        patience: Duration,
    ) -> Inspection {
        let (sessions, observer) = (Arc::new(EndpointSessions::new()), Observer::default());
        let result = self.shake_hands(io, request_host, alpn, &sessions, Some(&observer)).await;
        inspect::conclude(result, &observer, patience).await
    }
}

impl Endpoint {
    async fn shake_hands(
        &self,
        io: TcpStream,
        request_host: Option<&str>,
        alpn: &[Alpn],
        sessions: &Arc<EndpointSessions>,
        observer: Option<&Observer>,
    ) -> Result<(TlsStream, PeerInfo), TlsError> {
        let settings = self.base.policy.settings();
        let protocols = AlpnOffer::new(settings, alpn);
        let name = offer::server_name(&settings.sni, request_host)
            .and_then(|name| ServerName::try_from(name.as_str().to_owned()).ok());
        // rustls sends no server_name extension for an address.
        let name = name.unwrap_or_else(|| ServerName::IpAddress(self.address.ip().into()));
        let sessions = Arc::new(ConnectionSessions::new(sessions.clone(), name.to_str().into()));
        let mut config = self.base.config.clone();
        config.alpn_protocols = protocols.ids().to_vec();
        if settings.resumption {
            config.resumption = Resumption::store(sessions.clone());
        }
        if let Some(observer) = observer {
            observer::observe(&mut config, &self.base.verifier, observer);
        }
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, ReadAhead::new(io, Bytes::new()));
        let stream = connecting.into_fallible().await.map_err(|(error, io)| {
            let error = errors::handshake_error(&error, io.began_without_tls(), Side::Upstream);
            protocols.complete(errors::with_expected(error, &settings.peer))
        })?;
        let connection = stream.get_ref().1;
        let info = PeerInfo { alpn: protocols.judge(connection.alpn_protocol())?, ..describe(connection) };
        if !info.resumed {
            sessions.verified(info.not_after);
        }
        Ok((TlsStream(Inner::RustlsClient(stream)), info))
    }
}

fn describe(connection: &ClientConnection) -> PeerInfo {
    let suite = connection.negotiated_cipher_suite().map(|suite| u16::from(suite.suite()));
    let group = connection.negotiated_key_exchange_group().map(|group| u16::from(group.name()));
    // rustls keeps the chain with the session.
    let leaf = connection.peer_certificates().and_then(|chain| chain.first());
    PeerInfo {
        version: provider::version_of(connection.protocol_version()),
        alpn: None,
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        cipher_suite: iana::suite_name(suite.unwrap_or_default()),
        group: group.and_then(iana::group_name),
        leaf: leaf.map(|leaf| leaf.clone().into_owned()),
        not_after: leaf.and_then(leaf_not_after),
    }
}
