//! Our certificates and the peer's, to and from BoringSSL's form.

use boring::{
    error::ErrorStack,
    pkey::{Id, PKey, Private},
    ssl::{SslContextBuilder, SslRef},
    x509::{X509, X509Ref},
};
use lasthop_tls_verify::CertifiedKey;
use pki_types::{CertificateDer, PrivateKeyDer};

/// A chain and its key, parsed.
pub(super) struct Prepared {
    leaf: X509,
    intermediates: Vec<X509>,
    key: PKey<Private>,
    ocsp: Option<Vec<u8>>,
}

impl Prepared {
    pub(super) fn new(certified: &CertifiedKey) -> Result<Self, ErrorStack> {
        let (leaf, intermediates) =
            certified.chain().split_first().map_or((&[][..], &[][..]), |(leaf, rest)| (leaf, rest));
        let key = match certified.key() {
            PrivateKeyDer::Pkcs8(key) => PKey::private_key_from_pkcs8(key.secret_pkcs8_der()),
            key => PKey::private_key_from_der(key.secret_der()),
        };
        Ok(Self {
            leaf: X509::from_der(leaf)?,
            intermediates: intermediates.iter().map(|der| X509::from_der(der)).collect::<Result<_, _>>()?,
            key: key?,
            ocsp: certified.ocsp().map(<[u8]>::to_vec),
        })
    }

    /// What every connection of a context shows if it is asked.
    pub(super) fn show_always(&self, context: &mut SslContextBuilder) -> Result<(), ErrorStack> {
        context.set_certificate(&self.leaf)?;
        self.intermediates
            .iter()
            .try_for_each(|certificate| context.add_extra_chain_cert(certificate.clone()))?;
        context.set_private_key(&self.key)
    }

    /// What this connection shows.
    pub(super) fn show(&self, ssl: &mut SslRef) -> Result<(), ErrorStack> {
        ssl.set_certificate(&self.leaf)?;
        self.intermediates.iter().try_for_each(|certificate| ssl.add_chain_cert(certificate))?;
        ssl.set_private_key(&self.key)?;
        self.ocsp.as_ref().map_or(Ok(()), |response| ssl.set_ocsp_status(response))
    }

    /// Whether a client with these signature schemes (RFC 8446 §4.2.3) can verify it. `None` means it named none.
    pub(super) fn suits(&self, schemes: Option<&[u8]>) -> bool {
        let numbers: &[u16] = match self.key.id() {
            Id::RSA => &[0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601],
            Id::EC => &[0x0403, 0x0503, 0x0603],
            Id::ED25519 => &[0x0807],
            _ => &[],
        };
        // Two octets of length, then two for each scheme.
        let schemes = schemes.and_then(|schemes| schemes.get(2..));
        schemes.is_none_or(|schemes| {
            let mut schemes = schemes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            schemes.any(|scheme| numbers.contains(&scheme))
        })
    }
}

/// What the peer showed, leaf first; empty if nothing.
pub(super) fn shown(ssl: &SslRef) -> Result<Vec<CertificateDer<'static>>, ErrorStack> {
    let der = |certificate: &X509Ref| certificate.to_der().map(CertificateDer::from);
    let chain = ssl.peer_cert_chain().into_iter().flatten().map(der);
    // A server's view of the chain begins after the leaf.
    let leaf = if ssl.is_server() { ssl.peer_certificate() } else { None };
    leaf.iter().map(|leaf| der(leaf)).chain(chain).collect()
}
