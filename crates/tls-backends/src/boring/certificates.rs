//! Our certificates and the peer's, to and from BoringSSL's form.

use boring::{
    error::ErrorStack,
    pkey::{Id, PKey, Private},
    ssl::{SslContextBuilder, SslRef},
    x509::{X509, X509Ref},
};
use lasthop_tls_verify::CertifiedKey;
use pki_types::CertificateDer;

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
        let key = certified.key().secret_der();
        let key = match ed25519_seed(key) {
            Some(seed) => PKey::private_key_from_der(&[&ED25519_VERSION_1, ED25519, seed].concat()),
            None => PKey::private_key_from_der(key),
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

/// An Ed25519 key in PKCS #8 up to its 32 octets (RFC 8410 §7): the algorithm, then an OCTET STRING in another.
const ED25519: &[u8] = &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// What precedes that in version 1, which ends with the key.
const ED25519_VERSION_1: [u8; 5] = [0x30, 0x2e, 2, 1, 0];

/// The key's octets. BoringSSL does not read version 2 of the form (RFC 5958), which adds the public key and is what
/// many tools write.
fn ed25519_seed(key: &[u8]) -> Option<&[u8]> {
    // Both versions begin alike: the lengths, the version, the algorithm.
    let start = key.windows(ED25519.len()).take(8).position(|window| window == ED25519)? + ED25519.len();
    key.get(start..start + 32)
}

/// What the peer showed, leaf first; empty if nothing.
pub(super) fn shown(ssl: &SslRef) -> Result<Vec<CertificateDer<'static>>, ErrorStack> {
    let der = |certificate: &X509Ref| certificate.to_der().map(CertificateDer::from);
    let chain = ssl.peer_cert_chain().into_iter().flatten().map(der);
    // A server's view of the chain begins after the leaf.
    let leaf = if ssl.is_server() { ssl.peer_certificate() } else { None };
    leaf.iter().map(|leaf| der(leaf)).chain(chain).collect()
}
