//! Certificates with their keys, from Secrets.

use std::{borrow::Cow, sync::Arc};

use lasthop_api_model::Secret;
use lasthop_dataplane_api::ObjectName;
use lasthop_tls_verify::CertifiedKey;

use crate::index::Reader;

/// The type of Secrets that hold a certificate and its key.
const TLS_TYPE: &str = "kubernetes.io/tls";

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
    let secret =
        reader.object::<Secret>(name).ok_or_else(|| format!("Secret {name} does not exist; create it"))?;
    let found = secret.type_.as_deref().unwrap_or("Opaque");
    if found != TLS_TYPE {
        return Err(format!("Secret {name} is of type {found}; a certificate needs type {TLS_TYPE}"));
    }
    let part = |key: &str| entry(secret, key).ok_or_else(|| format!("Secret {name} has no key {key}"));
    let (chain, key) = (part("tls.crt")?, part("tls.key")?);
    reader.cache().key(&chain, &key).map_err(|error| format!("Secret {name}: {error}"))
}
