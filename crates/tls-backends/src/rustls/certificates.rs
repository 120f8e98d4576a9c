//! Certificates towards clients, chosen by server name.

use std::sync::Arc;

use lasthop_dataplane_api::ListenerTls;
use lasthop_tls_verify::CertifiedKey;
use rustls::{
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign,
};

use crate::{
    PolicyError,
    sni::{self, CertificateNames},
};

/// The certificates of one entry.
pub(super) struct Certificates {
    names: CertificateNames,
    keys: Vec<Arc<sign::CertifiedKey>>,
}

impl Certificates {
    pub(super) fn new(tls: &ListenerTls, provider: &CryptoProvider) -> Result<Self, PolicyError> {
        let key = |certificate: &Arc<CertifiedKey>| {
            let (chain, key) = (certificate.chain().to_vec(), certificate.key().clone_key());
            let mut parsed = sign::CertifiedKey::from_der(chain, key, provider)
                .map_err(|error| PolicyError::Setup(error.to_string()))?;
            parsed.ocsp = certificate.ocsp().map(<[u8]>::to_vec);
            Ok(Arc::new(parsed))
        };
        if tls.certificates.is_empty() {
            return Err(PolicyError::Setup("a listener has no certificate".to_owned()));
        }
        Ok(Self {
            names: CertificateNames::of(tls.certificates.iter().map(Arc::as_ref)),
            keys: tls.certificates.iter().map(key).collect::<Result<_, _>>()?,
        })
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<sign::CertifiedKey>> {
        let name = hello.server_name().and_then(sni::normalise);
        let ranked = self.names.ranked(name.as_deref());
        let mut ranked = ranked.into_iter().filter_map(|place| self.keys.get(place));
        let best = ranked.next()?;
        let usable =
            |key: &&Arc<sign::CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        // A client that cannot verify the best one's kind of key may still verify another's.
        Some(std::iter::once(best).chain(ranked).find(usable).unwrap_or(best).clone())
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificates({})", self.keys.len())
    }
}
