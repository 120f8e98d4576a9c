//! TLS of the link: 1.3 only, on the cryptography that everything else uses.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use lasthop_tls_verify::{CertifiedKey, TrustAnchors};
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::CryptoProvider, version::TLS13};

/// The name in the serving certificate. Proxies ask for it whatever address they connect to, so that neither Service nor
/// namespace of the controller are part of what is trusted.
pub const SERVER_NAME: &str = "control-plane.lasthop.internal";

/// The serving certificate of the server; it can be replaced while connections are under way.
#[derive(Clone)]
pub struct ServingTls(Arc<Mutex<Arc<ServerConfig>>>);

/// Why a certificate cannot be served with, or a bundle not be trusted.
#[derive(Debug, thiserror::Error)]
#[error("TLS of the link cannot be set up: {0}")]
pub struct LinkTlsError(String);

impl ServingTls {
    /// Serves with this certificate.
    ///
    /// # Errors
    /// A key that TLS 1.3 has no use for.
    pub fn new(certificate: &CertifiedKey) -> Result<Self, LinkTlsError> {
        Ok(Self(Arc::new(Mutex::new(server_config(certificate)?))))
    }

    /// Serves new connections with this one.
    ///
    /// # Errors
    /// A key that TLS 1.3 has no use for; the one before stays.
    pub fn replace(&self, certificate: &CertifiedKey) -> Result<(), LinkTlsError> {
        let config = server_config(certificate)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for ServingTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServingTls")
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn failed(error: impl fmt::Display) -> LinkTlsError {
    LinkTlsError(error.to_string())
}

fn server_config(certificate: &CertifiedKey) -> Result<Arc<ServerConfig>, LinkTlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(failed)?
        .with_no_client_auth()
        .with_single_cert(certificate.chain().to_vec(), certificate.key().clone_key())
        .map_err(failed)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// What a proxy connects with: it trusts this PEM bundle and nothing else.
pub(crate) fn client_config(bundle: &[u8]) -> Result<Arc<ClientConfig>, LinkTlsError> {
    let (anchors, _) = TrustAnchors::from_pem(bundle).map_err(failed)?;
    let mut roots = RootCertStore::empty();
    for certificate in anchors.certificates() {
        roots.add(certificate.clone()).map_err(failed)?;
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(failed)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    // Every connection proves the server anew.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}
