//! One private CA with a server certificate, and a CA that nobody may trust.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::Fault;

/// The name on the backend's certificate.
pub(crate) const BACKEND_NAME: &str = "backend.test";
/// The name on the peers' own certificate, which the clients check.
pub(crate) const FRONT_NAME: &str = "front.test";

/// Everything that peers, clients and the backend need, in memory and as files.
pub(crate) struct Certificates {
    /// The CA's certificate, PEM.
    pub(crate) ca: PathBuf,
    /// Another CA's certificate, PEM.
    pub(crate) wrong_ca: PathBuf,
    /// The peers' certificate, PEM.
    pub(crate) front_certificate: PathBuf,
    /// Its key, PEM.
    pub(crate) front_key: PathBuf,
    ca_der: CertificateDer<'static>,
    backend_der: CertificateDer<'static>,
    backend_key: Vec<u8>,
}

impl Certificates {
    /// Makes them and writes them into the folder.
    pub(crate) fn make(folder: &Path) -> Result<Self, Fault> {
        let issuer = authority("lasthop bench CA")?;
        let wrong = authority("lasthop bench wrong CA")?;
        let front_key = KeyPair::generate()?;
        let front = CertificateParams::new([FRONT_NAME.to_owned()])?.signed_by(&front_key, &issuer)?;
        let backend_key = KeyPair::generate()?;
        let backend = CertificateParams::new([BACKEND_NAME.to_owned()])?.signed_by(&backend_key, &issuer)?;
        let write = |name: &str, text: String| -> Result<PathBuf, Fault> {
            let path = folder.join(name);
            std::fs::write(&path, text)?;
            Ok(path)
        };
        Ok(Self {
            ca: write("ca.pem", issuer.pem())?,
            wrong_ca: write("wrong-ca.pem", wrong.pem())?,
            front_certificate: write("front.pem", front.pem())?,
            front_key: write("front.key", front_key.serialize_pem())?,
            ca_der: issuer.der().clone(),
            backend_der: backend.der().clone(),
            backend_key: backend_key.serialize_der(),
        })
    }

    /// The backend's side: TLS 1.3, X25519 and AES-128-GCM, so that every peer pays for the same.
    pub(crate) fn server(&self) -> Result<Arc<ServerConfig>, Fault> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.backend_key.clone()));
        let config = ServerConfig::builder_with_provider(Arc::new(one_suite()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![self.backend_der.clone()], key)?;
        Ok(Arc::new(config))
    }

    /// The clients' side: likewise, and without resumption.
    pub(crate) fn client(&self, alpn: &[u8]) -> Result<Arc<ClientConfig>, Fault> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca_der.clone())?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(one_suite()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![alpn.to_vec()];
        Ok(Arc::new(config))
    }
}

fn one_suite() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        ..aws_lc_rs::default_provider()
    }
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, Fault> {
    let mut params = CertificateParams::new([])?;
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}
