//! Cross-origin resource sharing (GEP-1767, the Fetch standard).
//!
//! The policy alone speaks: what a backend says in `Access-Control-*` is taken away. Preflights are answered here, with
//! 200, or 403 for an origin that is not allowed. Wildcards for origins, methods and headers answer with what was asked
//! for, which a browser takes with and without credentials.

mod origin;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use lasthop_dataplane_api::{Cors, CorsOrigin};

use self::origin::AllowedOrigin;

/// All fields by which a response speaks about cross-origin requests.
static RESPONSE_FIELDS: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

/// A CORS policy with its answers prepared.
#[derive(Debug)]
pub(super) struct CompiledCors {
    any_origin: bool,
    origins: Vec<AllowedOrigin>,
    credentials: bool,
    methods: List,
    headers: List,
    expose: List,
    max_age: HeaderValue,
}

/// A list of names in a policy.
#[derive(Debug)]
enum List {
    Empty,
    Every,
    Names(HeaderValue),
}

impl List {
    fn compile(names: &[std::sync::Arc<str>]) -> Result<Self, String> {
        if names.is_empty() {
            return Ok(Self::Empty);
        }
        if names.iter().any(|name| &**name == "*") {
            return Ok(Self::Every);
        }
        if let Some(name) = names.iter().find(|name| HeaderName::from_bytes(name.as_bytes()).is_err()) {
            return Err(format!("the CORS policy names {name:?}, which is no method or header field"));
        }
        let joined = names.join(", ");
        HeaderValue::from_str(&joined).map(Self::Names).map_err(|_| format!("{joined:?} is no list of names"))
    }
}

impl CompiledCors {
    pub(super) fn compile(source: &Cors) -> Result<Self, String> {
        let origins = source.allow_origins.iter().filter_map(|origin| match origin {
            CorsOrigin::Any => None,
            CorsOrigin::Origin { scheme, host, port } => Some(AllowedOrigin::new(scheme, host, *port)),
        });
        Ok(Self {
            any_origin: source.allow_origins.contains(&CorsOrigin::Any),
            origins: origins.collect(),
            credentials: source.allow_credentials,
            methods: List::compile(&source.allow_methods)?,
            headers: List::compile(&source.allow_headers)?,
            expose: List::compile(&source.expose_headers)?,
            max_age: HeaderValue::from(source.max_age.as_secs()),
        })
    }

    /// The answer, if the request is a preflight.
    pub(super) fn preflight(&self, parts: &Parts) -> Option<http::Response<Bytes>> {
        if parts.method != Method::OPTIONS {
            return None;
        }
        let origin = parts.headers.get(header::ORIGIN)?;
        let method = parts.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        let mut response = http::Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        headers.insert(
            header::VARY,
            HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        );
        if !self.allows(origin) {
            *response.status_mut() = StatusCode::FORBIDDEN;
            return Some(response);
        }
        self.allow_origin(headers, origin);
        match &self.methods {
            List::Empty => {}
            List::Every => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method.clone());
            }
            List::Names(names) => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, names.clone());
            }
        }
        match &self.headers {
            List::Empty => {}
            List::Every => {
                for asked in parts.headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS) {
                    headers.append(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
                }
            }
            List::Names(names) => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
            }
        }
        self.expose(headers, None);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        Some(response)
    }

    /// Puts the policy's word in place of the backend's.
    pub(super) fn apply(&self, headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
        for name in &RESPONSE_FIELDS {
            headers.remove(name);
        }
        vary_by_origin(headers);
        if let Some(origin) = origin.filter(|origin| self.allows(origin)) {
            let names = self.every_name(headers);
            self.allow_origin(headers, origin);
            self.expose(headers, names);
        }
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        self.any_origin || self.origins.iter().any(|allowed| allowed.covers(origin.as_bytes()))
    }

    fn allow_origin(&self, headers: &mut HeaderMap, origin: &HeaderValue) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    /// `every`: the names there are, for a wildcard with credentials, where `*` would be taken literally.
    fn expose(&self, headers: &mut HeaderMap, every: Option<HeaderValue>) {
        let names = match &self.expose {
            List::Empty => None,
            List::Names(names) => Some(names.clone()),
            List::Every if self.credentials => every,
            List::Every => Some(HeaderValue::from_static("*")),
        };
        if let Some(names) = names {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, names);
        }
    }

    fn every_name(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if !self.credentials || !matches!(self.expose, List::Every) {
            return None;
        }
        let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        HeaderValue::from_str(&names.join(", ")).ok().filter(|names| !names.is_empty())
    }
}

/// Adds `Origin` to `Vary`, unless it is there.
fn vary_by_origin(headers: &mut HeaderMap) {
    let there = headers
        .get_all(header::VARY)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|name| name == "*" || name.eq_ignore_ascii_case("origin"));
    if !there {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
}
