//! The verifier and the client certificate, with a note of what the backend showed and asked for.

use std::{fmt, sync::Arc};

use pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        ResolvesClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    sign::CertifiedKey,
};

use super::verifier::{BackendVerifier, chain};
use crate::{inspect::Observer, sessions::lock};

/// Lets the observer see what this configuration's handshake shows. It decides nothing.
pub(super) fn observe(config: &mut ClientConfig, verifier: &Arc<BackendVerifier>, observer: &Observer) {
    let resolver = config.client_auth_cert_resolver.clone();
    config.client_auth_cert_resolver = Arc::new(Observed { inner: resolver, observer: observer.clone() });
    let verifier = Observed { inner: verifier.clone(), observer: observer.clone() };
    config.dangerous().set_certificate_verifier(Arc::new(verifier));
}

struct Observed<T: ?Sized> {
    inner: Arc<T>,
    observer: Observer,
}

impl<T: fmt::Debug + ?Sized> fmt::Debug for Observed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl ServerCertVerifier for Observed<BackendVerifier> {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = chain(leaf, intermediates).into_iter().map(CertificateDer::into_owned);
        lock(&self.observer).chain = shown.collect();
        self.inner.verify_server_cert(leaf, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

impl ResolvesClientCert for Observed<dyn ResolvesClientCert> {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        lock(&self.observer).client_authorities = Some(hints.iter().map(|hint| hint.to_vec()).collect());
        self.inner.resolve(hints, schemes)
    }

    fn has_certs(&self) -> bool {
        self.inner.has_certs()
    }
}
