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
    /// Asks a service whether the request may go on.
    ExternalAuth(ExternalAuth),
    /// A filter that cannot be honoured: the rule answers 500.
    Invalid {
        /// Which, and why.
        message: Arc<str>,
    },
}

impl HttpFilter {
    /// Where the filter sends something itself, if it does.
    pub fn target(&self) -> Option<&BackendTarget> {
        match self {
            Self::Mirror(mirror) => Some(&mirror.target),
            Self::ExternalAuth(auth) => Some(&auth.target),
            Self::RequestHeaders(_)
            | Self::ResponseHeaders(_)
            | Self::Redirect(_)
            | Self::Rewrite(_)
            | Self::Cors(_)
            | Self::Invalid { .. } => None,
        }
    }
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

/// A service that decides about requests before they go on (GEP-1494). Whatever keeps it from answering keeps the request
/// from going on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalAuth {
    /// Who is asked; reached as any backend is.
    pub target: BackendTarget,
    /// How it is asked.
    pub protocol: AuthProtocol,
    /// The longest body that is shown to it, in bytes; a longer one is refused. 0 shows none.
    pub body_bytes: u32,
}

/// How an authorization service is asked. Names of fields are in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum AuthProtocol {
    /// By Envoy's protocol, `envoy.service.auth.v3.Authorization/Check`.
    Grpc {
        /// The request's fields that are shown; empty shows all.
        headers: Vec<Arc<str>>,
    },
    /// By the request itself, without its body unless that is to be shown: 200 lets it go on, any other answer is the
    /// client's.
    Http {
        /// What is put before the request's path; empty, or with a slash in front.
        path: Arc<str>,
        /// The request's fields that are shown beside `Host` and `Authorization`.
        headers: Vec<Arc<str>>,
        /// The answer's fields that the request gets, in place of the client's of that name; empty gives it all.
        answer_headers: Vec<Arc<str>>,
    },
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
