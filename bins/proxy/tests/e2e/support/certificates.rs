//! A private CA for each test, and certificates of every kind, good and bad.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, PublicKeyData, RevokedCertParams, RsaKeySize,
    SerialNumber, date_time_ymd,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    client::Resumption,
    crypto::aws_lc_rs as provider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};

/// A CA.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
    /// The SHA-256 of its SubjectPublicKeyInfo, in base64.
    pub(crate) pin: String,
}

/// How long a certificate is good for.
#[derive(Clone, Copy)]
pub(crate) enum Validity {
    Now,
    Over,
    NotYet,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn key_pem(&self) -> String {
        self.0.key().serialize_pem()
    }

    /// A list of revoked certificates in PEM, by their serial numbers.
    pub(crate) fn revocations(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }

    /// A certificate for these names that is valid now.
    pub(crate) fn leaf(&self, names: &[&str]) -> Leaf {
        self.leaf_valid(names, Validity::Now)
    }

    pub(crate) fn leaf_valid(&self, names: &[&str], validity: Validity) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names, validity).signed_by(&key, &self.0).unwrap();
        Leaf::new(certificate.pem(), certificate.der(), &key)
    }

    /// As [`Authority::leaf`], with this common name.
    pub(crate) fn leaf_with_common_name(&self, common_name: &str, names: &[&str]) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names, Validity::Now);
        params.distinguished_name.push(DnType::CommonName, common_name);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Leaf::new(certificate.pem(), certificate.der(), &key)
    }

    /// As [`Authority::leaf`], changed in some way.
    pub(crate) fn leaf_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        self.leaf_of(&KeyPair::generate().unwrap(), names, change)
    }

    /// As [`Authority::leaf_with`], with an RSA key.
    pub(crate) fn leaf_rsa(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        self.leaf_of(&key, names, change)
    }

    fn leaf_of(&self, key: &KeyPair, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut params = params(names, Validity::Now);
        change(&mut params);
        let certificate = params.signed_by(key, &self.0).unwrap();
        Leaf::new(certificate.pem(), certificate.der(), key)
    }

    /// What a client needs that trusts this CA, and shows a certificate if it is given one.
    pub(crate) fn client(&self, alpn: &[&str], certificate: Option<&Leaf>) -> Arc<ClientConfig> {
        self.client_speaking(rustls::DEFAULT_VERSIONS, alpn, certificate)
    }

    /// As [`Authority::client`], with these versions of TLS.
    pub(crate) fn client_speaking(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
        certificate: Option<&Leaf>,
    ) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots());
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some(leaf) => builder.with_client_auth_cert(vec![leaf.certificate.clone()], leaf.key()).unwrap(),
        };
        config.resumption = Resumption::disabled();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

impl Leaf {
    fn new(certificate_pem: String, certificate: &CertificateDer<'_>, key: &KeyPair) -> Self {
        Self {
            certificate_pem,
            key_pem: key.serialize_pem(),
            certificate: certificate.clone().into_owned(),
            key: key.serialize_der(),
            pin: STANDARD.encode(digest(&SHA256, &key.subject_public_key_info())),
        }
    }

    /// A certificate that signs itself and belongs to no CA.
    pub(crate) fn self_signed(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names, Validity::Now).self_signed(&key).unwrap();
        Self::new(certificate.pem(), certificate.der(), &key)
    }

    /// What a server needs that shows this certificate.
    pub(crate) fn server(&self, alpn: &[&str]) -> Arc<ServerConfig> {
        self.server_asking(alpn, None)
    }

    /// As [`Leaf::server`]; clients must show a certificate of the CA.
    pub(crate) fn server_asking(&self, alpn: &[&str], clients: Option<&Authority>) -> Arc<ServerConfig> {
        Arc::new(self.server_speaking(rustls::DEFAULT_VERSIONS, alpn, clients))
    }

    /// As [`Leaf::server_asking`], with these versions of TLS, still to be changed.
    pub(crate) fn server_speaking(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
        clients: Option<&Authority>,
    ) -> ServerConfig {
        let provider = Arc::new(provider::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), provider)
                    .build()
                    .unwrap(),
            ),
        };
        let mut config = builder.with_single_cert(vec![self.certificate.clone()], self.key()).unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }

    /// Writes certificate and key into the folder; their paths.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
        std::fs::write(&certificate, &self.certificate_pem).unwrap();
        std::fs::write(&key, &self.key_pem).unwrap();
        (certificate, key)
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()))
    }
}

fn params(names: &[&str], validity: Validity) -> CertificateParams {
    let mut params =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "lasthop test leaf");
    match validity {
        Validity::Now => {}
        Validity::Over => {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        Validity::NotYet => {
            params.not_before = date_time_ymd(2090, 1, 1);
            params.not_after = date_time_ymd(2091, 1, 1);
        }
    }
    params
}
