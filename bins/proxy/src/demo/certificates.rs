//! The demo's CA and certificates, made anew each time. The keys of the backends never leave the process.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::cases::{Case, Shows};

/// A CA.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key, both in PEM form.
pub(crate) struct Certificate {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// Its certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these names.
    pub(crate) fn issue(&self, names: Vec<String>, expired: bool) -> Result<Certificate, rcgen::Error> {
        let mut params = CertificateParams::new(names)?;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(if expired { 2021 } else { 2099 }, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let chain = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Certificate { chain, key: key.serialize_pem() })
    }
}

/// What a backend of the demo shows; `None` is nothing.
pub(crate) fn of_backend(
    case: &Case,
    known: &Authority,
    unknown: &Authority,
) -> Result<Option<Certificate>, rcgen::Error> {
    let right = vec![case.identity()];
    Ok(Some(match case.shows {
        Shows::TheRightCertificate => known.issue(right, false)?,
        Shows::AnotherName => known.issue(vec!["somebody-else.demo.internal".to_owned()], false)?,
        Shows::AnExpiredCertificate => known.issue(right, true)?,
        Shows::AnUnknownCa => unknown.issue(right, false)?,
        Shows::Plaintext => return Ok(None),
    }))
}
