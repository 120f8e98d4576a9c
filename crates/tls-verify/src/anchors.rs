//! Trust anchors: the CA certificates a policy names.

use std::fmt;

use pki_types::{CertificateDer, TrustAnchor, pem::PemObject};
use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{ContentHasher, ContentId, details::Details};

/// A parsed set of CA certificates. Build it once per distinct content and share it.
pub struct TrustAnchors {
    id: ContentId,
    certificates: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
}

/// A certificate of a bundle that could not be used. The others still are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedCertificate {
    /// Its place in the bundle, from 1.
    pub position: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a bundle gives no trust anchors at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// Nothing but white space.
    #[error("the bundle is empty; put the CA's certificate in PEM form there")]
    Empty,
    /// No usable certificate.
    #[error("the bundle holds no usable CA certificate: {0}")]
    NoneUsable(String),
    /// The machine's own store gave nothing.
    #[error("the system's trust store could not be read: {0}")]
    System(String),
}

impl TrustAnchors {
    /// Parses a PEM bundle. A certificate that cannot be parsed is named and passed over.
    pub fn from_pem(pem: &[u8]) -> Result<(Self, Vec<SkippedCertificate>), AnchorError> {
        if pem.iter().all(u8::is_ascii_whitespace) {
            return Err(AnchorError::Empty);
        }
        let mut certificates = Vec::new();
        let mut skipped = Vec::new();
        for (index, item) in CertificateDer::pem_slice_iter(pem).enumerate() {
            match item {
                Ok(certificate) => certificates.push((index + 1, certificate)),
                Err(error) => {
                    skipped.push(SkippedCertificate { position: index + 1, reason: error.to_string() })
                }
            }
        }
        Self::build(certificates, skipped)
    }

    /// Takes certificates in DER form.
    pub fn from_der(
        certificates: Vec<CertificateDer<'static>>,
    ) -> Result<(Self, Vec<SkippedCertificate>), AnchorError> {
        Self::build(certificates.into_iter().enumerate().map(|(i, c)| (i + 1, c)).collect(), Vec::new())
    }

    /// The operating system's trust store (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured).
    pub fn system() -> Result<Self, AnchorError> {
        let loaded = rustls_native_certs::load_native_certs();
        if loaded.certs.is_empty() {
            let why = loaded.errors.first().map_or_else(|| "it is empty".to_owned(), ToString::to_string);
            return Err(AnchorError::System(why));
        }
        Self::from_der(loaded.certs).map(|(anchors, _)| anchors)
    }

    /// All of several sets; the same certificate counts once.
    pub fn union<'a>(sets: impl IntoIterator<Item = &'a Self>) -> Result<Self, AnchorError> {
        Self::from_der(sets.into_iter().flat_map(|set| set.certificates.iter().cloned()).collect())
            .map(|(anchors, _)| anchors)
    }

    fn build(
        certificates: Vec<(usize, CertificateDer<'static>)>,
        mut skipped: Vec<SkippedCertificate>,
    ) -> Result<(Self, Vec<SkippedCertificate>), AnchorError> {
        let mut usable: Vec<(CertificateDer<'static>, TrustAnchor<'static>)> = Vec::new();
        for (position, certificate) in certificates {
            match webpki::anchor_from_trusted_cert(&certificate).map(|anchor| anchor.to_owned()) {
                Ok(anchor) => usable.push((certificate, anchor)),
                Err(error) => skipped.push(SkippedCertificate { position, reason: error.to_string() }),
            }
        }
        // The same set in another order is the same trust.
        usable.sort_by(|(a, _), (b, _)| a.as_ref().cmp(b.as_ref()));
        usable.dedup_by(|(a, _), (b, _)| a == b);
        if usable.is_empty() {
            let why = skipped.first().map_or_else(
                || "it has no PEM section of type CERTIFICATE".to_owned(),
                |first| format!("certificate {}: {}", first.position, first.reason),
            );
            return Err(AnchorError::NoneUsable(why));
        }
        let mut hasher = ContentHasher::new("trust-anchors");
        usable.iter().for_each(|(certificate, _)| {
            hasher.field(certificate);
        });
        let (certificates, anchors) = usable.into_iter().unzip();
        Ok((Self { id: hasher.finish(), certificates, anchors }, skipped))
    }

    /// The content's address.
    pub fn id(&self) -> ContentId {
        self.id
    }

    /// The certificates, sorted by their bytes.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// The distinguished names of the CAs: the contents of their SEQUENCEs, without tag and length.
    pub fn subjects(&self) -> impl Iterator<Item = &[u8]> {
        self.anchors.iter().map(|anchor| anchor.subject.as_ref())
    }

    /// Whether the anchor's certificate, or one of several with its name and key, may sign revocation lists.
    pub(crate) fn may_sign_crls(&self, anchor: &TrustAnchor<'_>) -> bool {
        let mut same = self.anchors.iter().zip(&self.certificates).filter(|(known, _)| {
            known.subject == anchor.subject && known.subject_public_key_info == anchor.subject_public_key_info
        });
        same.any(|(_, certificate)| Details::of(certificate).is_some_and(|details| details.may_sign_crls()))
    }

    /// The same, as webpki takes them.
    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }
}

impl PartialEq for TrustAnchors {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for TrustAnchors {}

impl fmt::Debug for TrustAnchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustAnchors({} certificates, {})", self.certificates.len(), self.id)
    }
}

impl Serialize for TrustAnchors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut state = serializer.serialize_struct("TrustAnchors", 2)?;
        state.serialize_field("id", &self.id)?;
        state.serialize_field("certificates", &self.certificates.len())?;
        state.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ca() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap().pem()
    }

    #[test]
    fn one_bad_certificate_is_named_and_passed_over() {
        let pem = format!("{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ca());
        let (anchors, skipped) = TrustAnchors::from_pem(pem.as_bytes()).unwrap();
        assert_eq!(anchors.certificates().len(), 1);
        assert_eq!(skipped.len(), 1);
        assert_eq!(skipped[0].position, 2);
    }

    #[test]
    fn order_and_duplicates_do_not_change_the_id() {
        let (a, b) = (ca(), ca());
        let id = |pem: String| TrustAnchors::from_pem(pem.as_bytes()).unwrap().0.id();
        assert_eq!(id(format!("{a}{b}")), id(format!("{b}{a}{a}")));
        assert_ne!(id(a), id(b));
    }

    #[test]
    fn nothing_usable_is_an_error() {
        assert_eq!(TrustAnchors::from_pem(b" \n").unwrap_err(), AnchorError::Empty);
        assert!(matches!(TrustAnchors::from_pem(b"hello").unwrap_err(), AnchorError::NoneUsable(_)));
    }
}
