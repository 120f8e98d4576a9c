//! The filters of HTTPRoute.

use serde::{Deserialize, Serialize};

use super::external_auth::HttpExternalAuthFilter;
use super::filters::{HttpHeaderFilter, HttpRequestMirrorFilter};
use super::references::LocalObjectReference;

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
