//! The one verifier, as rustls calls it.

use std::{fmt, sync::Arc};

use lasthop_tls_verify::{Verifier, leaf_curve, leaf_key};
use pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
        verify_tls13_signature_with_raw_key,
    },
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use webpki::{EndEntityCert, RawPublicKeyEntity};

use super::{
    errors::{self, refuse},
    provider,
};

/// Verifies backends. The server name that rustls passes is what was sent as SNI; the policy's identities decide.
pub(super) struct BackendVerifier {
    verifier: Verifier,
    /// The groups on offer, by their numbers.
    groups: Vec<u16>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Verifies clients.
pub(super) struct FrontendVerifier {
    verifier: Arc<Verifier>,
    mandatory: bool,
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// More hints than this many bytes are not sent: the list is a courtesy, and system stores are long.
const MOST_HINTS: usize = 8 * 1024;

impl BackendVerifier {
    /// For handshakes that offer the groups of this provider.
    pub(super) fn new(verifier: Verifier, provider: &CryptoProvider) -> Self {
        let groups = provider.kx_groups.iter().map(|group| u16::from(group.name())).collect();
        Self { verifier, groups, algorithms: provider.signature_verification_algorithms }
    }
}

impl FrontendVerifier {
    /// If not `mandatory`, every certificate passes here, and the caller judges it after the handshake.
    pub(super) fn new(verifier: Arc<Verifier>, mandatory: bool) -> Self {
        let anchors = &verifier.requirements().anchors;
        let mut hints: Vec<_> = anchors.subjects().map(DistinguishedName::in_sequence).collect();
        if hints.iter().map(|hint| hint.as_ref().len()).sum::<usize>() > MOST_HINTS {
            hints.clear();
        }
        let algorithms = provider::default().signature_verification_algorithms;
        Self { verifier, mandatory, hints, algorithms }
    }
}

impl FrontendVerifier {
    /// The key of a certificate that webpki does not parse, such as one of version 1: it can never be verified, but a
    /// client may show it where none needs to be. It must hold the key all the same, as with BoringSSL.
    fn unverifiable_key<'a>(&self, leaf: &'a CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'a>> {
        if self.mandatory || EndEntityCert::try_from(leaf).is_ok() { None } else { leaf_key(leaf) }
    }
}

/// As [`verify_tls12_signature`], by a key without a certificate.
fn verify_tls12_signature_with_raw_key(
    message: &[u8],
    key: &SubjectPublicKeyInfoDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let bad = |error| Error::InvalidCertificate(error);
    let key = RawPublicKeyEntity::try_from(key).map_err(|_| bad(CertificateError::BadEncoding))?;
    let mut known = algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signed.scheme);
    // In TLS 1.2 a scheme does not say the curve, so there are several algorithms.
    let fits = known.any(|(_, algorithms)| {
        algorithms.iter().any(|kind| key.verify_signature(*kind, message, signed.signature()).is_ok())
    });
    if fits { Ok(HandshakeSignatureValid::assertion()) } else { Err(bad(CertificateError::BadSignature)) }
}

/// Leaf and intermediates as one chain.
pub(super) fn chain<'a>(
    leaf: &CertificateDer<'a>,
    intermediates: &[CertificateDer<'a>],
) -> Vec<CertificateDer<'a>> {
    std::iter::once(leaf.clone()).chain(intermediates.iter().cloned()).collect()
}

impl ServerCertVerifier for BackendVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.verifier.verify_server(&chain(leaf, intermediates), now);
        verdict.map(|_| ServerCertVerified::assertion()).map_err(refuse)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // In TLS 1.2 the groups on offer are also the curves a certificate may have (RFC 8422 §5.1); BoringSSL checks
        // that by itself.
        if leaf_curve(leaf).is_some_and(|curve| !self.groups.contains(&curve)) {
            return Err(errors::CURVE_NOT_OFFERED.into());
        }
        verify_tls12_signature(message, leaf, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for FrontendVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.mandatory {
            self.verifier.verify_client(&chain(leaf, intermediates), now).map_err(refuse)?;
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.unverifiable_key(leaf) {
            None => verify_tls12_signature(message, leaf, signed, &self.algorithms),
            Some(key) => verify_tls12_signature_with_raw_key(message, &key, signed, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.unverifiable_key(leaf) {
            None => verify_tls13_signature(message, leaf, signed, &self.algorithms),
            Some(key) => verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for BackendVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verifier.fmt(f)
    }
}

impl fmt::Debug for FrontendVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verifier.fmt(f)
    }
}
