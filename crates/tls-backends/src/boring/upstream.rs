//! Handshakes with backends.

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use boring::{
    error::ErrorStack,
    ex_data::Index,
    ssl::{
        Ssl, SslContext, SslOptions, SslRef, SslSession, SslSessionCacheMode, SslStreamBuilder,
        SslVerifyError, SslVerifyMode, SslVersion,
    },
};
use bytes::Bytes;
use lasthop_dataplane_api::{PolicyId, UpstreamTlsPolicy};
use lasthop_tls_verify::{TlsError, Verifier, leaf_not_after};
use pki_types::{CertificateDer, UnixTime};
use tokio::net::TcpStream;

use super::{
    bridge::Bridge,
    certificates::{self, Prepared},
    context::{self, setup},
    errors, handshake,
    session_unsafe::ContextSession,
};
use crate::{
    Alpn, Inspection, PeerInfo, PolicyError, TlsStream, UpstreamEndpointTls, UpstreamTls,
    classify::Side,
    iana,
    inspect::{self, Observer},
    offer::{self, AlpnOffer},
    read_ahead::ReadAhead,
    sessions::{Deadline, Endpoints, SessionStore, lock},
    stream::Inner,
};

/// A TLS policy.
pub(super) struct Upstream {
    base: Arc<Base>,
    endpoints: Endpoints<Endpoint>,
}

/// What all endpoints of the policy share.
struct Base {
    policy: Arc<UpstreamTlsPolicy>,
    context: SslContext,
}

/// The policy towards one endpoint.
struct Endpoint {
    base: Arc<Base>,
    sessions: Arc<SessionStore<ContextSession>>,
}

/// What a connection remembers for the callbacks.
struct Connection {
    sessions: Arc<SessionStore<ContextSession>>,
    name: Arc<str>,
    deadline: Deadline,
    verdict: Option<TlsError>,
    observer: Option<Observer>,
}

static CONNECTION: LazyLock<Result<Index<Ssl, Connection>, ErrorStack>> = LazyLock::new(Ssl::new_ex_index);

fn connection(ssl: &mut SslRef) -> Option<&mut Connection> {
    ssl.ex_data_mut(*CONNECTION.as_ref().ok()?)
}

impl Upstream {
    pub(super) fn new(policy: Arc<UpstreamTlsPolicy>) -> Result<Self, PolicyError> {
        let settings = policy.settings();
        if let Some(suite) = settings.cipher_suites.iter().find(|suite| iana::is_tls13_suite(**suite)) {
            return Err(PolicyError::Unsupported {
                stack: "boringssl",
                what: format!("a choice of TLS 1.3 cipher suites ({suite:?})"),
                remedy: "name suites of TLS 1.2 only, or use rustls".to_owned(),
            });
        }
        let verifier = Verifier::new(settings.peer.clone()).map_err(|e| PolicyError::Setup(e.to_string()))?;
        let mut context =
            context::new(offer::versions(settings)?, &settings.cipher_suites, &settings.groups)?;
        context.set_custom_verify_callback(SslVerifyMode::PEER, move |ssl| verify(&verifier, ssl));
        if settings.resumption {
            context.set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
            context.set_new_session_callback(keep);
        } else {
            context.set_session_cache_mode(SslSessionCacheMode::OFF);
            context.set_options(SslOptions::NO_TICKET);
        }
        if let Some(ours) = &settings.client_certificate {
            Prepared::new(ours).and_then(|ours| ours.show_always(&mut context)).map_err(setup)?;
        }
        Ok(Self { base: Arc::new(Base { policy, context: context.build() }), endpoints: Endpoints::new() })
    }
}

/// Asks the verifier. Not called for a resumed session.
fn verify(verifier: &Verifier, ssl: &mut SslRef) -> Result<(), SslVerifyError> {
    let now = UnixTime::now();
    let shown = certificates::shown(ssl).map_err(|error| TlsError::BadCertificate(error.to_string()));
    let verdict = match &shown {
        Ok(chain) => verifier.verify_server(chain, now),
        Err(error) => Err(error.clone()),
    };
    let connection = connection(ssl);
    if let Some(Connection { observer: Some(observer), .. }) = &connection {
        lock(observer).chain = shown.unwrap_or_default();
    }
    match verdict {
        Ok(verified) => {
            if let Some(connection) = connection {
                // Verified anew, whatever session was offered and declined.
                connection.deadline = Deadline::after(now);
                if let Some(not_after) = verified.not_after {
                    connection.deadline.no_later_than(not_after);
                }
            }
            Ok(())
        }
        Err(error) => {
            let alert = errors::alert(&error);
            if let Some(connection) = connection {
                connection.verdict = Some(error);
            }
            Err(SslVerifyError::Invalid(alert))
        }
    }
}

/// Keeps a session that the backend gave.
fn keep(ssl: &mut SslRef, session: SslSession) {
    let session = ContextSession::new(ssl.ssl_context(), session);
    if let Some(connection) = connection(ssl) {
        connection.sessions.put(&connection.name, &connection.deadline, session);
    }
}

impl UpstreamTls for Upstream {
    fn policy_id(&self) -> PolicyId {
        self.base.policy.id()
    }

    fn endpoint(&self, address: SocketAddr) -> Arc<dyn UpstreamEndpointTls> {
        self.endpoints
            .get(address, || Endpoint { base: self.base.clone(), sessions: Arc::new(SessionStore::new()) })
    }
}

impl Endpoint {
    /// A connection that is about to begin.
    fn prepare(
        &self,
        name: Option<&str>,
        protocols: &AlpnOffer,
        sessions: &Arc<SessionStore<ContextSession>>,
        observer: Option<&Observer>,
    ) -> Result<Ssl, ErrorStack> {
        let index = (*CONNECTION).clone()?;
        let mut ssl = Ssl::new(&self.base.context)?;
        if let Some(name) = name {
            ssl.set_hostname(name)?;
        }
        if !protocols.ids().is_empty() {
            ssl.set_alpn_protos(&protocols.wire())?;
        }
        let now = UnixTime::now();
        let mut connection = Connection {
            sessions: sessions.clone(),
            name: name.unwrap_or_default().into(),
            deadline: Deadline::after(now),
            verdict: None,
            observer: observer.cloned(),
        };
        if let Some((session, deadline)) = sessions.take(&connection.name, now) {
            connection.deadline = deadline;
            session.offer(&mut ssl)?;
            // A session of TLS 1.2 may be used any number of times.
            if session.session().protocol_version() == SslVersion::TLS1_2 {
                sessions.put(&connection.name, &connection.deadline, session);
            }
        }
        ssl.set_ex_data(index, connection);
        Ok(ssl)
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
        let (sessions, observer) = (Arc::new(SessionStore::new()), Observer::default());
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
        sessions: &Arc<SessionStore<ContextSession>>,
        observer: Option<&Observer>,
    ) -> Result<(TlsStream, PeerInfo), TlsError> {
        let settings = self.base.policy.settings();
        let protocols = AlpnOffer::new(settings, alpn);
        let name = offer::server_name(&settings.sni, request_host);
        let ssl = self
            .prepare(name.as_ref().map(|name| name.as_str()), &protocols, sessions, observer)
            .map_err(|error| TlsError::Local(error.to_string()))?;
        let bridge = Bridge::new(ReadAhead::new(io, Bytes::new()));
        let started = SslStreamBuilder::new(ssl, bridge).setup_connect();
        let verdict = |ssl: &mut SslRef| connection(ssl)?.verdict.take();
        let stream =
            handshake::complete(started, Side::Upstream, verdict).await.map_err(|e| protocols.complete(e))?;
        let ssl = stream.ssl();
        // BoringSSL keeps it with the session.
        let leaf = ssl.peer_certificate().and_then(|leaf| leaf.to_der().ok()).map(CertificateDer::from);
        let info = PeerInfo {
            version: context::version_of(ssl.version2()),
            alpn: protocols.judge(ssl.selected_alpn_protocol())?,
            resumed: ssl.session_reused(),
            cipher_suite: iana::suite_name(ssl.current_cipher().map_or(0, |cipher| cipher.protocol_id())),
            group: ssl.curve().and_then(iana::group_name),
            not_after: leaf.as_ref().and_then(leaf_not_after),
            leaf,
        };
        Ok((TlsStream(Inner::Boring(stream)), info))
    }
}
