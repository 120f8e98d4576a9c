//! A CA, the backends' certificate, and as many for the Gateway as are asked for.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::Fault;

/// The name on the backends' certificate.
pub(crate) const BACKEND_NAME: &str = "backend.test";
/// The name on the Gateway's.
pub(crate) const FRONT_NAME: &str = "front.test";

/// The trial's authority.
pub(crate) struct Pki {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    pub(crate) fn new() -> Result<Self, Fault> {
        let mut params = CertificateParams::new([])?;
        params.distinguished_name.push(rcgen::DnType::CommonName, "lasthop trial CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Certificate and key in PEM form, and the certificate in DER form.
    pub(crate) fn front(&self) -> Result<(String, String, Vec<u8>), Fault> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([FRONT_NAME.to_owned()])?.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem(), certificate.der().to_vec()))
    }

    pub(crate) fn backend(&self) -> Result<Arc<ServerConfig>, Fault> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([BACKEND_NAME.to_owned()])?.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(Arc::new(config))
    }

    /// Clients resume nothing: every handshake shows the certificate.
    pub(crate) fn client(&self) -> Result<Arc<ClientConfig>, Fault> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone())?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
