//! CA certificates by reference: ConfigMaps, Secrets and ClusterTrustBundles.

use std::{borrow::Cow, sync::Arc};

use lasthop_api_model::{ClusterTrustBundle, ConfigMap, ResourceKey, ResourceKind, Secret};
use lasthop_dataplane_api::ObjectName;
use lasthop_tls_verify::TrustAnchors;

use crate::{index::Reader, secrets};

/// The key that holds the PEM bundle, in ConfigMaps and Secrets, where nothing else is said.
pub(crate) const CA_KEY: &str = "ca.crt";
const TRUST_BUNDLE_GROUP: &str = "certificates.k8s.io";

/// The anchors of one reference.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Authority {
    /// What was referred to, such as `ConfigMap shop/ca`.
    pub reference: Arc<str>,
    /// What it holds.
    pub anchors: Arc<TrustAnchors>,
}

/// Why a reference gives no anchors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AuthorityError {
    /// Not a kind that holds CA certificates.
    Kind(String),
    /// Missing, or nothing usable in it.
    Content(String),
}

/// Where a bundle stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuthorityRef<'a> {
    pub group: &'a str,
    pub kind: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

/// The anchors behind a reference that is permitted, from the first of `keys` that exists. Certificates passed over
/// become notices about `referrer`.
pub(crate) fn resolve(
    reader: &Reader<'_>,
    to: AuthorityRef<'_>,
    referrer: &ResourceKey,
    field: &str,
    keys: &[&str],
) -> Result<Authority, AuthorityError> {
    let name = ObjectName::new(to.namespace, to.name);
    let (text, pem) = match (to.group, to.kind) {
        ("", "ConfigMap") => {
            let text = format!("ConfigMap {name}");
            let map = reader.object::<ConfigMap>(&name).ok_or_else(|| missing(&text))?;
            let pem = keys.iter().find_map(|key| entry_of_map(map, key)).map(Cow::into_owned);
            let data = map.data.iter().flat_map(|data| data.keys());
            let pem = pem.ok_or_else(|| {
                no_key(&text, keys, data.chain(map.binary_data.iter().flat_map(|data| data.keys())))
            })?;
            (text, pem)
        }
        ("", "Secret") => {
            let text = format!("Secret {name}");
            let secret = reader.object::<Secret>(&name).ok_or_else(|| missing(&text))?;
            let pem = keys.iter().find_map(|key| secrets::entry(secret, key)).map(Cow::into_owned);
            let data = secret.data.iter().flat_map(|data| data.keys());
            let pem = pem.ok_or_else(|| {
                no_key(&text, keys, data.chain(secret.string_data.iter().flat_map(|data| data.keys())))
            })?;
            (text, pem)
        }
        (TRUST_BUNDLE_GROUP, "ClusterTrustBundle") => {
            let text = format!("ClusterTrustBundle {}", to.name);
            let bundle = reader.find::<ClusterTrustBundle>("", to.name).ok_or_else(|| missing(&text))?;
            (text, bundle.spec.trust_bundle.clone().into_bytes())
        }
        (group, kind) => {
            let of = if group.is_empty() { "the core group".to_owned() } else { format!("group {group}") };
            return Err(AuthorityError::Kind(format!(
                "{field}: kind {kind} of {of} holds no CA certificates; use a ConfigMap or Secret with the key {CA_KEY}, \
                 or a ClusterTrustBundle"
            )));
        }
    };
    let (anchors, skipped) =
        reader.cache().anchors(&pem).map_err(|error| AuthorityError::Content(format!("{text}: {error}")))?;
    for certificate in skipped {
        reader.notice(
            referrer.clone(),
            field,
            format!(
                "certificate {} of {text} cannot be used and is passed over: {}",
                certificate.position, certificate.reason
            ),
        );
    }
    Ok(Authority { reference: text.into(), anchors })
}

/// All anchors together; the same certificate counts once.
pub(crate) fn union(reader: &Reader<'_>, authorities: &[Authority]) -> Result<Arc<TrustAnchors>, String> {
    match authorities {
        [one] => Ok(one.anchors.clone()),
        all => {
            let sets = all.iter().map(|authority| &*authority.anchors);
            reader.cache().union(sets).map_err(|error| error.to_string())
        }
    }
}

/// An entry of a ConfigMap, whether text or bytes.
pub(crate) fn entry_of_map<'a>(map: &'a ConfigMap, key: &str) -> Option<Cow<'a, [u8]>> {
    let text = map.data.as_ref().and_then(|data| data.get(key)).map(String::as_bytes);
    let bytes = || map.binary_data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
    text.or_else(bytes).map(Cow::Borrowed)
}

/// Names what exists; nothing of the content.
fn no_key<'a>(text: &str, keys: &[&str], existing: impl Iterator<Item = &'a String>) -> AuthorityError {
    let existing: Vec<&str> = existing.map(String::as_str).collect();
    let has = if existing.is_empty() { "no keys".to_owned() } else { existing.join(", ") };
    AuthorityError::Content(format!("{text} has no key {}; it has {has}", keys.join(", ")))
}

fn missing(text: &str) -> AuthorityError {
    AuthorityError::Content(format!("{text} does not exist"))
}

impl AuthorityError {
    pub(crate) fn message(self) -> String {
        match self {
            Self::Kind(message) | Self::Content(message) => message,
        }
    }
}

/// Whether a reference needs a namespace: bundles of the cluster have none.
pub(crate) fn is_cluster_scoped(group: &str, kind: &str) -> bool {
    ResourceKind::find(group, kind).is_some_and(|kind| !kind.is_namespaced())
}
