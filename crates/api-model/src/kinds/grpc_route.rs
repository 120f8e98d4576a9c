//! GRPCRoute: which gRPC calls go where.

use serde::{Deserialize, Serialize};

use super::filters::{HttpHeaderFilter, HttpRequestMirrorFilter};
use super::gateway::GatewayDefaultScope;
use super::http_route::MatchType;
use super::references::{BackendRef, LocalObjectReference, ParentReference};
use super::session_persistence::SessionPersistence;
use super::status::RouteStatus;

define_kind! {
    /// Rules for gRPC calls.
    GrpcRoute, kind: "GRPCRoute", group: "gateway.networking.k8s.io", version: "v1",
    plural: "grpcroutes", scope: NamespaceResourceScope, spec: GrpcRouteSpec, status: RouteStatus,
}

/// What the user asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRouteSpec {
    /// Where the route attaches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// Host names it answers to; empty is all its listeners have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// At most 16 rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<GrpcRouteRule>,
    /// Whether default Gateways shall take it (experimental, GEP-3793).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<GatewayDefaultScope>,
}

/// Some matches, and what happens to the calls that fit one of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRouteRule {
    /// Name, unique within the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A call fits when it fits one of these; empty fits everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<GrpcRouteMatch>,
    /// What is done to the calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<GrpcRouteFilter>,
    /// Where they go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<GrpcBackendRef>,
    /// Whether a client stays at one endpoint (experimental).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<SessionPersistence>,
}

/// What a call must be like; all of it must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRouteMatch {
    /// Its service and method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<GrpcMethodMatch>,
    /// Header fields it must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<GrpcHeaderMatch>,
}

/// What service and method must be like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcMethodMatch {
    /// How they are compared.
    #[serde(default)]
    pub r#type: MatchType,
    /// The service; absent is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The method; absent is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// What a header field must be like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcHeaderMatch {
    /// How it is compared.
    #[serde(default)]
    pub r#type: MatchType,
    /// Its name; case does not count.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// One thing that is done to calls or answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRouteFilter {
    /// Which of the fields below is set.
    pub r#type: GrpcRouteFilterType,
    /// With `RequestHeaderModifier`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_header_modifier: Option<HttpHeaderFilter>,
    /// With `ResponseHeaderModifier`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_header_modifier: Option<HttpHeaderFilter>,
    /// With `RequestMirror`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_mirror: Option<HttpRequestMirrorFilter>,
    /// With `ExtensionRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<LocalObjectReference>,
}

open_enum! {
    /// Type of a filter.
    pub enum GrpcRouteFilterType {
        /// Changes header fields of the request.
        RequestHeaderModifier = "RequestHeaderModifier",
        /// Changes header fields of the response.
        ResponseHeaderModifier = "ResponseHeaderModifier",
        /// Sends a copy of the request somewhere else.
        RequestMirror = "RequestMirror",
        /// A filter of the implementation.
        ExtensionRef = "ExtensionRef",
    }
}

/// Where calls go, and what is done to those that go there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcBackendRef {
    /// Where.
    #[serde(flatten)]
    pub backend_ref: BackendRef,
    /// What is done to the calls that go there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<GrpcRouteFilter>,
}
