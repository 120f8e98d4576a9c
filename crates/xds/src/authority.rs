//! The CA of the link: made and rotated by the controller, kept in a Secret, trusted by the proxies through a bundle.
//!
//! Nothing here reads a clock or knows Kubernetes. [`Authority::step`] says what has to be written whenever it returns
//! true; calling it every few minutes is enough.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lasthop_tls_verify::{CertifiedKey, leaf_not_after};
use pki_types::{CertificateDer, pem::PemObject};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber,
};

use crate::SERVER_NAME;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Of a CA.
const CA: Duration = DAY.saturating_mul(365);
/// A CA of this age gets a successor.
const SUCCESSOR: Duration = DAY.saturating_mul(243);
/// How long a successor is trusted before it signs, and a predecessor after it signed last. Far longer than a mounted
/// bundle takes to change, and longer than a serving certificate.
const OVERLAP: Duration = DAY.saturating_mul(14);
/// Of a serving certificate.
const SERVING: Duration = DAY.saturating_mul(7);
/// Clocks differ.
const SKEW: Duration = Duration::from_secs(60 * 60);

/// A CA's certificate and key, in PEM form.
#[derive(Clone, PartialEq, Eq)]
struct Pair {
    certificate: String,
    key: String,
}

/// The CA that signs, the one that will, and the one that did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    active: Pair,
    next: Option<Pair>,
    previous: Option<String>,
}

/// Why there is no CA, or no certificate of it.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A key of the Secret is missing or is not what it should be.
    #[error("the link's CA: {0} is missing or unusable; delete the Secret and a new one is made")]
    Content(&'static str),
    /// The certificate could not be made.
    #[error("the link's CA: a certificate cannot be made: {0}")]
    Make(String),
}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Make(error.to_string())
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair")
    }
}

impl Authority {
    /// A new CA.
    ///
    /// # Errors
    /// None that is known.
    pub fn new(now: SystemTime) -> Result<Self, AuthorityError> {
        Ok(Self { active: Pair::new(now)?, next: None, previous: None })
    }

    /// What a Secret holds: `tls.crt`, `tls.key`, and while it rotates `next.crt`, `next.key`, `previous.crt`.
    ///
    /// # Errors
    /// What is missing or unusable.
    pub fn from_secret(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, AuthorityError> {
        let text = |name: &'static str| match data.get(name) {
            None => Ok(None),
            Some(bytes) => {
                String::from_utf8(bytes.clone()).map(Some).map_err(|_| AuthorityError::Content(name))
            }
        };
        let pair = |certificate: &'static str, key: &'static str| -> Result<Option<Pair>, AuthorityError> {
            let Some(pem) = text(certificate)? else { return Ok(None) };
            end_of(&pem).ok_or(AuthorityError::Content(certificate))?;
            let key_pem = text(key)?.ok_or(AuthorityError::Content(key))?;
            CertifiedKey::from_pem(pem.as_bytes(), key_pem.as_bytes())
                .map_err(|_| AuthorityError::Content(key))?;
            Ok(Some(Pair { certificate: pem, key: key_pem }))
        };
        let active = pair("tls.crt", "tls.key")?.ok_or(AuthorityError::Content("tls.crt"))?;
        let previous = text("previous.crt")?;
        if previous.as_deref().is_some_and(|pem| end_of(pem).is_none()) {
            return Err(AuthorityError::Content("previous.crt"));
        }
        Ok(Self { active, next: pair("next.crt", "next.key")?, previous })
    }

    /// The inverse.
    pub fn to_secret(&self) -> BTreeMap<String, Vec<u8>> {
        let Self { active, next, previous } = self;
        let mut data = BTreeMap::new();
        let mut put = |name: &str, text: &str| data.insert(name.to_owned(), text.as_bytes().to_vec());
        put("tls.crt", &active.certificate);
        put("tls.key", &active.key);
        if let Some(next) = next {
            put("next.crt", &next.certificate);
            put("next.key", &next.key);
        }
        if let Some(previous) = previous {
            put("previous.crt", previous);
        }
        data
    }

    /// What the proxies trust, in PEM form: all of them, so that none is caught between two.
    pub fn bundle(&self) -> String {
        let next = self.next.as_ref().map(|next| next.certificate.as_str());
        [self.previous.as_deref(), Some(&self.active.certificate), next].into_iter().flatten().collect()
    }

    /// Does what is due by now: makes a successor, lets it sign once the proxies have had time to trust it, drops the
    /// predecessor once nothing signed by it is in use. True: the Secret and the bundle have to be written, and the
    /// serving certificate issued anew.
    ///
    /// # Errors
    /// A successor that cannot be made; what is there stays.
    pub fn step(&mut self, now: SystemTime) -> Result<bool, AuthorityError> {
        let Some(end) = end_of(&self.active.certificate) else {
            return Err(AuthorityError::Content("tls.crt"));
        };
        let before = self.clone();
        if end <= now {
            // Nobody looked for long: nothing is left that could overlap.
            *self = Self::new(now)?;
            return Ok(true);
        }
        match &self.next {
            None if began(end) + SUCCESSOR <= now => self.next = Some(Pair::new(now)?),
            Some(next) => {
                let next_began = end_of(&next.certificate).map(began);
                if next_began.is_none_or(|began| began + OVERLAP <= now)
                    && let Some(next) = self.next.take()
                {
                    self.previous = Some(std::mem::replace(&mut self.active, next).certificate);
                }
            }
            None => {}
        }
        // The active one began an overlap before it signed first.
        let active_since = end_of(&self.active.certificate).map(began).unwrap_or(now);
        if self.previous.is_some() && active_since + OVERLAP + OVERLAP <= now {
            self.previous = None;
        }
        Ok(*self != before)
    }

    /// A serving certificate for one controller, signed by the active CA. It is good for a week; issue it anew when
    /// [`renewal_is_due`] says so.
    ///
    /// # Errors
    /// A key of the CA that cannot be read.
    pub fn issue(&self, now: SystemTime) -> Result<CertifiedKey, AuthorityError> {
        let ca_key = KeyPair::from_pem(&self.active.key)?;
        let issuer = Issuer::new(ca_params(now)?, ca_key);
        let mut params = CertificateParams::new(vec![SERVER_NAME.to_owned()])?;
        let end = end_of(&self.active.certificate).unwrap_or(now);
        (params.not_before, params.not_after) = ((now - SKEW).into(), end.min(now + SERVING).into());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        CertifiedKey::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes())
            .map_err(|error| AuthorityError::Make(error.to_string()))
    }
}

/// Whether a serving certificate has less than half of its life left.
pub fn renewal_is_due(serving: &CertifiedKey, now: SystemTime) -> bool {
    let end = serving.chain().first().and_then(leaf_not_after);
    end.is_none_or(|end| UNIX_EPOCH + Duration::from_secs(end.as_secs()) <= now + SERVING / 2)
}

impl Pair {
    fn new(now: SystemTime) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let certificate = ca_params(now)?.self_signed(&key)?.pem();
        Ok(Self { certificate, key: key.serialize_pem() })
    }
}

fn ca_params(now: SystemTime) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Lasthop link");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = ((now - SKEW).into(), (now + CA).into());
    params.serial_number = Some(SerialNumber::from(fastrand::u64(1..)));
    Ok(params)
}

/// When a CA was made that ends then.
fn began(end: SystemTime) -> SystemTime {
    end - CA
}

fn end_of(pem: &str) -> Option<SystemTime> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    Some(UNIX_EPOCH + Duration::from_secs(leaf_not_after(&certificate)?.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = DAY.saturating_mul(20_000);

    fn after(days: u32) -> SystemTime {
        UNIX_EPOCH + START + DAY * days
    }

    /// Whether a proxy with this bundle accepts this certificate then.
    fn accepts(bundle: &str, serving: &CertifiedKey, at: SystemTime) -> bool {
        let (anchors, _) = lasthop_tls_verify::TrustAnchors::from_pem(bundle.as_bytes()).unwrap();
        let name = lasthop_tls_verify::Identity::dns(SERVER_NAME).unwrap();
        let peer = lasthop_tls_verify::PeerRequirements::new(std::sync::Arc::new(anchors), vec![name]);
        let verifier = lasthop_tls_verify::Verifier::new(peer).unwrap();
        let since = at.duration_since(UNIX_EPOCH).unwrap();
        let now = pki_types::UnixTime::since_unix_epoch(since);
        verifier.verify_server(serving.chain(), now).is_ok()
    }

    #[test]
    fn a_bundle_and_a_certificate_of_the_same_fortnight_always_fit() {
        let mut authority = Authority::new(after(0)).unwrap();
        let mut bundles = vec![authority.bundle()];
        let mut serving = authority.issue(after(0)).unwrap();
        let mut actives = 1;
        for day in 0..1500 {
            let now = after(day);
            let active = authority.active.clone();
            if authority.step(now).unwrap() {
                authority = Authority::from_secret(&authority.to_secret()).unwrap();
            }
            if authority.active != active || renewal_is_due(&serving, now) {
                actives += u32::from(authority.active != active);
                serving = authority.issue(now).unwrap();
            }
            bundles.push(authority.bundle());
            // A proxy whose mounted bundle is days old, and one that has today's.
            for bundle in bundles.iter().rev().take(10) {
                assert!(accepts(bundle, &serving, now), "day {day}");
            }
        }
        assert!((5..=7).contains(&actives), "{actives}");
    }

    #[test]
    fn a_controller_that_slept_too_long_begins_anew() {
        let mut authority = Authority::new(after(0)).unwrap();
        let old = authority.bundle();
        assert!(authority.step(after(400)).unwrap());
        let serving = authority.issue(after(400)).unwrap();
        assert!(accepts(&authority.bundle(), &serving, after(400)));
        assert!(!accepts(&old, &serving, after(400)));
    }

    #[test]
    fn a_damaged_secret_is_named_and_keys_are_not_shown() {
        let authority = Authority::new(after(0)).unwrap();
        let good = authority.to_secret();
        assert_eq!(Authority::from_secret(&good).unwrap(), authority);
        for key in ["tls.crt", "tls.key"] {
            let mut bad = good.clone();
            bad.insert(key.to_owned(), b"nothing".to_vec());
            assert!(Authority::from_secret(&bad).unwrap_err().to_string().contains(key));
        }
        assert!(!format!("{authority:?}").contains("PRIVATE"));
    }
}
