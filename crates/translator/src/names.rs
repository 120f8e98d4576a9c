//! Names of objects, from the form resources have them in to the form the snapshot has them in, and back.

use lasthop_api_model::{ObjectMeta, ResourceKey, ResourceKind};
use lasthop_dataplane_api::{ObjectName, RouteKey, RouteKind};

/// Namespace and name.
pub(crate) fn of_key(key: &ResourceKey) -> ObjectName {
    ObjectName::new(key.namespace.as_str(), key.name.as_str())
}

/// The resource of this kind and name.
pub(crate) fn key(kind: ResourceKind, name: &ObjectName) -> ResourceKey {
    ResourceKey::new(kind, &*name.namespace, &*name.name)
}

/// When the object was made, in seconds since the epoch; 0 when it does not say.
pub(crate) fn created(metadata: &ObjectMeta) -> i64 {
    metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second())
}

/// The kind of route, if it is one.
pub(crate) fn route_kind(kind: ResourceKind) -> Option<RouteKind> {
    Some(match kind {
        ResourceKind::HttpRoute => RouteKind::HTTPRoute,
        ResourceKind::GrpcRoute => RouteKind::GRPCRoute,
        ResourceKind::TlsRoute => RouteKind::TLSRoute,
        ResourceKind::TcpRoute => RouteKind::TCPRoute,
        ResourceKind::UdpRoute => RouteKind::UDPRoute,
        _ => return None,
    })
}

/// The resource of a route.
pub(crate) fn route_resource(route: &RouteKey) -> ResourceKey {
    let kind = match route.kind {
        RouteKind::HTTPRoute => ResourceKind::HttpRoute,
        RouteKind::GRPCRoute => ResourceKind::GrpcRoute,
        RouteKind::TLSRoute => ResourceKind::TlsRoute,
        RouteKind::TCPRoute => ResourceKind::TcpRoute,
        RouteKind::UDPRoute => ResourceKind::UdpRoute,
    };
    key(kind, &route.object)
}
