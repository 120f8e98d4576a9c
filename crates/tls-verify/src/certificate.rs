//! A certificate chain with its private key: what we present, to clients or to backends.

use std::fmt;

use aws_lc_rs::{
    rsa,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde::{Serialize, Serializer};

use crate::{ContentHasher, ContentId};

/// A certificate chain, leaf first, with the private key of the leaf. Debug and serialised forms show the id only.
pub struct CertifiedKey {
    id: ContentId,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    ocsp: Option<Vec<u8>>,
}

/// Why a certificate and key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No certificate in the PEM text.
    #[error("no certificate in PEM form found")]
    NoCertificate,
    /// A certificate cannot be parsed.
    #[error("certificate {position} of the chain cannot be parsed: {reason}")]
    BadCertificate {
        /// Its place in the chain, from 1.
        position: usize,
        /// What is wrong.
        reason: String,
    },
    /// No usable private key.
    #[error(
        "no usable private key in PEM form (PKCS #8, PKCS #1 or SEC 1; RSA, ECDSA P-256/P-384/P-521 or Ed25519) found"
    )]
    NoKey,
    /// The key is not the certificate's.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
}

impl CertifiedKey {
    /// Parses a chain and a key, and checks that they belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .enumerate()
            .map(|(i, item)| {
                item.map_err(|e| CertificateError::BadCertificate { position: i + 1, reason: e.to_string() })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey)?;
        Self::new(chain, key)
    }

    /// Takes a chain and a key in DER form, and checks that they belong together.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CertificateError> {
        let leaf = chain.first().ok_or(CertificateError::NoCertificate)?;
        for (i, certificate) in chain.iter().enumerate() {
            webpki::EndEntityCert::try_from(certificate)
                .map_err(|e| CertificateError::BadCertificate { position: i + 1, reason: e.to_string() })?;
        }
        let public = public_key(&key).ok_or(CertificateError::NoKey)?;
        let leaf = webpki::EndEntityCert::try_from(leaf)
            .map_err(|e| CertificateError::BadCertificate { position: 1, reason: e.to_string() })?;
        // The key's bits stand at the end of the SubjectPublicKeyInfo, whatever the algorithm.
        if !leaf.subject_public_key_info().ends_with(&public) {
            return Err(CertificateError::KeyMismatch);
        }
        let mut hasher = ContentHasher::new("certified-key");
        hasher.count(chain.len());
        chain.iter().for_each(|certificate| {
            hasher.field(certificate);
        });
        // The key decides nothing that the certificate does not; its bytes stay out of the id.
        Ok(Self { id: hasher.finish(), chain, key, ocsp: None })
    }

    /// The same with a DER OCSP response to staple (RFC 6066 §8).
    pub fn with_ocsp(mut self, response: Vec<u8>) -> Self {
        let mut hasher = ContentHasher::new("certified-key-ocsp");
        hasher.field(self.id.as_bytes()).field(&response);
        self.id = hasher.finish();
        self.ocsp = Some(response);
        self
    }

    /// The address of the chain and the stapled response.
    pub fn id(&self) -> ContentId {
        self.id
    }

    /// The chain, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The private key. Never log it.
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// The OCSP response to staple.
    pub fn ocsp(&self) -> Option<&[u8]> {
        self.ocsp.as_deref()
    }
}

/// The public key's bits, as they end a SubjectPublicKeyInfo.
fn public_key(key: &PrivateKeyDer<'_>) -> Option<Vec<u8>> {
    const CURVES: [&signature::EcdsaSigningAlgorithm; 3] = [
        &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
        &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
    ];
    let der = key.secret_der();
    match key {
        PrivateKeyDer::Pkcs1(_) => Some(rsa::KeyPair::from_der(der).ok()?.public_key().as_ref().to_vec()),
        PrivateKeyDer::Sec1(_) => CURVES.iter().find_map(|curve| {
            Some(EcdsaKeyPair::from_private_key_der(curve, der).ok()?.public_key().as_ref().to_vec())
        }),
        _ => CURVES
            .iter()
            .find_map(|curve| Some(EcdsaKeyPair::from_pkcs8(curve, der).ok()?.public_key().as_ref().to_vec()))
            .or_else(|| Some(rsa::KeyPair::from_pkcs8(der).ok()?.public_key().as_ref().to_vec()))
            .or_else(|| {
                Some(Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?.public_key().as_ref().to_vec())
            }),
    }
}

impl fmt::Debug for CertifiedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertifiedKey({} certificates, {})", self.chain.len(), self.id)
    }
}

impl PartialEq for CertifiedKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.key.secret_der() == other.key.secret_der()
    }
}

impl Serialize for CertifiedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id.serialize(serializer)
    }
}
