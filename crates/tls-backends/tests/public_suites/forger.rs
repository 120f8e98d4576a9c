//! A peer that shows any chain without its key: where the signature that proves possession belongs, it sends nonsense.
//!
//! Both stacks judge the chain before they look at that signature, in TLS 1.2 (of the ServerKeyExchange) as in TLS 1.3
//! (of the CertificateVerify, RFC 8446 §4.4.3). So a chain that was accepted shows as the alert decrypt_error, and one
//! that was refused as the verifier's own alert.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureAlgorithm, SignatureScheme,
    SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{ClientHello, ResolvesServerCert},
    sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey},
    version::TLS13,
};

/// A key that signs nonsense in the scheme that the leaf's key would sign in.
#[derive(Clone, Copy, Debug)]
struct Forger(SignatureScheme);

impl SigningKey for Forger {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(*self))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0 {
            SignatureScheme::RSA_PSS_SHA256 => SignatureAlgorithm::RSA,
            SignatureScheme::ED25519 => SignatureAlgorithm::ED25519,
            _ => SignatureAlgorithm::ECDSA,
        }
    }
}

impl Signer for Forger {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Error> {
        // Two INTEGERs in a SEQUENCE, as ECDSA has it; nonsense to all others.
        Ok(vec![0x30, 6, 2, 1, 1, 2, 1, 1])
    }

    fn scheme(&self) -> SignatureScheme {
        self.0
    }
}

/// Object identifiers as they stand in a SubjectPublicKeyInfo, and the scheme that such a key signs in.
const KEYS: [(&[u8], SignatureScheme); 5] = [
    (&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], SignatureScheme::ECDSA_NISTP256_SHA256),
    (&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1], SignatureScheme::RSA_PSS_SHA256),
    (&[6, 5, 0x2b, 0x81, 4, 0, 0x22], SignatureScheme::ECDSA_NISTP384_SHA384),
    (&[6, 5, 0x2b, 0x81, 4, 0, 0x23], SignatureScheme::ECDSA_NISTP521_SHA512),
    (&[6, 3, 0x2b, 0x65, 0x70], SignatureScheme::ED25519),
];

#[derive(Debug)]
struct Fixed(Arc<CertifiedKey>);

impl ResolvesServerCert for Fixed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

fn shown(chain: Vec<CertificateDer<'static>>) -> Arc<CertifiedKey> {
    // Not every leaf can be parsed. None of these stands elsewhere in a certificate, but for the last.
    let scheme = KEYS.iter().find(|(oid, _)| chain[0].windows(oid.len()).any(|window| window == *oid));
    let scheme = scheme.map_or(SignatureScheme::ECDSA_NISTP256_SHA256, |(_, scheme)| *scheme);
    Arc::new(CertifiedKey::new(chain, Arc::new(Forger(scheme))))
}

/// A server that shows the chain.
pub fn server(
    chain: Vec<CertificateDer<'static>>,
    version: &'static SupportedProtocolVersion,
) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Fixed(shown(chain))));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// A client that shows the chain, and believes everything.
pub fn client(chain: Vec<CertificateDer<'static>>) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believer))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown(chain))))
}

/// The alert that ended a handshake on the forger's side.
pub fn alert(error: &io::Error) -> Option<u8> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::AlertReceived(alert) => Some(u8::from(*alert)),
        _ => None,
    }
}

#[derive(Debug)]
struct Believer;

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
