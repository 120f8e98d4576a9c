//! The closed set of kinds we read, and the names of their objects.

use std::fmt;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::store::{Objects, ResourceStore};
use crate::{
    BackendTlsPolicy, ClusterTrustBundle, ConfigMap, EndpointSlice, Gateway, GatewayClass, GrpcRoute,
    HttpRoute, ListenerSet, Namespace, ReferenceGrant, Secret, Service, TcpRoute, TlsRoute, UdpRoute,
    XBackend,
};

/// A kind the [`ResourceStore`] holds.
pub trait ResourceType: k8s_openapi::Metadata<Ty = ObjectMeta> + Clone + PartialEq + 'static {
    /// Its entry in the closed set.
    const KIND: ResourceKind;

    /// The object as a [`Resource`].
    fn into_resource(self: Arc<Self>) -> Resource;

    /// The object, when the resource is of this kind.
    fn from_resource(resource: &Resource) -> Option<&Arc<Self>>;

    /// The store's objects of this kind.
    fn objects(store: &ResourceStore) -> &Objects<Self>
    where
        Self: Sized;
}

macro_rules! resources {
    ($($type:ident, $field:ident, namespaced: $namespaced:literal;)+) => {
        /// One object of a kind we read. `Debug` gives its key only: Secrets stay secret.
        #[derive(Clone, PartialEq)]
        pub enum Resource {
            $(
                #[doc = concat!("A ", stringify!($type), ".")]
                $type(Arc<$type>),
            )+
        }

        /// A kind we read, in the order in which kinds are listed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ResourceKind {
            $(
                #[doc = concat!("[`", stringify!($type), "`](crate::", stringify!($type), ")")]
                $type,
            )+
        }

        impl ResourceKind {
            /// All kinds we read.
            pub const ALL: &'static [Self] = &[$(Self::$type),+];

            /// The kind as the API writes it, such as `HTTPRoute`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$type => <$type as k8s_openapi::Resource>::KIND,)+ }
            }

            /// The API group; empty is the core group.
            pub const fn group(self) -> &'static str {
                match self { $(Self::$type => <$type as k8s_openapi::Resource>::GROUP,)+ }
            }

            /// The version our types are written as.
            pub const fn version(self) -> &'static str {
                match self { $(Self::$type => <$type as k8s_openapi::Resource>::VERSION,)+ }
            }

            /// Whether its objects live in namespaces.
            pub const fn is_namespaced(self) -> bool {
                match self { $(Self::$type => $namespaced,)+ }
            }
        }

        impl Resource {
            /// Which kind it is of.
            pub fn kind(&self) -> ResourceKind {
                match self { $(Self::$type(_) => ResourceKind::$type,)+ }
            }

            /// Its name, labels, generation.
            pub fn metadata(&self) -> &ObjectMeta {
                match self { $(Self::$type(object) => &object.metadata,)+ }
            }

            /// Its metadata, to change; copies the object when it is shared.
            pub fn metadata_mut(&mut self) -> &mut ObjectMeta {
                match self { $(Self::$type(object) => &mut Arc::make_mut(object).metadata,)+ }
            }

            /// The object as JSON, as the API server would be given it: of a Secret, with its data.
            ///
            /// # Errors
            /// None that our types can cause; serialisation has no other form.
            pub fn to_json(&self) -> Result<serde_json::Value, serde_json::Error> {
                match self { $(Self::$type(object) => serde_json::to_value(object.as_ref()),)+ }
            }
        }

        $(
            impl ResourceType for $type {
                const KIND: ResourceKind = ResourceKind::$type;

                fn into_resource(self: Arc<Self>) -> Resource {
                    Resource::$type(self)
                }

                fn from_resource(resource: &Resource) -> Option<&Arc<Self>> {
                    match resource {
                        Resource::$type(object) => Some(object),
                        _ => None,
                    }
                }

                fn objects(store: &ResourceStore) -> &Objects<Self> {
                    store.$field()
                }
            }

            impl From<$type> for Resource {
                fn from(object: $type) -> Self {
                    Self::$type(Arc::new(object))
                }
            }

            impl From<Arc<$type>> for Resource {
                fn from(object: Arc<$type>) -> Self {
                    Self::$type(object)
                }
            }
        )+
    };
}

resources! {
    GatewayClass, gateway_classes, namespaced: false;
    Gateway, gateways, namespaced: true;
    ListenerSet, listener_sets, namespaced: true;
    HttpRoute, http_routes, namespaced: true;
    GrpcRoute, grpc_routes, namespaced: true;
    TlsRoute, tls_routes, namespaced: true;
    TcpRoute, tcp_routes, namespaced: true;
    UdpRoute, udp_routes, namespaced: true;
    ReferenceGrant, reference_grants, namespaced: true;
    BackendTlsPolicy, backend_tls_policies, namespaced: true;
    XBackend, xbackends, namespaced: true;
    Service, services, namespaced: true;
    EndpointSlice, endpoint_slices, namespaced: true;
    Secret, secrets, namespaced: true;
    ConfigMap, config_maps, namespaced: true;
    Namespace, namespaces, namespaced: false;
    ClusterTrustBundle, cluster_trust_bundles, namespaced: false;
}

impl Resource {
    /// What names it.
    pub fn key(&self) -> ResourceKey {
        let metadata = self.metadata();
        let kind = self.kind();
        let namespace =
            if kind.is_namespaced() { metadata.namespace.clone().unwrap_or_default() } else { String::new() };
        ResourceKey { kind, namespace, name: metadata.name.clone().unwrap_or_default() }
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resource({})", self.key())
    }
}

impl ResourceKind {
    /// The kind of this group and name, if we read it.
    pub fn find(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.as_str() == kind && known.group() == group)
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for ResourceKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What names an object: kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct ResourceKey {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its namespace; empty for a cluster-scoped kind.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ResourceKey {
    /// The key of an object; give an empty namespace for a cluster-scoped kind.
    pub fn new(kind: ResourceKind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}
