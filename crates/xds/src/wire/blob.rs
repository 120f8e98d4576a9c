//! What many resources share and is sent once: trust anchors, certificates with their keys, revocation lists. Each is
//! named by its content.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use lasthop_tls_verify::{CertifiedKey, ContentId, TrustAnchors};
use pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use super::{DecodeError, decode_plain, encode_plain};
use crate::kind::{Kind, hex};

/// One of them.
#[derive(Clone, Debug)]
pub(crate) enum Blob {
    Anchors(Arc<TrustAnchors>),
    Certificate(Arc<CertifiedKey>),
    Crl(Arc<[u8]>),
}

/// One of them with its name: to name a revocation list, it has to be hashed.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) name: Arc<str>,
    pub(crate) blob: Blob,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireAnchors {
    certificates: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireCertificate {
    chain: Vec<String>,
    key_form: KeyForm,
    key: String,
    ocsp: Option<String>,
}

#[derive(Serialize, Deserialize)]
enum KeyForm {
    Pkcs1,
    Sec1,
    Pkcs8,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireCrl {
    der: String,
}

impl Blob {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Anchors(_) => Kind::TrustAnchors,
            Self::Certificate(_) => Kind::Certificate,
            Self::Crl(_) => Kind::Crl,
        }
    }

    /// The content's address.
    pub(crate) fn id(&self) -> String {
        match self {
            Self::Anchors(anchors) => hex(&anchors.id()),
            Self::Certificate(certificate) => hex(&certificate.id()),
            Self::Crl(der) => hex(&ContentId::of(der)),
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        match self {
            Self::Anchors(anchors) => {
                let certificates = anchors.certificates().iter().map(|der| STANDARD.encode(der)).collect();
                encode_plain(&WireAnchors { certificates })
            }
            Self::Certificate(certificate) => {
                let key = certificate.key();
                encode_plain(&WireCertificate {
                    chain: certificate.chain().iter().map(|der| STANDARD.encode(der)).collect(),
                    key_form: match key {
                        PrivateKeyDer::Pkcs1(_) => KeyForm::Pkcs1,
                        PrivateKeyDer::Sec1(_) => KeyForm::Sec1,
                        _ => KeyForm::Pkcs8,
                    },
                    key: STANDARD.encode(key.secret_der()),
                    ocsp: certificate.ocsp().map(|der| STANDARD.encode(der)),
                })
            }
            Self::Crl(der) => encode_plain(&WireCrl { der: STANDARD.encode(der) }),
        }
    }
}

/// Notes that a resource refers to one, and gives its id.
pub(super) fn refer(blob: Blob, blobs: &mut Vec<Named>) -> String {
    let id = blob.id();
    blobs.push(Named { name: blob.kind().name(&id), blob });
    id
}

/// What a proxy has of them, by name.
#[derive(Clone, Default)]
pub(crate) struct Blobs(HashMap<String, Blob>);

impl Blobs {
    /// Reads one and compares its content with its id.
    pub(crate) fn read(kind: Kind, id: &str, bytes: &[u8]) -> Result<Blob, DecodeError> {
        let blob = match kind {
            Kind::TrustAnchors => Blob::Anchors(Arc::new(anchors(bytes)?)),
            Kind::Certificate => Blob::Certificate(Arc::new(certificate(bytes)?)),
            Kind::Crl => {
                let WireCrl { der } = decode_plain(bytes)?;
                Blob::Crl(decode(&der)?.into())
            }
            _ => return Err(DecodeError::Invalid(format!("a {kind:?} is not named by its content"))),
        };
        if blob.id() == id { Ok(blob) } else { Err(DecodeError::WrongId(id.to_owned())) }
    }

    pub(crate) fn insert(&mut self, name: &str, blob: Blob) {
        self.0.insert(name.to_owned(), blob);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    fn get(&self, kind: Kind, id: &str) -> Result<&Blob, DecodeError> {
        let name = kind.name(&id);
        self.0.get(&*name).ok_or_else(|| DecodeError::Missing(name.to_string()))
    }

    pub(crate) fn anchors(&self, id: &str) -> Result<Arc<TrustAnchors>, DecodeError> {
        match self.get(Kind::TrustAnchors, id)? {
            Blob::Anchors(anchors) => Ok(anchors.clone()),
            _ => Err(DecodeError::Missing(id.to_owned())),
        }
    }

    pub(crate) fn certificate(&self, id: &str) -> Result<Arc<CertifiedKey>, DecodeError> {
        match self.get(Kind::Certificate, id)? {
            Blob::Certificate(certificate) => Ok(certificate.clone()),
            _ => Err(DecodeError::Missing(id.to_owned())),
        }
    }

    pub(crate) fn crl(&self, id: &str) -> Result<Arc<[u8]>, DecodeError> {
        match self.get(Kind::Crl, id)? {
            Blob::Crl(der) => Ok(der.clone()),
            _ => Err(DecodeError::Missing(id.to_owned())),
        }
    }
}

fn decode(text: &str) -> Result<Vec<u8>, DecodeError> {
    STANDARD.decode(text).map_err(|error| DecodeError::invalid(&error))
}

fn certificates(texts: &[String]) -> Result<Vec<CertificateDer<'static>>, DecodeError> {
    texts.iter().map(|text| Ok(decode(text)?.into())).collect()
}

fn anchors(bytes: &[u8]) -> Result<TrustAnchors, DecodeError> {
    let wire: WireAnchors = decode_plain(bytes)?;
    let (anchors, skipped) = TrustAnchors::from_der(certificates(&wire.certificates)?)
        .map_err(|error| DecodeError::invalid(&error))?;
    match skipped.first() {
        None => Ok(anchors),
        Some(first) => Err(DecodeError::Invalid(format!("certificate {}: {}", first.position, first.reason))),
    }
}

fn certificate(bytes: &[u8]) -> Result<CertifiedKey, DecodeError> {
    let WireCertificate { chain, key_form, key, ocsp } = decode_plain(bytes)?;
    let key = decode(&key)?;
    let key = match key_form {
        KeyForm::Pkcs1 => PrivateKeyDer::Pkcs1(key.into()),
        KeyForm::Sec1 => PrivateKeyDer::Sec1(key.into()),
        KeyForm::Pkcs8 => PrivateKeyDer::Pkcs8(key.into()),
    };
    let certificate =
        CertifiedKey::new(certificates(&chain)?, key).map_err(|error| DecodeError::invalid(&error))?;
    Ok(match ocsp {
        None => certificate,
        Some(ocsp) => certificate.with_ocsp(decode(&ocsp)?),
    })
}
