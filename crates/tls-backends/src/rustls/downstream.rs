//! Handshakes with clients.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use lasthop_dataplane_api::ClientValidationMode;
use lasthop_tls_verify::{TlsError, Verifier};
use pki_types::{CertificateDer, UnixTime};
use rustls::{
    HandshakeKind, ServerConfig,
    server::{Acceptor, NoServerSessionStorage, WebPkiClientVerifier},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::LazyConfigAcceptor;

use super::{
    certificates::Certificates, errors, provider, tickets::ScopedTickets, verifier::FrontendVerifier,
};
use crate::{
    Alpn, ClientIdentity, DownstreamEntry, DownstreamInfo, DownstreamSettings, DownstreamTls, PolicyError,
    TlsStream, classify::Side, read_ahead::ReadAhead, sni, stream::Inner,
};

/// A fatal alert unrecognized_name (RFC 6066 §3) as a record of its own, from before there are keys.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// TLS of the listeners of a port.
pub(super) struct Downstream {
    settings: DownstreamSettings,
    entries: Vec<Entry>,
}

struct Entry {
    config: Arc<ServerConfig>,
    /// How to judge a certificate that is not demanded.
    fallback: Option<Arc<Verifier>>,
}

impl Downstream {
    pub(super) fn new(settings: DownstreamSettings) -> Result<Self, PolicyError> {
        let alpn: Vec<Vec<u8>> = settings.alpn.iter().map(|alpn| alpn.id().to_vec()).collect();
        let entries =
            settings.entries.iter().map(|entry| Entry::new(entry, &alpn)).collect::<Result<_, _>>()?;
        Ok(Self { settings, entries })
    }
}

impl Downstream {
    fn protocols(&self) -> Vec<String> {
        self.settings.alpn.iter().map(ToString::to_string).collect()
    }
}

impl Entry {
    fn new(entry: &DownstreamEntry, alpn: &[Vec<u8>]) -> Result<Self, PolicyError> {
        let setup = |error: &dyn std::fmt::Display| PolicyError::Setup(error.to_string());
        let provider = provider::default();
        let certificates = Certificates::new(&entry.tls, &provider)?;
        let mut fallback = None;
        let verifier = match &entry.tls.client_validation {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(validation) => {
                let verifier =
                    Arc::new(Verifier::new(validation.requirements()).map_err(|error| setup(&error))?);
                let mandatory = validation.mode == ClientValidationMode::AllowValidOnly;
                fallback = (!mandatory).then(|| verifier.clone());
                Arc::new(FrontendVerifier::new(verifier, mandatory))
            }
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| setup(&error))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = alpn.to_vec();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if entry.tls.client_validation.is_none() {
            config.ticketer = Arc::new(ScopedTickets::new(entry)?);
        } else {
            // A resumed session would carry a verdict on a client past a change of what is trusted.
            config.send_tls13_tickets = 0;
        }
        Ok(Self { config: Arc::new(config), fallback })
    }

    fn identity(&self, chain: Option<&[CertificateDer<'_>]>) -> ClientIdentity {
        match (chain, &self.fallback) {
            (None | Some([]), _) => ClientIdentity::None,
            (Some([leaf, ..]), None) => ClientIdentity::Verified(Bytes::copy_from_slice(leaf)),
            (Some(chain @ [leaf, ..]), Some(verifier)) => {
                match verifier.verify_client(chain, UnixTime::now()) {
                    Ok(_) => ClientIdentity::Verified(Bytes::copy_from_slice(leaf)),
                    Err(_) => ClientIdentity::Unverified,
                }
            }
        }
    }
}

#[async_trait]
impl DownstreamTls for Downstream {
    async fn accept(&self, io: TcpStream, prefix: Bytes) -> Result<(TlsStream, DownstreamInfo), TlsError> {
        let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), ReadAhead::new(io, prefix));
        let mut start = match (&mut acceptor).await {
            Ok(start) => start,
            Err(error) => {
                let began_without_tls = acceptor.take_io().is_some_and(|io| io.began_without_tls());
                return Err(errors::handshake_error(&error, began_without_tls, Side::Downstream));
            }
        };
        let name = start.client_hello().server_name().and_then(sni::normalise);
        let chosen = sni::choose_entry(&self.settings, name.as_deref())
            .and_then(|index| Some((index, self.entries.get(index)?)));
        let Some((index, entry)) = chosen else {
            // The client learns it if it still listens; the verdict stands either way.
            let _ = start.io.write_all(&UNRECOGNIZED_NAME).await;
            let _ = start.io.shutdown().await;
            return Err(TlsError::UnrecognizedName(name));
        };
        let accepting = start.into_stream(entry.config.clone()).into_fallible();
        let stream = accepting.await.map_err(|(error, _)| {
            match errors::handshake_error(&error, false, Side::Downstream) {
                TlsError::AlpnMismatch { selected, .. } => {
                    TlsError::AlpnMismatch { offered: self.protocols(), selected }
                }
                error => error,
            }
        })?;
        let connection = stream.get_ref().1;
        let info = DownstreamInfo {
            sni: name,
            entry: index,
            alpn: connection.alpn_protocol().and_then(Alpn::from_id),
            version: provider::version_of(connection.protocol_version()),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            client: entry.identity(connection.peer_certificates()),
        };
        Ok((TlsStream(Inner::RustlsServer(stream)), info))
    }
}
