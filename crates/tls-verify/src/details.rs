//! What a certificate says that webpki does not show: validity, key usage, extended key usage, all its names.

use std::{fmt::Write, net::IpAddr};

use pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};

use crate::der::{self, Reader};

/// The bounds of what an error shows of a stranger's certificate.
const MOST_NAMES: usize = 16;
const LONGEST_NAME: usize = 128;

/// The sizes of RSA keys, in bits, that make and verify handshakes in both stacks.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// P-256, P-384 and P-521, with their numbers as groups of TLS (RFC 8422 §5.1.1).
const CURVES: [(&[u8], u16); 3] = [
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], 23),
    (&[0x2b, 0x81, 4, 0, 0x22], 24),
    (&[0x2b, 0x81, 4, 0, 0x23], 25),
];

const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];

/// A public key, as far as it decides whether both stacks can shake hands with it.
#[derive(Default)]
enum Key {
    /// Its size in bits.
    Rsa(usize),
    /// Its curve's number in TLS.
    Ecdsa(u16),
    Ed25519,
    #[default]
    Other,
}

/// Parts of one certificate. Read by [`Details::of`] after webpki has parsed it.
#[derive(Default)]
pub(crate) struct Details<'a> {
    pub(crate) not_after: Option<UnixTime>,
    key: Key,
    /// The first octet of the bits, digitalSignature being the highest.
    key_usage: Option<u8>,
    extended_key_usage: Option<&'a [u8]>,
    names: Option<&'a [u8]>,
}

impl<'a> Details<'a> {
    /// `None` if the certificate is malformed.
    pub(crate) fn of(certificate: &'a CertificateDer<'_>) -> Option<Self> {
        let (validity, mut body) = validity_and_key(certificate)?;
        let mut validity = Reader::new(validity);
        let key = body.expect(der::SEQUENCE)?;
        validity.next()?;
        let (tag, text) = validity.next()?;
        let not_after = UnixTime::since_unix_epoch(std::time::Duration::from_secs(der::time(tag, text)?));
        let mut details =
            Self { not_after: Some(not_after), key: Key::of(key).unwrap_or_default(), ..Self::default() };
        body.optional(0x81);
        body.optional(0x82);
        if let Some(extensions) = body.optional(0xa3) {
            let mut extensions = Reader::new(Reader::new(extensions).expect(der::SEQUENCE)?);
            while let Some((der::SEQUENCE, extension)) = extensions.next() {
                details.extension(Reader::new(extension))?;
            }
        }
        Some(details)
    }

    fn extension(&mut self, mut extension: Reader<'a>) -> Option<()> {
        let id = extension.expect(der::OID)?;
        extension.optional(der::BOOLEAN); // critical
        let mut value = Reader::new(extension.expect(der::OCTET_STRING)?);
        if id == KEY_USAGE {
            // The first octet of a BIT STRING counts the unused bits at its end.
            let bits = value.expect(der::BIT_STRING)?;
            self.key_usage = Some(bits.get(1).copied().unwrap_or(0));
        } else if id == EXTENDED_KEY_USAGE {
            self.extended_key_usage = Some(value.expect(der::SEQUENCE)?);
        } else if id == SUBJECT_ALT_NAME {
            self.names = Some(value.expect(der::SEQUENCE)?);
        }
        Some(())
    }

    /// Whether the key may sign a handshake (RFC 5280 §4.2.1.3); true without the extension.
    pub(crate) fn may_sign(&self) -> bool {
        self.key_usage.is_none_or(|bits| bits & 0x80 != 0)
    }

    /// What is wrong with a key that one stack or both cannot shake hands with; `None` if it is fine.
    pub(crate) fn unfit_key(&self) -> Option<String> {
        match self.key {
            Key::Ecdsa(_) | Key::Ed25519 => None,
            Key::Rsa(bits) if RSA_BITS.contains(&bits) => None,
            Key::Rsa(bits) => Some(format!("its RSA key has {bits} bits; 2048 to 8192 are taken")),
            Key::Other => Some("its key is not RSA, P-256, P-384, P-521 or Ed25519".to_owned()),
        }
    }

    /// Whether the key may sign revocation lists (RFC 5280 §4.2.1.3); true without the extension.
    pub(crate) fn may_sign_crls(&self) -> bool {
        self.key_usage.is_none_or(|bits| bits & 0x02 != 0)
    }

    /// Whether the extended key usage names this purpose; true without the extension.
    pub(crate) fn allows(&self, purpose: &[u8]) -> bool {
        self.extended_key_usage.is_none_or(|usages| {
            let mut usages = Reader::new(usages);
            std::iter::from_fn(|| usages.next()).any(|usage| usage == (der::OID, purpose))
        })
    }

    /// The subject alternative names as `DNS:`, `IP:` and `URI:` texts, bounded and printable.
    pub(crate) fn presented(&self) -> Vec<String> {
        let mut reader = Reader::new(self.names.unwrap_or_default());
        let mut names = std::iter::from_fn(|| reader.next()).filter_map(|(tag, name)| match tag {
            0x82 => Some(format!("DNS:{}", printable(name))),
            0x86 => Some(format!("URI:{}", printable(name))),
            0x87 => Some(match (<[u8; 4]>::try_from(name), <[u8; 16]>::try_from(name)) {
                (Ok(v4), _) => format!("IP:{}", IpAddr::from(v4)),
                (_, Ok(v6)) => format!("IP:{}", IpAddr::from(v6)),
                _ => "IP:malformed".to_owned(),
            }),
            _ => None,
        });
        let mut presented: Vec<String> = names.by_ref().take(MOST_NAMES).collect();
        match names.count() {
            0 => {}
            more => presented.push(format!("{more} more")),
        }
        presented
    }
}

impl Key {
    /// The key in a SubjectPublicKeyInfo (RFC 3279 §2.3, RFC 8410 §3); `None` if it is malformed.
    fn of(key: &[u8]) -> Option<Self> {
        let mut key = Reader::new(key);
        let mut algorithm = Reader::new(key.expect(der::SEQUENCE)?);
        Some(match algorithm.expect(der::OID)? {
            RSA => Self::Rsa(rsa_bits(key)?),
            EC => {
                let curve = algorithm.expect(der::OID)?;
                let known = CURVES.iter().find(|(id, _)| *id == curve);
                known.map_or(Self::Other, |(_, number)| Self::Ecdsa(*number))
            }
            ED25519 => Self::Ed25519,
            _ => Self::Other,
        })
    }
}

/// The size of the key that follows the algorithm.
fn rsa_bits(mut key: Reader<'_>) -> Option<usize> {
    // A BIT STRING begins with the number of unused bits.
    let (_, key) = key.expect(der::BIT_STRING)?.split_first()?;
    let modulus = Reader::new(Reader::new(key).expect(der::SEQUENCE)?).expect(der::INTEGER)?;
    let zeros = modulus.iter().take_while(|octet| **octet == 0).count();
    let first = modulus.get(zeros)?;
    Some((modulus.len() - zeros) * 8 - first.leading_zeros() as usize)
}

/// The content of the validity, and a reader that stands before the SubjectPublicKeyInfo (RFC 5280 §4.1).
fn validity_and_key<'a>(certificate: &'a CertificateDer<'_>) -> Option<(&'a [u8], Reader<'a>)> {
    let signed = Reader::new(certificate).expect(der::SEQUENCE)?;
    let mut body = Reader::new(Reader::new(signed).expect(der::SEQUENCE)?);
    body.optional(0xa0); // version
    body.next()?; // serial number
    body.expect(der::SEQUENCE)?; // signature
    body.expect(der::SEQUENCE)?; // issuer
    let validity = body.expect(der::SEQUENCE)?;
    body.expect(der::SEQUENCE)?; // subject
    Some((validity, body))
}

/// The SubjectPublicKeyInfo of a certificate of any version, also of those that are never accepted; `None` if it cannot
/// be read.
pub fn leaf_key<'a>(certificate: &'a CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'a>> {
    let (_, mut body) = validity_and_key(certificate)?;
    body.expect_whole(der::SEQUENCE).map(SubjectPublicKeyInfoDer::from)
}

/// When the certificate expires; `None` if it cannot be read.
pub fn leaf_not_after(certificate: &CertificateDer<'_>) -> Option<UnixTime> {
    Details::of(certificate).and_then(|details| details.not_after)
}

/// The number in TLS (RFC 8422 §5.1.1) of the curve the certificate's key is on; `None` if it is no ECDSA key.
pub fn leaf_curve(certificate: &CertificateDer<'_>) -> Option<u16> {
    match Details::of(certificate)?.key {
        Key::Ecdsa(number) => Some(number),
        _ => None,
    }
}

/// The text with everything but graphic ASCII escaped, so that it can stand in a log.
fn printable(name: &[u8]) -> String {
    let mut text = String::new();
    for byte in name.iter().take(LONGEST_NAME) {
        if byte.is_ascii_graphic() && *byte != b'\\' {
            text.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    if name.len() > LONGEST_NAME {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_printable() {
        let mut names: Vec<rcgen::SanType> =
            (0..40).map(|i| rcgen::SanType::DnsName(format!("h{i}.example").try_into().unwrap())).collect();
        names.insert(0, rcgen::SanType::URI("spiffe://a/\u{1b}[31m".try_into().unwrap()));
        names.insert(1, rcgen::SanType::IpAddress("2001:db8::1".parse().unwrap()));
        names.insert(2, rcgen::SanType::DnsName("x".repeat(2000).try_into().unwrap()));
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.subject_alt_names = names;
        let der = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let presented = Details::of(der.der()).unwrap().presented();
        assert_eq!(presented.len(), MOST_NAMES + 1);
        assert_eq!(presented[0], "URI:spiffe://a/\\x1b[31m");
        assert_eq!(presented[1], "IP:2001:db8::1");
        assert_eq!(presented[2].chars().count(), "DNS:".len() + LONGEST_NAME + 1);
        assert_eq!(presented[MOST_NAMES], "27 more");
    }

    #[test]
    fn keys_are_told_apart() {
        let key = |key: rcgen::KeyPair| {
            let der = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap();
            (leaf_curve(der.der()), Details::of(der.der()).unwrap().unfit_key())
        };
        let of = |algorithm| key(rcgen::KeyPair::generate_for(algorithm).unwrap());
        assert_eq!(of(&rcgen::PKCS_ECDSA_P256_SHA256), (Some(23), None));
        assert_eq!(of(&rcgen::PKCS_ECDSA_P384_SHA384), (Some(24), None));
        assert_eq!(of(&rcgen::PKCS_ECDSA_P521_SHA512), (Some(25), None));
        assert_eq!(of(&rcgen::PKCS_ED25519), (None, None));
        // P-192 is no curve of ours; nor is Ed448.
        let unfit = |algorithm: &[u8]| {
            let info = [&[0x30, algorithm.len() as u8][..], algorithm, &[3, 2, 0, 4]].concat();
            Details { key: Key::of(&info).unwrap_or_default(), ..Details::default() }.unfit_key().is_some()
        };
        assert!(unfit(&[
            6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1
        ]));
        assert!(unfit(&[6, 3, 0x2b, 0x65, 0x71]));
        assert!(!unfit(&[6, 3, 0x2b, 0x65, 0x70]));
    }

    #[test]
    fn the_key_is_cut_out_whole() {
        let key = rcgen::KeyPair::generate().unwrap();
        let der = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap();
        let info = rcgen::PublicKeyData::subject_public_key_info(&key);
        assert_eq!(leaf_key(der.der()).unwrap().as_ref(), info);
        for length in 0..der.der().len() {
            let cut = CertificateDer::from(der.der()[..length].to_vec());
            assert!(leaf_key(&cut).is_none());
        }
    }

    #[test]
    fn not_after_is_read() {
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        let der = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        assert_eq!(Details::of(der.der()).unwrap().not_after.unwrap().as_secs(), 1_927_843_200);
    }
}
