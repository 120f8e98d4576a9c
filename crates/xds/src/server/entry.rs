//! One resource as it is sent.

use std::sync::Arc;

use bytes::Bytes;
use lasthop_dataplane_api::{Backend, EndpointSet, HttpRule, L4Rule, Listener, ObjectName, SessionSecret};
use lasthop_tls_verify::ContentId;

use crate::{
    discovery,
    kind::{Kind, hex_bytes},
    wire::{Named, encode_backend, encode_listener, encode_plain, encode_secret},
};

/// A resource, encoded once for all proxies.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Arc<str>,
    /// Of its content.
    pub(super) version: String,
    kind: Kind,
    body: Bytes,
    /// What it refers to.
    pub(super) blobs: Vec<Named>,
}

impl Entry {
    fn new(kind: Kind, name: Arc<str>, (body, blobs): (Bytes, Vec<Named>)) -> Arc<Self> {
        let id = ContentId::of(&body);
        // Half of it tells versions apart.
        let version = hex_bytes(id.as_bytes().split_at(16).0);
        Arc::new(Self { name, version, kind, body, blobs })
    }

    pub(super) fn listener(listener: &Listener) -> Arc<Self> {
        Self::new(Kind::Listener, Kind::Listener.name(&listener.key), encode_listener(listener))
    }

    pub(super) fn http_rule(rule: &HttpRule) -> Arc<Self> {
        Self::new(Kind::HttpRule, Kind::HttpRule.name(&rule.key), (encode_plain(rule), Vec::new()))
    }

    pub(super) fn l4_rule(rule: &L4Rule) -> Arc<Self> {
        Self::new(Kind::L4Rule, Kind::L4Rule.name(&rule.key), (encode_plain(rule), Vec::new()))
    }

    pub(super) fn backend(backend: &Backend) -> Arc<Self> {
        Self::new(Kind::Backend, Kind::Backend.name(&backend.key), encode_backend(backend))
    }

    pub(super) fn endpoints(endpoints: &EndpointSet) -> Arc<Self> {
        Self::new(
            Kind::Endpoints,
            Kind::Endpoints.name(&endpoints.key),
            (encode_plain(endpoints), Vec::new()),
        )
    }

    pub(super) fn session_secret(gateway: &ObjectName, secret: &SessionSecret) -> Arc<Self> {
        let name = Kind::SessionSecret.name(gateway);
        Self::new(Kind::SessionSecret, name, (encode_secret(secret), Vec::new()))
    }

    pub(super) fn blob(Named { name, blob }: &Named) -> Arc<Self> {
        Self::new(blob.kind(), name.clone(), (blob.encode(), Vec::new()))
    }

    pub(super) fn to_resource(&self) -> discovery::Resource {
        discovery::Resource {
            version: self.version.clone(),
            resource: Some(discovery::Any { type_url: self.kind.type_url(), value: self.body.clone() }),
            name: self.name.to_string(),
        }
    }
}
