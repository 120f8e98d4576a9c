//! UDPRoute: which UDP datagrams go where.

use serde::{Deserialize, Serialize};

use super::gateway::GatewayDefaultScope;
use super::references::{BackendRef, ParentReference};
use super::status::RouteStatus;

define_kind! {
    /// Rules for UDP datagrams.
    UdpRoute, kind: "UDPRoute", group: "gateway.networking.k8s.io", version: "v1",
    plural: "udproutes", scope: NamespaceResourceScope, spec: UdpRouteSpec, status: RouteStatus,
}

/// What the user asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UdpRouteSpec {
    /// Where the route attaches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// One rule (up to 16 in an object written as v1alpha2).
    pub rules: Vec<UdpRouteRule>,
    /// Whether default Gateways shall take it (experimental, GEP-3793).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<GatewayDefaultScope>,
}

/// Where datagrams go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UdpRouteRule {
    /// Name, unique within the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// 1 to 16 backends.
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
}
