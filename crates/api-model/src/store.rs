//! The store: every object we know, by kind, namespace and name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::resource::{Resource, ResourceKey, ResourceKind, ResourceType};
use crate::{
    BackendTlsPolicy, ClusterTrustBundle, ConfigMap, EndpointSlice, Gateway, GatewayClass, GrpcRoute,
    HttpRoute, ListenerSet, Namespace, ReferenceGrant, Secret, Service, TcpRoute, TlsRoute, UdpRoute,
    XBackend,
};

/// All objects of one kind, in the order of namespace and name. Cluster-scoped objects have the empty namespace.
#[derive(Clone)]
pub struct Objects<T> {
    by_namespace: BTreeMap<String, BTreeMap<String, Arc<T>>>,
    count: usize,
}

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self { by_namespace: BTreeMap::new(), count: 0 }
    }
}

impl<T> fmt::Debug for Objects<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({})", self.count)
    }
}

impl<T> Objects<T> {
    /// The object of this name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Arc<T>> {
        self.by_namespace.get(namespace)?.get(name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.by_namespace.values().flat_map(BTreeMap::values)
    }

    /// Those of one namespace, by name.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<T>> {
        self.by_namespace.get(namespace).into_iter().flat_map(BTreeMap::values)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn insert(&mut self, namespace: &str, name: &str, object: Arc<T>) {
        let names = self.by_namespace.entry(namespace.to_owned()).or_default();
        if names.insert(name.to_owned(), object).is_none() {
            self.count += 1;
        }
    }

    fn remove(&mut self, namespace: &str, name: &str) -> Option<Arc<T>> {
        let names = self.by_namespace.get_mut(namespace)?;
        let removed = names.remove(name)?;
        if names.is_empty() {
            self.by_namespace.remove(namespace);
        }
        self.count -= 1;
        Some(removed)
    }
}

/// What became of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which object.
    pub key: ResourceKey,
    /// What it was; `None` when it is new.
    pub old: Option<Resource>,
    /// What it is; `None` when it is gone.
    pub new: Option<Resource>,
}

macro_rules! store {
    ($($type:ident, $field:ident;)+) => {
        /// Every object we know. Objects arrive in any order; nothing here resolves references.
        #[derive(Clone, Debug, Default)]
        pub struct ResourceStore {
            $($field: Objects<$type>,)+
        }

        impl ResourceStore {
            $(
                #[doc = concat!("All objects of the kind ", stringify!($type), ".")]
                pub fn $field(&self) -> &Objects<$type> {
                    &self.$field
                }
            )+

            /// The object of this key.
            pub fn find(&self, key: &ResourceKey) -> Option<Resource> {
                match key.kind {
                    $(ResourceKind::$type => {
                        self.$field.get(&key.namespace, &key.name).cloned().map(Resource::$type)
                    })+
                }
            }

            /// All objects, kind by kind, then by namespace and name.
            pub fn iter(&self) -> impl Iterator<Item = Resource> {
                std::iter::empty()$(.chain(self.$field.iter().cloned().map(Resource::$type)))+
            }

            /// How many objects there are, of all kinds.
            pub fn len(&self) -> usize {
                0 $(+ self.$field.len())+
            }

            fn insert(&mut self, key: &ResourceKey, resource: Resource) {
                match resource {
                    $(Resource::$type(object) => self.$field.insert(&key.namespace, &key.name, object),)+
                }
            }

            /// Takes an object out. `None` when it was not there.
            pub fn remove(&mut self, key: &ResourceKey) -> Option<Change> {
                let old = match key.kind {
                    $(ResourceKind::$type => {
                        self.$field.remove(&key.namespace, &key.name).map(Resource::$type)
                    })+
                }?;
                Some(Change { key: key.clone(), old: Some(old), new: None })
            }
        }
    };
}

store! {
    GatewayClass, gateway_classes;
    Gateway, gateways;
    ListenerSet, listener_sets;
    HttpRoute, http_routes;
    GrpcRoute, grpc_routes;
    TlsRoute, tls_routes;
    TcpRoute, tcp_routes;
    UdpRoute, udp_routes;
    ReferenceGrant, reference_grants;
    BackendTlsPolicy, backend_tls_policies;
    XBackend, xbackends;
    Service, services;
    EndpointSlice, endpoint_slices;
    Secret, secrets;
    ConfigMap, config_maps;
    Namespace, namespaces;
    ClusterTrustBundle, cluster_trust_bundles;
}

impl ResourceStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is no object at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The object of this kind and name; give an empty namespace for a cluster-scoped kind.
    pub fn get<T: ResourceType>(&self, namespace: &str, name: &str) -> Option<&Arc<T>> {
        T::objects(self).get(namespace, name)
    }

    /// All objects of one kind, by namespace and name.
    pub fn objects<T: ResourceType>(&self) -> &Objects<T> {
        T::objects(self)
    }

    /// Puts an object in place of its last version. `None` when nothing changed.
    ///
    /// A Gateway API object whose source gives no `metadata.generation` (a file) gets one from the store: 1 at first,
    /// one more whenever its spec changes, as the API server counts.
    pub fn apply(&mut self, mut resource: Resource) -> Option<Change> {
        let key = resource.key();
        let old = self.find(&key);
        if resource.metadata().generation.is_none()
            && let Some(generation) = next_generation(old.as_ref(), &resource)
        {
            resource.metadata_mut().generation = Some(generation);
        }
        if old.as_ref() == Some(&resource) {
            return None;
        }
        self.insert(&key, resource.clone());
        Some(Change { key, old, new: Some(resource) })
    }
}

/// The generation of an object that brings none; `None` for core kinds, which the API server does not count.
fn next_generation(old: Option<&Resource>, new: &Resource) -> Option<i64> {
    use Resource as R;
    let same_spec = match (old, new) {
        (Some(R::GatewayClass(old)), R::GatewayClass(new)) => old.spec == new.spec,
        (Some(R::Gateway(old)), R::Gateway(new)) => old.spec == new.spec,
        (Some(R::ListenerSet(old)), R::ListenerSet(new)) => old.spec == new.spec,
        (Some(R::HttpRoute(old)), R::HttpRoute(new)) => old.spec == new.spec,
        (Some(R::GrpcRoute(old)), R::GrpcRoute(new)) => old.spec == new.spec,
        (Some(R::TlsRoute(old)), R::TlsRoute(new)) => old.spec == new.spec,
        (Some(R::TcpRoute(old)), R::TcpRoute(new)) => old.spec == new.spec,
        (Some(R::UdpRoute(old)), R::UdpRoute(new)) => old.spec == new.spec,
        (Some(R::ReferenceGrant(old)), R::ReferenceGrant(new)) => old.spec == new.spec,
        (Some(R::BackendTlsPolicy(old)), R::BackendTlsPolicy(new)) => old.spec == new.spec,
        (Some(R::XBackend(old)), R::XBackend(new)) => old.spec == new.spec,
        (_, new) if new.kind().group().starts_with("gateway.networking.") => false,
        _ => return None,
    };
    let before = old.and_then(|old| old.metadata().generation).unwrap_or(0);
    Some(if same_spec { before.max(1) } else { before + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HttpRouteSpec;

    fn route(name: &str, hostname: &str) -> Resource {
        let mut route = HttpRoute::default();
        route.metadata.name = Some(name.to_owned());
        route.metadata.namespace = Some("default".to_owned());
        route.spec = HttpRouteSpec { hostnames: vec![hostname.to_owned()], ..HttpRouteSpec::default() };
        route.into()
    }

    #[test]
    fn counts_generations_as_the_api_server_does() {
        let mut store = ResourceStore::new();
        let generation = |change: &Change| change.new.as_ref().and_then(|new| new.metadata().generation);

        let created = store.apply(route("a", "one.example")).unwrap();
        assert_eq!((created.old.is_none(), generation(&created)), (true, Some(1)));
        assert_eq!(store.apply(route("a", "one.example")), None, "the same again is no change");

        let changed = store.apply(route("a", "two.example")).unwrap();
        assert_eq!((changed.old.is_some(), generation(&changed)), (true, Some(2)));

        let mut labelled = route("a", "two.example");
        labelled.metadata_mut().labels = Some([("team".to_owned(), "shop".to_owned())].into());
        let relabelled = store.apply(labelled).unwrap();
        assert_eq!(generation(&relabelled), Some(2), "a label is not spec");

        let mut given = route("a", "three.example");
        given.metadata_mut().generation = Some(40);
        assert_eq!(generation(&store.apply(given).unwrap()), Some(40), "what the source gives stays");
    }

    #[test]
    fn core_objects_get_no_generation() {
        let mut secret = Secret::default();
        secret.metadata.name = Some("s".to_owned());
        secret.metadata.namespace = Some("default".to_owned());
        let mut store = ResourceStore::new();
        let change = store.apply(secret.into()).unwrap();
        assert_eq!(change.new.unwrap().metadata().generation, None);
    }

    #[test]
    fn finds_iterates_and_removes_in_order() {
        let mut store = ResourceStore::new();
        for name in ["c", "a", "b"] {
            store.apply(route(name, "x.example"));
        }
        let names: Vec<_> = store.http_routes().iter().map(|r| r.metadata.name.clone().unwrap()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert!(store.get::<HttpRoute>("default", "b").is_some());
        assert!(store.get::<Gateway>("default", "b").is_none());
        assert_eq!(store.http_routes().in_namespace("other").count(), 0);

        let key = ResourceKey::new(ResourceKind::HttpRoute, "default", "b");
        assert_eq!(store.remove(&key).unwrap().old.unwrap().key(), key);
        assert_eq!(store.remove(&key), None);
        assert_eq!((store.len(), store.http_routes().len(), store.is_empty()), (2, 2, false));
        assert_eq!(store.iter().map(|r| r.key().name).collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let mut secret = Secret::default();
        secret.metadata.name = Some("s".to_owned());
        secret.string_data = Some([("password".to_owned(), "hunter2".to_owned())].into());
        let mut store = ResourceStore::new();
        let change = store.apply(secret.into()).unwrap();
        let printed = format!("{change:?} {store:?}");
        assert!(!printed.contains("hunter2") && printed.contains("Secret"), "{printed}");
    }
}
