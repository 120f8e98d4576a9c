//! Options that name objects: client certificates and revocation lists.

use std::{borrow::Cow, sync::Arc};

use lasthop_api_model::{ConfigMap, ResourceKey, Secret};
use lasthop_dataplane_api::ObjectName;
use lasthop_tls_verify::CertifiedKey;
use pki_types::{CertificateRevocationListDer, pem::PemObject};

use crate::{authorities, index::Reader, secrets};

const CRL_KEY: &str = "ca.crl";

pub(super) fn certificate(
    reader: &Reader<'_>,
    policy: &ResourceKey,
    value: &str,
) -> Result<(Arc<str>, Arc<CertifiedKey>), String> {
    let name = local(policy, value.strip_prefix("Secret/").unwrap_or(value))?;
    let key = secrets::certified_key(reader, &name)?;
    Ok((format!("Secret {name}").into(), key))
}

pub(super) fn crls(reader: &Reader<'_>, policy: &ResourceKey, value: &str) -> Result<Vec<Arc<[u8]>>, String> {
    let (kind, name) = value
        .split_once('/')
        .filter(|(kind, _)| matches!(*kind, "ConfigMap" | "Secret"))
        .ok_or_else(|| format!("{value:?} is no reference; use ConfigMap/NAME or Secret/NAME"))?;
    let name = local(policy, name)?;
    let missing = || format!("{kind} {name} does not exist; create it");
    let content = if kind == "Secret" {
        secrets::entry(reader.object::<Secret>(&name).ok_or_else(missing)?, CRL_KEY).map(Cow::into_owned)
    } else {
        let map = reader.object::<ConfigMap>(&name).ok_or_else(missing)?;
        authorities::entry_of_map(map, CRL_KEY).map(Cow::into_owned)
    };
    let content = content.ok_or_else(|| format!("{kind} {name} has no key {CRL_KEY}"))?;
    if secrets::is_der_sequence(&content) {
        return Ok(vec![content.into()]);
    }
    let mut lists = Vec::new();
    for list in CertificateRevocationListDer::pem_slice_iter(&content) {
        let list = list.map_err(|error| format!("{kind} {name}: {CRL_KEY}: {error}"))?;
        lists.push(Arc::from(list.as_ref()));
    }
    if lists.is_empty() {
        return Err(format!("{kind} {name}: {CRL_KEY} holds no revocation list in PEM or DER form"));
    }
    Ok(lists)
}

fn local(policy: &ResourceKey, name: &str) -> Result<ObjectName, String> {
    if name.is_empty() || name.contains('/') {
        return Err(format!("{name:?} is no name of an object of the policy's own namespace"));
    }
    Ok(ObjectName::new(policy.namespace.as_str(), name))
}
