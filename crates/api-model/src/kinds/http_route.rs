//! HTTPRoute: which HTTP requests go where.

use serde::{Deserialize, Serialize};

use super::external_auth::HttpExternalAuthFilter;
use super::filters::{HttpHeaderFilter, HttpRequestMirrorFilter};
use super::gateway::GatewayDefaultScope;
use super::references::{BackendRef, LocalObjectReference, ParentReference};
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

/// One thing that is done to requests or responses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteFilter {
    /// Which of the fields below is set.
    pub r#type: HttpRouteFilterType,
    /// With `RequestHeaderModifier`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_header_modifier: Option<HttpHeaderFilter>,
    /// With `ResponseHeaderModifier`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_header_modifier: Option<HttpHeaderFilter>,
    /// With `RequestMirror`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_mirror: Option<HttpRequestMirrorFilter>,
    /// With `RequestRedirect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_redirect: Option<HttpRequestRedirectFilter>,
    /// With `URLRewrite`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_rewrite: Option<HttpUrlRewriteFilter>,
    /// With `CORS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<HttpCorsFilter>,
    /// With `ExternalAuth` (experimental).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_auth: Option<HttpExternalAuthFilter>,
    /// With `ExtensionRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<LocalObjectReference>,
}

open_enum! {
    /// Type of a filter.
    pub enum HttpRouteFilterType {
        /// Changes header fields of the request.
        RequestHeaderModifier = "RequestHeaderModifier",
        /// Changes header fields of the response.
        ResponseHeaderModifier = "ResponseHeaderModifier",
        /// Sends a copy of the request somewhere else.
        RequestMirror = "RequestMirror",
        /// Answers with a redirect.
        RequestRedirect = "RequestRedirect",
        /// Changes host or path of the request.
        UrlRewrite = "URLRewrite",
        /// A filter of the implementation.
        ExtensionRef = "ExtensionRef",
        /// Answers preflight requests and adds the CORS header fields.
        Cors = "CORS",
        /// Asks an external service.
        ExternalAuth = "ExternalAuth",
    }
}

/// Answers with a redirect; what is not given stays as it was in the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRequestRedirectFilter {
    /// `http` or `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// The host to go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The path to go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPathModifier>,
    /// The port to go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// 301, 302, 303, 307 or 308; 302 when the user gave none.
    #[serde(default = "found")]
    pub status_code: u16,
}

fn found() -> u16 {
    302
}

impl Default for HttpRequestRedirectFilter {
    fn default() -> Self {
        Self { scheme: None, hostname: None, path: None, port: None, status_code: found() }
    }
}

/// Changes host or path of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpUrlRewriteFilter {
    /// The host to put in place of the request's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The change to the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPathModifier>,
}

/// A change to a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpPathModifier {
    /// Which of the fields below is set.
    pub r#type: HttpPathModifierType,
    /// With `ReplaceFullPath`: the new path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_full_path: Option<String>,
    /// With `ReplacePrefixMatch`: what takes the place of the matched prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_prefix_match: Option<String>,
}

open_enum! {
    /// What a change to a path replaces.
    pub enum HttpPathModifierType {
        /// All of it.
        ReplaceFullPath = "ReplaceFullPath",
        /// The prefix that matched.
        ReplacePrefixMatch = "ReplacePrefixMatch",
    }
}

/// Cross-origin resource sharing (GEP-1767).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpCorsFilter {
    /// Origins that may read the answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_origins: Vec<String>,
    /// Whether they may send credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
    /// Methods they may use, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_methods: Vec<String>,
    /// Header fields they may send, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_headers: Vec<String>,
    /// Header fields of the answer they may read, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose_headers: Vec<String>,
    /// How long a preflight answer may be kept, in seconds; 5 when the user gave none.
    #[serde(default = "five_seconds")]
    pub max_age: u32,
}

fn five_seconds() -> u32 {
    5
}

impl Default for HttpCorsFilter {
    fn default() -> Self {
        Self {
            allow_origins: vec![],
            allow_credentials: None,
            allow_methods: vec![],
            allow_headers: vec![],
            expose_headers: vec![],
            max_age: five_seconds(),
        }
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
