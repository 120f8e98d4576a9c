//! HTTPRoute: which HTTP requests go where.

use serde::{Deserialize, Serialize};

use super::gateway::GatewayDefaultScope;
use super::http_route_filters::HttpRouteFilter;
use super::references::{BackendRef, ParentReference};
use super::session_persistence::SessionPersistence;
use super::status::RouteStatus;
use crate::ApiDuration;

define_kind! {
    /// Rules for HTTP requests.
    HttpRoute, kind: "HTTPRoute", group: "gateway.networking.k8s.io", version: "v1",
    plural: "httproutes", scope: NamespaceResourceScope, spec: HttpRouteSpec, status: RouteStatus,
}

/// What the user asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// Where the route attaches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// Host names it answers to; empty is all its listeners have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// 1 to 16 rules; one that matches everything when the user gave none.
    #[serde(default = "match_all_rules", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<HttpRouteRule>,
    /// Whether default Gateways shall take it (experimental, GEP-3793).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<GatewayDefaultScope>,
}

fn match_all_rules() -> Vec<HttpRouteRule> {
    vec![HttpRouteRule::default()]
}

fn match_all() -> Vec<HttpRouteMatch> {
    vec![HttpRouteMatch::default()]
}

impl Default for HttpRouteSpec {
    fn default() -> Self {
        Self { parent_refs: vec![], hostnames: vec![], rules: match_all_rules(), use_default_gateways: None }
    }
}

/// Some matches, and what happens to the requests that fit one of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteRule {
    /// Name, unique within the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A request fits when it fits one of these. Empty, as when absent, fits everything.
    #[serde(default = "match_all", skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<HttpRouteMatch>,
    /// What is done to the requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<HttpRouteFilter>,
    /// Where they go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<HttpBackendRef>,
    /// How long they may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<HttpRouteTimeouts>,
    /// Whether they are tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<HttpRouteRetry>,
    /// Whether a client stays at one endpoint (experimental).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<SessionPersistence>,
}

impl Default for HttpRouteRule {
    fn default() -> Self {
        Self {
            name: None,
            matches: match_all(),
            filters: vec![],
            backend_refs: vec![],
            timeouts: None,
            retry: None,
            session_persistence: None,
        }
    }
}

/// What a request must be like; all of it must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteMatch {
    /// Its path; everything below `/` when the user gave none.
    #[serde(default)]
    pub path: HttpPathMatch,
    /// Header fields it must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HttpHeaderMatch>,
    /// Query parameters it must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query_params: Vec<HttpQueryParamMatch>,
    /// Its method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<HttpMethod>,
}

/// What a path must be like.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpPathMatch {
    /// How it is compared.
    #[serde(default)]
    pub r#type: PathMatchType,
    /// With what; `/` when the user gave nothing.
    #[serde(default = "root_path")]
    pub value: String,
}

fn root_path() -> String {
    "/".to_owned()
}

impl Default for HttpPathMatch {
    fn default() -> Self {
        Self { r#type: PathMatchType::PathPrefix, value: root_path() }
    }
}

open_enum! {
    /// How a path is compared.
    pub enum PathMatchType {
        /// Element by element, from the start.
        PathPrefix = "PathPrefix",
        /// As a whole.
        Exact = "Exact",
        /// With a regular expression of the implementation's dialect.
        RegularExpression = "RegularExpression",
    }
}

open_enum! {
    /// How a header field or a query parameter is compared.
    pub enum MatchType {
        /// As a whole.
        Exact = "Exact",
        /// With a regular expression of the implementation's dialect.
        RegularExpression = "RegularExpression",
    }
}

/// What a header field must be like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpHeaderMatch {
    /// How it is compared.
    #[serde(default)]
    pub r#type: MatchType,
    /// Its name; case does not count.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What a query parameter must be like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpQueryParamMatch {
    /// How it is compared.
    #[serde(default)]
    pub r#type: MatchType,
    /// Its name; case counts.
    pub name: String,
    /// Its value.
    pub value: String,
}

open_enum! {
    /// A method of HTTP.
    pub enum HttpMethod {
        /// GET.
        Get = "GET",
        /// HEAD.
        Head = "HEAD",
        /// POST.
        Post = "POST",
        /// PUT.
        Put = "PUT",
        /// DELETE.
        Delete = "DELETE",
        /// CONNECT.
        Connect = "CONNECT",
        /// OPTIONS.
        Options = "OPTIONS",
        /// TRACE.
        Trace = "TRACE",
        /// PATCH.
        Patch = "PATCH",
    }
}

/// Where requests go, and what is done to those that go there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpBackendRef {
    /// Where.
    #[serde(flatten)]
    pub backend_ref: BackendRef,
    /// What is done to the requests that go there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<HttpRouteFilter>,
}

/// How long requests may take; `0s` is without limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteTimeouts {
    /// In all, retries included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<ApiDuration>,
    /// For each try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_request: Option<ApiDuration>,
}

/// Whether requests are tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteRetry {
    /// Status codes of the backend that lead to another try.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<u16>,
    /// How many more tries; 1 when the user gave none, 0 switches retries off.
    #[serde(default = "one")]
    pub attempts: u32,
    /// The least time between two tries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<ApiDuration>,
}

fn one() -> u32 {
    1
}

impl Default for HttpRouteRetry {
    fn default() -> Self {
        Self { codes: vec![], attempts: one(), backoff: None }
    }
}
