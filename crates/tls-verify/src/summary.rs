//! A certificate in words, for people: whose it is, who issued it, for which names, until when.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use pki_types::{CertificateDer, UnixTime};

use crate::{
    SpkiPin,
    der::{self, Reader},
    details::Details,
};

/// The bound of what is shown of one attribute, in characters.
const LONGEST_VALUE: usize = 128;
/// The bound of what is shown of one name, in attributes.
const MOST_ATTRIBUTES: usize = 16;

/// What a certificate says. It decides nothing: [`crate::Verifier`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateSummary {
    /// Whose it is, the most specific attribute first (RFC 4514).
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// The content of the subject's SEQUENCE, to compare.
    pub subject_der: Vec<u8>,
    /// The content of the issuer's SEQUENCE.
    pub issuer_der: Vec<u8>,
    /// The subject alternative names as `DNS:`, `IP:` and `URI:` texts, bounded and printable.
    pub names: Vec<String>,
    /// When it becomes valid.
    pub not_before: UnixTime,
    /// When it expires.
    pub not_after: UnixTime,
    /// Its public key's pin.
    pub pin: SpkiPin,
}

impl CertificateSummary {
    /// The summary; `None` if the certificate is malformed.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let signed = Reader::new(certificate).expect(der::SEQUENCE)?;
        let mut body = Reader::new(Reader::new(signed).expect(der::SEQUENCE)?);
        body.optional(0xa0); // version
        body.next()?; // serial number
        body.expect(der::SEQUENCE)?; // signature
        let issuer = body.expect(der::SEQUENCE)?;
        let mut validity = Reader::new(body.expect(der::SEQUENCE)?);
        let subject = body.expect(der::SEQUENCE)?;
        let mut time = || {
            let (tag, text) = validity.next()?;
            Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(der::time(tag, text)?)))
        };
        let (not_before, not_after) = (time()?, time()?);
        let key = webpki::EndEntityCert::try_from(certificate).ok()?.subject_public_key_info();
        let mut pin = [0; 32];
        pin.copy_from_slice(digest::digest(&digest::SHA256, key.as_ref()).as_ref());
        Some(Self {
            subject: name_text(subject),
            issuer: name_text(issuer),
            subject_der: subject.to_vec(),
            issuer_der: issuer.to_vec(),
            names: Details::of(certificate)?.presented(),
            not_before,
            not_after,
            pin: SpkiPin(pin),
        })
    }

    /// Whether it names itself as its issuer.
    pub fn is_self_issued(&self) -> bool {
        self.subject_der == self.issuer_der
    }
}

/// A distinguished name in DER form, as RFC 4514 writes it; its bytes in hexadecimal if it is none.
pub fn distinguished_name(name: &[u8]) -> String {
    match Reader::new(name).expect(der::SEQUENCE) {
        Some(content) => name_text(content),
        None => format!("#{}", hex(name)),
    }
}

/// The content of a Name's SEQUENCE (RFC 5280 §4.1.2.4).
fn name_text(content: &[u8]) -> String {
    let mut sets = Reader::new(content);
    let mut parts = Vec::new();
    while let Some((_, set)) = sets.next() {
        let mut attributes = Reader::new(set);
        while let Some((der::SEQUENCE, attribute)) = attributes.next() {
            parts.extend(attribute_text(Reader::new(attribute)));
        }
    }
    parts.reverse();
    parts.truncate(MOST_ATTRIBUTES);
    if parts.is_empty() { "(no name)".to_owned() } else { parts.join(",") }
}

fn attribute_text(mut attribute: Reader<'_>) -> Option<String> {
    let id = attribute.expect(der::OID)?;
    let (tag, value) = attribute.next()?;
    let kind = match id {
        [0x55, 0x04, 0x03] => "CN",
        [0x55, 0x04, 0x05] => "serialNumber",
        [0x55, 0x04, 0x06] => "C",
        [0x55, 0x04, 0x07] => "L",
        [0x55, 0x04, 0x08] => "ST",
        [0x55, 0x04, 0x09] => "street",
        [0x55, 0x04, 0x0a] => "O",
        [0x55, 0x04, 0x0b] => "OU",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01] => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19] => "DC",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01] => "emailAddress",
        other => return Some(format!("oid.{}=#{}", hex(other), hex(value))),
    };
    Some(format!("{kind}={}", value_text(tag, value)))
}

/// An attribute's text, with everything escaped that could play tricks on a terminal.
fn value_text(tag: u8, value: &[u8]) -> String {
    const BMP_STRING: u8 = 0x1e;
    let decoded = match tag {
        BMP_STRING => {
            let units = value.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => String::from_utf8_lossy(value).into_owned(),
    };
    let mut text = String::new();
    for (index, character) in decoded.chars().enumerate() {
        match character {
            _ if index == LONGEST_VALUE => {
                text.push('…');
                break;
            }
            ' ' => text.push(' '),
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => text.extend(['\\', character]),
            // Letters and digits of any script; what is invisible or changes directions is escaped.
            character if character.is_alphanumeric() || character.is_ascii_graphic() => text.push(character),
            character => text.extend(character.escape_unicode()),
        }
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(LONGEST_VALUE / 2).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    fn named(common_name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "DE");
        params.distinguished_name.push(DnType::OrganizationName, "Acme, Inc.");
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        params
    }

    #[test]
    fn a_leaf_and_its_issuer() {
        let mut ca = named("Wurzel Größe");
        ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = named("leaf\u{1b}[31m\u{202e}").signed_by(&key, &ca).unwrap();
        let summary = CertificateSummary::of(leaf.der()).unwrap();
        assert_eq!(summary.subject, "CN=leaf\\u{1b}[31m\\u{202e},O=Acme\\, Inc.,C=DE");
        assert_eq!(summary.issuer, "CN=Wurzel Größe,O=Acme\\, Inc.,C=DE");
        assert_eq!(summary.names, ["DNS:a.example"]);
        assert_eq!(summary.not_after.as_secs(), 1_927_843_200);
        assert_eq!(summary.not_before.as_secs(), 1_577_836_800);
        assert!(!summary.is_self_issued());
        let issuer = CertificateSummary::of(ca.der()).unwrap();
        assert!(issuer.is_self_issued());
        assert_eq!(issuer.subject_der, summary.issuer_der);
        let spki = digest::digest(&digest::SHA256, &rcgen::PublicKeyData::subject_public_key_info(&key));
        assert_eq!(summary.pin.0, spki.as_ref());
    }

    #[test]
    fn malformed_names_do_not_harm() {
        assert_eq!(distinguished_name(&[0x30, 0]), "(no name)");
        assert_eq!(distinguished_name(&[0x31, 0xff]), "#31ff");
        let one = [0x30, 11, 0x31, 9, 0x30, 7, 6, 3, 0x55, 4, 3, 0x0c, 0];
        assert_eq!(distinguished_name(&one), "CN=");
        assert_eq!(CertificateSummary::of(&CertificateDer::from(vec![0x30, 0])), None);
    }
}
