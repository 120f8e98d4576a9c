//! TLSRoute: which TLS connections go where.

use serde::{Deserialize, Serialize};

use super::gateway::GatewayDefaultScope;
use super::references::{BackendRef, ParentReference};
use super::status::RouteStatus;

define_kind! {
    /// Rules for TLS connections.
    TlsRoute, kind: "TLSRoute", group: "gateway.networking.k8s.io", version: "v1",
    plural: "tlsroutes", scope: NamespaceResourceScope, spec: TlsRouteSpec, status: RouteStatus,
}

/// What the user asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsRouteSpec {
    /// Where the route attaches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// The names of SNI it answers to; never empty in v1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// One rule (up to 16 in an object written as v1alpha2).
    pub rules: Vec<TlsRouteRule>,
    /// Whether default Gateways shall take it (experimental, GEP-3793).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<GatewayDefaultScope>,
}

/// Where connections go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsRouteRule {
    /// Name, unique within the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// 1 to 16 backends.
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
}
