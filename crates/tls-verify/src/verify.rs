//! The verdict on a peer's certificate chain.

use std::{cell::Cell, fmt};

use aws_lc_rs::digest;
use pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{
    ALL_VERIFICATION_ALGS, CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage,
    OwnedCertRevocationList, RevocationOptionsBuilder, VerifiedPath,
};

use crate::{
    Identity, PeerRequirements, SpkiPin, TlsError, VerifyMode, details::Details, verdict::from_webpki,
};

/// Decides whether a peer is who the policy says. Made once per policy; immutable.
///
/// A chain is accepted if webpki finds a path (RFC 5280 §6) from the leaf to one of the anchors, whatever certificate
/// the anchor is: a root, an intermediate, or the leaf itself. A self-signed leaf that is byte for byte in the bundle
/// is accepted even if it calls itself a CA, as `openssl req -x509` makes it; its dates, purpose and names are
/// checked like any other's. An anchor's own dates and revocation are not checked: to distrust it, take it out.
pub struct Verifier {
    requirements: PeerRequirements,
    crls: Vec<CertRevocationList<'static>>,
}

/// A chain that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// When the leaf expires, if that can be told.
    pub not_after: Option<UnixTime>,
}

/// A revocation list that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "certificate revocation list {position} cannot be used: {reason}; give a CRL of version 2 in DER form"
)]
pub struct CrlError {
    /// Its place in the policy, from 1.
    pub position: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// What the peer's certificate is for.
#[derive(Clone, Copy)]
enum Purpose {
    Server,
    Client,
}

impl Purpose {
    fn usage(self) -> KeyUsage {
        match self {
            Self::Server => KeyUsage::server_auth(),
            Self::Client => KeyUsage::client_auth(),
        }
    }

    /// id-kp-serverAuth and id-kp-clientAuth (RFC 5280 §4.2.1.12).
    fn oid(self) -> &'static [u8] {
        match self {
            Self::Server => &[0x2b, 6, 1, 5, 5, 7, 3, 1],
            Self::Client => &[0x2b, 6, 1, 5, 5, 7, 3, 2],
        }
    }
}

impl Verifier {
    /// A verifier for these requirements. Revocation lists are parsed here, once.
    pub fn new(requirements: PeerRequirements) -> Result<Self, CrlError> {
        let crls = requirements
            .crls
            .iter()
            .enumerate()
            .map(|(index, der)| match OwnedCertRevocationList::from_der(der) {
                Ok(crl) => Ok(CertRevocationList::Owned(crl)),
                Err(error) => Err(CrlError { position: index + 1, reason: error.to_string() }),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { requirements, crls })
    }

    /// What it demands.
    pub fn requirements(&self) -> &PeerRequirements {
        &self.requirements
    }

    /// The verdict on a server's chain, leaf first, at this time.
    pub fn verify_server(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<Verified, TlsError> {
        let (leaf, verified) = self.verify_chain(chain, now, Purpose::Server)?;
        // The chain is judged first and the names apart from it: an error of the one never hides the other.
        if self.requirements.mode == VerifyMode::Full {
            self.verify_names(leaf)?;
        }
        Ok(verified)
    }

    /// The verdict on a client's chain, leaf first, at this time. No names are demanded of clients (GEP-91).
    pub fn verify_client(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<Verified, TlsError> {
        self.verify_chain(chain, now, Purpose::Client).map(|(_, verified)| verified)
    }

    fn verify_chain<'c>(
        &self,
        chain: &'c [CertificateDer<'_>],
        now: UnixTime,
        purpose: Purpose,
    ) -> Result<(&'c CertificateDer<'c>, Verified), TlsError> {
        let (leaf, intermediates) = chain.split_first().ok_or(TlsError::NoPeerCertificate)?;
        let parsed = EndEntityCert::try_from(leaf).map_err(from_webpki)?;
        let unreadable = || TlsError::BadCertificate("the leaf's extensions cannot be read".to_owned());
        let details = Details::of(leaf).ok_or_else(unreadable)?;
        let verified = Verified { not_after: details.not_after };
        // Rules of the handshake rather than of trust, so they hold in every mode. BoringSSL checks the first by
        // itself, rustls the second.
        if !details.may_sign() {
            return Err(TlsError::WrongKeyUsage);
        }
        if let Some(what) = details.unfit_key() {
            return Err(TlsError::BadCertificate(what));
        }
        if self.requirements.mode == VerifyMode::None {
            // The peer has proved to hold the leaf's key only, so no other key can be pinned.
            self.check_pins([parsed.subject_public_key_info().as_ref()])?;
            return Ok((leaf, verified));
        }
        match self.find_path(&parsed, intermediates, now, purpose) {
            Ok(()) => {}
            Err(Rejection::CaAsLeaf) if self.is_pinned(leaf, &parsed) => {
                // webpki has checked the dates before it looked at what the certificate is.
                if !details.allows(purpose.oid()) {
                    return Err(TlsError::WrongPurpose);
                }
                self.check_pins([parsed.subject_public_key_info().as_ref()])?;
            }
            Err(Rejection::CaAsLeaf) => return Err(from_webpki(webpki::Error::CaUsedAsEndEntity)),
            Err(Rejection::Because(error)) => return Err(error),
        }
        Ok((leaf, verified))
    }

    fn find_path(
        &self,
        leaf: &EndEntityCert<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        purpose: Purpose,
    ) -> Result<(), Rejection> {
        let crls: Vec<&CertRevocationList<'_>> = self.crls.iter().collect();
        // No list means no revocation check; with lists, what they do not speak for is refused, and so is a list that
        // is itself out of date.
        let revocation = RevocationOptionsBuilder::new(&crls)
            .ok()
            .map(|options| options.with_expiration_policy(ExpirationPolicy::Enforce).build());
        // webpki keeps the most specific of its own errors only, so ours goes beside it.
        let ours = Cell::new(None);
        let accept = |path: &VerifiedPath<'_>| {
            self.check_path(path).map_err(|error| {
                ours.set(Some(error));
                webpki::Error::UnknownIssuer
            })
        };
        leaf.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            self.requirements.anchors.anchors(),
            intermediates,
            now,
            purpose.usage(),
            revocation,
            Some(&accept),
        )
        .map(|_| ())
        .map_err(|error| match (ours.take(), error) {
            // A path that only a pin or the depth forbids says more than the paths that led nowhere.
            (Some(ours), _) => Rejection::Because(ours),
            (None, webpki::Error::CaUsedAsEndEntity) => Rejection::CaAsLeaf,
            (None, error) => Rejection::Because(from_webpki(error)),
        })
    }

    /// What we demand of a path beyond RFC 5280. Another path may still do.
    fn check_path(&self, path: &VerifiedPath<'_>) -> Result<(), TlsError> {
        let depth = path.intermediate_certificates().count();
        if let Some(most) = self.requirements.max_depth
            && depth > usize::from(most)
        {
            return Err(TlsError::ConstraintViolation(format!(
                "{depth} intermediate certificates, the policy allows {most}"
            )));
        }
        // webpki asks this of intermediates only: the anchors it is given carry no key usage.
        if !self.crls.is_empty() && !self.requirements.anchors.may_sign_crls(path.anchor()) {
            return Err(TlsError::RevocationUnknown);
        }
        if self.requirements.pins.is_empty() {
            return Ok(());
        }
        let keys = [path.end_entity().subject_public_key_info(), webpki::spki_for_anchor(path.anchor())]
            .into_iter()
            .chain(path.intermediate_certificates().map(|certificate| certificate.subject_public_key_info()));
        self.check_pins(keys)
    }

    fn check_pins(&self, keys: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<(), TlsError> {
        let pins = &self.requirements.pins;
        let pinned = |key: &[u8]| {
            let digest = digest::digest(&digest::SHA256, key);
            pins.iter().any(|SpkiPin(pin)| pin == digest.as_ref())
        };
        if pins.is_empty() || keys.into_iter().any(|key| pinned(key.as_ref())) {
            Ok(())
        } else {
            Err(TlsError::PinMismatch)
        }
    }

    /// Whether the bundle holds this very certificate, and it is self-signed.
    fn is_pinned(&self, leaf: &CertificateDer<'_>, parsed: &EndEntityCert<'_>) -> bool {
        parsed.issuer() == parsed.subject()
            && self.requirements.anchors.certificates().iter().any(|anchor| anchor.as_ref() == leaf.as_ref())
    }

    /// One of the identities, and all that are required, must be subject alternative names. The common name is never
    /// looked at.
    fn verify_names(&self, leaf: &CertificateDer<'_>) -> Result<(), TlsError> {
        let parsed = EndEntityCert::try_from(leaf).map_err(from_webpki)?;
        let carries = |identity: &Identity| {
            let name = match identity {
                Identity::Uri(uri) => return parsed.valid_uri_names().any(|name| *name == **uri),
                Identity::Ip(address) => ServerName::IpAddress((*address).into()),
                Identity::Dns(name) => match ServerName::try_from(name.as_str()) {
                    Ok(name) => name,
                    Err(_) => return false,
                },
            };
            parsed.verify_is_valid_for_subject_name(&name).is_ok()
        };
        let PeerRequirements { identities, required, .. } = &self.requirements;
        if identities.iter().any(carries) && required.iter().all(carries) {
            return Ok(());
        }
        Err(TlsError::NameMismatch {
            expected: identities.clone(),
            required: required.clone(),
            presented: Details::of(leaf).map(|details| details.presented()).unwrap_or_default(),
        })
    }
}

/// Why no path was found.
enum Rejection {
    /// The leaf calls itself a CA; its dates are right.
    CaAsLeaf,
    Because(TlsError),
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("requirements", &self.requirements).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
