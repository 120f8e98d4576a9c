//! Certificates with their keys, from Secrets.

use std::{borrow::Cow, sync::Arc};

use lasthop_api_model::{ResourceKind, Secret};
use lasthop_dataplane_api::ObjectName;
use lasthop_tls_verify::CertifiedKey;

use crate::{index::Reader, names};

/// The type of Secrets that hold a certificate and its key.
const TLS_TYPE: &str = "kubernetes.io/tls";

/// The key of a DER OCSP response that is stapled to the certificate.
const STAPLE_KEY: &str = "tls.ocsp-staple";

/// Whether something begins as a DER SEQUENCE, which revocation lists (RFC 5280 §5.1) and OCSP responses (RFC 6960
/// §4.2.1) are; PEM begins otherwise.
pub(crate) fn is_der_sequence(content: &[u8]) -> bool {
    content.first() == Some(&0x30)
}

/// An entry of a Secret. What was written as `stringData` (only files have it) counts before `data`, as it would on
/// an API server.
pub(crate) fn entry<'a>(secret: &'a Secret, key: &str) -> Option<Cow<'a, [u8]>> {
    let text = secret.string_data.as_ref().and_then(|data| data.get(key)).map(String::as_bytes);
    let bytes = || secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
    text.or_else(bytes).map(Cow::Borrowed)
}

/// The certificate and key of a Secret of type `kubernetes.io/tls`, or a sentence that says what is wrong. The
/// reference must be permitted; no word of the Secret's content is in the sentence.
pub(crate) fn certified_key(reader: &Reader<'_>, name: &ObjectName) -> Result<Arc<CertifiedKey>, String> {
    key_of(reader, name, |_| None)
}

/// The same for a listener, with the OCSP response to staple if the Secret has one (RFC 6066 §8). One that is none is
/// told in a notice and left out: the certificate serves without it.
pub(crate) fn served_key(reader: &Reader<'_>, name: &ObjectName) -> Result<Arc<CertifiedKey>, String> {
    key_of(reader, name, |secret| {
        let staple = entry(secret, STAPLE_KEY)?;
        if is_der_sequence(&staple) {
            return Some(staple);
        }
        let message = "is no OCSP response in DER form; nothing is stapled".to_owned();
        reader.notice(names::key(ResourceKind::Secret, name), format!("data[{STAPLE_KEY}]"), message);
        None
    })
}

fn key_of<'a>(
    reader: &'a Reader<'_>,
    name: &ObjectName,
    staple: impl FnOnce(&'a Secret) -> Option<Cow<'a, [u8]>>,
) -> Result<Arc<CertifiedKey>, String> {
    let secret =
        reader.object::<Secret>(name).ok_or_else(|| format!("Secret {name} does not exist; create it"))?;
    let found = secret.type_.as_deref().unwrap_or("Opaque");
    if found != TLS_TYPE {
        return Err(format!("Secret {name} is of type {found}; a certificate needs type {TLS_TYPE}"));
    }
    let part = |key: &str| entry(secret, key).ok_or_else(|| format!("Secret {name} has no key {key}"));
    let (chain, key) = (part("tls.crt")?, part("tls.key")?);
    let staple = staple(secret);
    reader.cache().key(&chain, &key, staple.as_deref()).map_err(|error| format!("Secret {name}: {error}"))
}
