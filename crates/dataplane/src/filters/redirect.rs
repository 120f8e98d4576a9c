//! Answering with a redirect.

use std::{fmt::Write, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header, request::Parts};
use lasthop_dataplane_api::Redirect;

use super::{FilterContext, path::CompiledPath};
use crate::hygiene;

/// A redirect, checked.
#[derive(Debug)]
pub(super) struct CompiledRedirect {
    scheme: Option<Arc<str>>,
    host: Option<Arc<str>>,
    path: Option<CompiledPath>,
    port: Option<u16>,
    status: StatusCode,
}

impl CompiledRedirect {
    pub(super) fn compile(source: &Redirect) -> Result<Self, String> {
        let status = match source.status {
            301 => StatusCode::MOVED_PERMANENTLY,
            302 => StatusCode::FOUND,
            303 => StatusCode::SEE_OTHER,
            307 => StatusCode::TEMPORARY_REDIRECT,
            308 => StatusCode::PERMANENT_REDIRECT,
            other => {
                return Err(format!(
                    "{other} is no status of a redirect: there are 301, 302, 303, 307 and 308"
                ));
            }
        };
        let is_scheme = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_alphabetic())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        };
        if let Some(scheme) = source.scheme.as_deref().filter(|scheme| !is_scheme(scheme)) {
            return Err(format!("{scheme:?} is no scheme"));
        }
        if let Some(host) = source.hostname.as_deref().filter(|host| !hygiene::is_authority(host)) {
            return Err(format!("{host:?} is no host name"));
        }
        Ok(Self {
            scheme: source.scheme.clone(),
            host: source.hostname.clone(),
            path: source.path.as_ref().map(CompiledPath::compile),
            port: source.port,
            status,
        })
    }

    /// The answer. `None` if the location cannot be written.
    pub(super) fn respond(
        &self,
        parts: &Parts,
        context: &FilterContext<'_>,
    ) -> Option<http::Response<Bytes>> {
        let scheme = self.scheme.as_deref().unwrap_or(context.scheme);
        let host = self.host.as_deref().unwrap_or(context.host);
        let port = self.port.or(match self.scheme.as_deref() {
            Some("http" | "https") => None,
            _ => Some(context.port),
        });
        let mut location = String::with_capacity(128);
        write!(location, "{scheme}://{host}").ok()?;
        match (scheme, port) {
            (_, None) | ("http", Some(80)) | ("https", Some(443)) => {}
            (_, Some(port)) => write!(location, ":{port}").ok()?,
        }
        // `OPTIONS *` has no path.
        let path = Some(parts.uri.path()).filter(|path| *path != "*").unwrap_or("/");
        match &self.path {
            None => location.push_str(path),
            Some(modifier) => location.push_str(&modifier.apply(path, context.matched_path)?),
        }
        if let Some(query) = parts.uri.query() {
            location.push('?');
            location.push_str(query);
        }
        let mut response = http::Response::new(Bytes::new());
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_str(&location).ok()?);
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        Some(response)
    }
}
