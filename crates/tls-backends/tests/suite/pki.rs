//! Certificates for tests.

use std::sync::Arc;

use lasthop_tls_verify::{CertifiedKey, TrustAnchors};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A CA with its key.
pub struct Ca {
    pub der: CertificateDer<'static>,
    pub issuer: Issuer<'static, KeyPair>,
}

/// A chain, leaf first, with the leaf's key.
pub struct Chain {
    pub certificates: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

pub fn ca_params(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub fn leaf_params(sans: &[&str]) -> CertificateParams {
    let mut params = named("leaf");
    params.subject_alt_names = sans.iter().map(|san| san_type(san)).collect();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

/// `DNS:`, `IP:` or `URI:` and the name.
fn san_type(san: &str) -> SanType {
    match san.split_once(':').unwrap() {
        ("DNS", name) => SanType::DnsName(name.try_into().unwrap()),
        ("IP", address) => SanType::IpAddress(address.parse().unwrap()),
        ("URI", uri) => SanType::URI(uri.try_into().unwrap()),
        ("email", address) => SanType::Rfc822Name(address.try_into().unwrap()),
        other => panic!("{other:?}"),
    }
}

impl Ca {
    pub fn root(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        Self { der, issuer: Issuer::new(params, key) }
    }

    pub fn new(name: &str) -> Self {
        Self::root(ca_params(name))
    }

    pub fn intermediate(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Self { der, issuer: Issuer::new(params, key) }
    }

    pub fn issue(&self, params: CertificateParams) -> Chain {
        self.issue_for(params, KeyPair::generate().unwrap())
    }

    pub fn issue_for(&self, params: CertificateParams, key: KeyPair) -> Chain {
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Chain {
            certificates: vec![certificate.der().clone()],
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }

    /// A leaf with these names.
    pub fn leaf(&self, sans: &[&str]) -> Chain {
        self.issue(leaf_params(sans))
    }

    /// A certificate for a client.
    pub fn client(&self) -> Arc<CertifiedKey> {
        let mut params = leaf_params(&["DNS:client.example"]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params).certified()
    }

    pub fn anchors(&self) -> Arc<TrustAnchors> {
        anchors(&[&self.der])
    }
}

/// An element of DER (X.690).
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = match content.len() {
        length @ ..0x80 => vec![length as u8],
        length @ ..0x100 => vec![0x81, length as u8],
        length => [&[0x82], &(length as u16).to_be_bytes()[..]].concat(),
    };
    [&[tag], &*length, content].concat()
}

/// The elements in the content of the first one, whole. For lengths of up to two octets.
fn elements(der: &[u8]) -> Vec<&[u8]> {
    let header = |der: &[u8]| match der[1] {
        short @ 0..=0x7f => (2, usize::from(short)),
        0x81 => (3, usize::from(der[2])),
        0x82 => (4, usize::from(u16::from_be_bytes([der[2], der[3]]))),
        _ => panic!("not so long"),
    };
    let (start, length) = header(der);
    let mut rest = &der[start..start + length];
    let mut elements = Vec::new();
    while !rest.is_empty() {
        let (start, length) = header(rest);
        let (element, after) = rest.split_at(start + length);
        elements.push(element);
        rest = after;
    }
    elements
}

impl Chain {
    /// The leaf in version 1, as `openssl x509 -req` makes it without extensions: neither version nor extensions.
    pub fn version_1(mut self, ca: &Ca) -> Self {
        let outer = elements(&self.certificates[0]);
        let body: Vec<&[u8]> =
            elements(outer[0]).into_iter().filter(|element| !matches!(element[0], 0xa0 | 0xa3)).collect();
        let body = element(0x30, &body.concat());
        let signature =
            element(3, &[&[0], &*rcgen::SigningKey::sign(ca.issuer.key(), &body).unwrap()].concat());
        self.certificates[0] = element(0x30, &[&*body, outer[1], &*signature].concat()).into();
        self
    }

    pub fn self_signed(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificates: vec![certificate.der().clone()],
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }

    pub fn with(mut self, ca: &Ca) -> Self {
        self.certificates.push(ca.der.clone());
        self
    }

    pub fn certified(&self) -> Arc<CertifiedKey> {
        Arc::new(CertifiedKey::new(self.certificates.clone(), self.key.clone_key()).unwrap())
    }
}

pub fn anchors(certificates: &[&CertificateDer<'static>]) -> Arc<TrustAnchors> {
    let certificates = certificates.iter().map(|der| (*der).clone()).collect();
    Arc::new(TrustAnchors::from_der(certificates).unwrap().0)
}
