//! A private CA for each test, and certificates of every kind, good and bad.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::aws_lc_rs,
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

    /// What a client needs that trusts this CA, and shows a certificate if it is given one.
    pub(crate) fn client(&self, alpn: &[&str], certificate: Option<&Leaf>) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
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
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
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
        Arc::new(config)
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
