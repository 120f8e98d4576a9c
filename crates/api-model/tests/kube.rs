//! The kinds are what kube 5 takes: its `Api`, reflectors and patches need nothing but these bounds.

use std::fmt::Debug;

use kube_core::{Resource, ResourceExt};
use lasthop_api_model::{
    BackendTlsPolicy, Gateway, GatewayClass, GrpcRoute, HttpRoute, ListenerSet, ReferenceGrant, TcpRoute,
    TlsRoute, UdpRoute, XBackend,
};
use serde::{Serialize, de::DeserializeOwned};

/// What `kube::Api<K>` and `kube::runtime::reflector` demand of a kind, and how kube names it.
fn fits<K>() -> (String, String, String)
where
    K: Resource<DynamicType = ()>
        + Clone
        + Debug
        + Default
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let mut object = K::default();
    object.meta_mut().name = Some("a".to_owned());
    assert_eq!(object.name_any(), "a");
    (K::api_version(&()).into_owned(), K::kind(&()).into_owned(), K::plural(&()).into_owned())
}

#[test]
fn every_kind_fits_kube() {
    let found = [
        fits::<GatewayClass>(),
        fits::<Gateway>(),
        fits::<ListenerSet>(),
        fits::<HttpRoute>(),
        fits::<GrpcRoute>(),
        fits::<TlsRoute>(),
        fits::<TcpRoute>(),
        fits::<UdpRoute>(),
        fits::<ReferenceGrant>(),
        fits::<BackendTlsPolicy>(),
        fits::<XBackend>(),
    ];
    let expected = [
        ("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses"),
        ("gateway.networking.k8s.io/v1", "Gateway", "gateways"),
        ("gateway.networking.k8s.io/v1", "ListenerSet", "listenersets"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes"),
        ("gateway.networking.k8s.io/v1", "GRPCRoute", "grpcroutes"),
        ("gateway.networking.k8s.io/v1", "TLSRoute", "tlsroutes"),
        ("gateway.networking.k8s.io/v1", "TCPRoute", "tcproutes"),
        ("gateway.networking.k8s.io/v1", "UDPRoute", "udproutes"),
        ("gateway.networking.k8s.io/v1", "ReferenceGrant", "referencegrants"),
        ("gateway.networking.k8s.io/v1", "BackendTLSPolicy", "backendtlspolicies"),
        ("gateway.networking.x-k8s.io/v1alpha1", "XBackend", "xbackends"),
    ];
    let found: Vec<_> =
        found.iter().map(|(version, kind, plural)| (&**version, &**kind, &**plural)).collect();
    assert_eq!(found, expected);
}
