//! What the proxy has: versions, and the blobs that resources refer to.

use std::{
    collections::{BTreeSet, HashMap},
    str::FromStr,
    sync::Arc,
};

use lasthop_dataplane_api::{BackendKey, Changes, EndpointSet, HttpRule, L4Rule, ListenerKey, Update};

use crate::{
    discovery::{Any, DeltaDiscoveryResponse, Resource},
    kind::{Kind, SNAPSHOT},
    wire::{Blobs, DecodeError, decode_backend, decode_listener, decode_plain, decode_secret},
};

/// What the proxy has.
#[derive(Default)]
pub(super) struct Held {
    versions: HashMap<String, String>,
    blobs: Blobs,
    /// Counts the updates; the controller's own count begins anew with every controller.
    updates: u64,
}

/// Why an update is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("a resource of type {0:?} is of no use here; the controller may be newer than this proxy")]
    Type(String),
    #[error("a resource is named {0:?}, which is no name")]
    Name(String),
    #[error("resource {name}: {error}")]
    Resource { name: String, error: DecodeError },
}

impl Held {
    /// Name and version of everything.
    pub(super) fn versions(&self) -> &HashMap<String, String> {
        &self.versions
    }

    pub(super) fn version_of(&self, name: &str) -> Option<&str> {
        self.versions.get(name).map(String::as_str)
    }

    /// Reads a response as a whole. If anything in it cannot be read, nothing of it is taken.
    pub(super) fn take(&mut self, response: &DeltaDiscoveryResponse) -> Result<Update, Refused> {
        if response.type_url != SNAPSHOT {
            return Err(Refused::Type(response.type_url.clone()));
        }
        let mut blobs = self.blobs.clone();
        let named = response.resources.iter().map(part).collect::<Result<Vec<_>, _>>()?;
        // First what others refer to.
        for Part { kind, key, name, bytes } in &named {
            if matches!(kind, Kind::TrustAnchors | Kind::Certificate | Kind::Crl) {
                let blob = Blobs::read(*kind, key, bytes).map_err(|error| failed(name, error))?;
                blobs.insert(name, blob);
            }
        }
        let mut update = Update { version: self.updates + 1, ..Update::default() };
        for part in &named {
            set(&mut update, part, &blobs).map_err(|error| failed(part.name, error))?;
        }
        let mut listed: BTreeSet<&str> = named.iter().map(|part| part.name).collect();
        if listed.len() < named.len() {
            return Err(Refused::Name("the same name twice".to_owned()));
        }
        for name in &response.removed_resources {
            let (kind, key) = Kind::of_name(name).ok_or_else(|| Refused::Name(name.clone()))?;
            if !listed.insert(name) {
                return Err(Refused::Name(name.clone()));
            }
            // What is not there need not be removed.
            if self.versions.contains_key(name) {
                remove(&mut update, kind, key).map_err(|error| failed(name, error))?;
            }
        }
        // From here on nothing can fail.
        for name in &response.removed_resources {
            blobs.remove(name);
            self.versions.remove(name);
        }
        for resource in &response.resources {
            self.versions.insert(resource.name.clone(), resource.version.clone());
        }
        self.blobs = blobs;
        self.updates = update.version;
        Ok(update)
    }

    /// The versions of the listeners and backends that an update changes, as they are now.
    pub(super) fn version_of_listener(&self, key: &ListenerKey) -> Option<&str> {
        self.version_of(&Kind::Listener.name(key))
    }

    pub(super) fn version_of_backend(&self, key: &BackendKey) -> Option<&str> {
        self.version_of(&Kind::Backend.name(key))
    }
}

struct Part<'a> {
    kind: Kind,
    key: &'a str,
    name: &'a str,
    bytes: &'a [u8],
}

fn part(resource: &Resource) -> Result<Part<'_>, Refused> {
    let Some(Any { type_url, value }) = &resource.resource else {
        return Err(Refused::Type("none".to_owned()));
    };
    let (kind, key) = Kind::of_name(&resource.name).ok_or_else(|| Refused::Name(resource.name.clone()))?;
    if kind.type_url() != *type_url {
        return Err(Refused::Type(type_url.clone()));
    }
    Ok(Part { kind, key, name: &resource.name, bytes: value })
}

fn failed(name: &str, error: DecodeError) -> Refused {
    Refused::Resource { name: name.to_owned(), error }
}

/// The key that a resource is named by must be the one it holds.
fn same<K: ToString>(named: &str, key: &K) -> Result<(), DecodeError> {
    let key = key.to_string();
    if key == named { Ok(()) } else { Err(DecodeError::Invalid(format!("its key is {key}"))) }
}

fn set(update: &mut Update, part: &Part<'_>, blobs: &Blobs) -> Result<(), DecodeError> {
    let Part { kind, key, bytes, .. } = part;
    match kind {
        Kind::Listener => {
            let listener = decode_listener(bytes, blobs)?;
            same(key, &listener.key)?;
            update.listeners.0.push((listener.key.clone(), Some(Arc::new(listener))));
        }
        Kind::HttpRule => {
            let rule: HttpRule = decode_plain(bytes)?;
            same(key, &rule.key)?;
            update.http_rules.0.push((rule.key.clone(), Some(Arc::new(rule))));
        }
        Kind::L4Rule => {
            let rule: L4Rule = decode_plain(bytes)?;
            same(key, &rule.key)?;
            update.l4_rules.0.push((rule.key.clone(), Some(Arc::new(rule))));
        }
        Kind::Backend => {
            let backend = decode_backend(bytes, blobs)?;
            same(key, &backend.key)?;
            update.backends.0.push((backend.key.clone(), Some(Arc::new(backend))));
        }
        Kind::Endpoints => {
            let endpoints: EndpointSet = decode_plain(bytes)?;
            same(key, &endpoints.key)?;
            update.endpoints.0.push((endpoints.key.clone(), Some(Arc::new(endpoints))));
        }
        Kind::SessionSecret => update.session_secret = Some(decode_secret(bytes)?),
        Kind::TrustAnchors | Kind::Certificate | Kind::Crl => {}
    }
    Ok(())
}

fn remove(update: &mut Update, kind: Kind, key: &str) -> Result<(), DecodeError> {
    match kind {
        Kind::Listener => gone(&mut update.listeners, key),
        Kind::HttpRule => gone(&mut update.http_rules, key),
        Kind::L4Rule => gone(&mut update.l4_rules, key),
        Kind::Backend => gone(&mut update.backends, key),
        Kind::Endpoints => gone(&mut update.endpoints, key),
        // A secret that nobody needs is none that anybody would have to forget.
        Kind::TrustAnchors | Kind::Certificate | Kind::Crl | Kind::SessionSecret => Ok(()),
    }
}

fn gone<K, V>(changes: &mut Changes<K, V>, key: &str) -> Result<(), DecodeError>
where
    K: FromStr<Err = lasthop_dataplane_api::KeyError>,
{
    changes.0.push((key.parse().map_err(|error| DecodeError::invalid(&error))?, None));
    Ok(())
}

#[cfg(test)]
mod tests;
