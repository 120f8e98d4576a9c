//! What a rule or a backend reference does to requests and responses.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{BackendTarget, HostPattern};

/// One filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum HttpFilter {
    /// Changes the request's header fields.
    RequestHeaders(HeaderModifier),
    /// Changes the response's header fields.
    ResponseHeaders(HeaderModifier),
    /// Answers with a redirect.
    Redirect(Redirect),
    /// Changes the request's host and path.
    Rewrite(UrlRewrite),
    /// Sends a copy of the request to another backend and discards the response.
    Mirror(Mirror),
    /// Answers for cross-origin requests.
    Cors(Cors),
    /// A filter that cannot be honoured: the rule answers 500.
    Invalid {
        /// Which, and why.
        message: Arc<str>,
    },
}

/// Changes to header fields: first `set`, then `add`, then `remove`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderModifier {
    /// Replaces all values of the name.
    pub set: Vec<HeaderValue>,
    /// Adds a value to those there are.
    pub add: Vec<HeaderValue>,
    /// Removes all values of these names.
    pub remove: Vec<Arc<str>>,
}

/// A header field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderValue {
    /// The name, lower case.
    pub name: Arc<str>,
    /// The value.
    pub value: Arc<str>,
}

/// A redirect; what is not given stays as the request has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<Arc<str>>,
    /// The host.
    pub hostname: Option<Arc<str>>,
    /// The path.
    pub path: Option<PathModifier>,
    /// The port. Not given: the scheme's own if a scheme is given, else the listener's.
    pub port: Option<u16>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// A change of host and path before the request goes to the backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UrlRewrite {
    /// The new host.
    pub hostname: Option<Arc<str>>,
    /// The new path.
    pub path: Option<PathModifier>,
}

/// A change of the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathModifier {
    /// The whole path; the query stays.
    ReplaceFullPath(Arc<str>),
    /// The prefix that matched, by whole segments; the rest stays.
    ReplacePrefixMatch(Arc<str>),
}

/// A copy of some requests to another backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Where it goes. An invalid target mirrors nothing; the route's status says so.
    pub target: BackendTarget,
    /// Which share of the requests.
    pub fraction: Fraction,
}

/// A share: `numerator` of `denominator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fraction {
    /// At most the denominator.
    pub numerator: u32,
    /// At least 1.
    pub denominator: u32,
}

impl Fraction {
    /// Everything.
    pub const ALL: Self = Self { numerator: 1, denominator: 1 };
}

/// Cross-origin resource sharing (GEP-1767).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// The origins that are allowed; empty allows none.
    pub allow_origins: Vec<CorsOrigin>,
    /// Whether credentials are allowed.
    pub allow_credentials: bool,
    /// The methods allowed in preflights; `*` is every method.
    pub allow_methods: Vec<Arc<str>>,
    /// The request's header fields allowed in preflights; `*` is every name.
    pub allow_headers: Vec<Arc<str>>,
    /// The response's header fields that scripts may read.
    pub expose_headers: Vec<Arc<str>>,
    /// How long a preflight's answer may be kept.
    pub max_age: Duration,
}

/// An origin as the policy writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum CorsOrigin {
    /// `*`.
    Any,
    /// Scheme, host (possibly with a wildcard) and port (`None`: the scheme's own).
    Origin {
        /// `http` or `https`, or another scheme.
        scheme: Arc<str>,
        /// The host; a `Wildcard` covers one or more labels.
        host: HostPattern,
        /// The port.
        port: Option<u16>,
    },
}
