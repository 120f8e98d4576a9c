//! Requests in the form of the connection they go out on.

use http::{
    HeaderMap, HeaderValue, Uri, Version, header,
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use smallvec::SmallVec;

use super::{connection_fields as connection, host::authority};

/// The connection a request goes out on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UpstreamForm {
    /// Whether it speaks HTTP/2.
    pub(crate) http2: bool,
    /// Whether it speaks TLS: some servers refuse a `:scheme` that is not that of their connection.
    pub(crate) tls: bool,
    /// Whether the upgrade that the request asks for is passed on. Not on HTTP/2.
    pub(crate) upgrade: bool,
}

/// Puts a checked request into the form of its connection: version, authority (`Host` or `:authority`), the fields of
/// the connection, and cookies, which are one line in HTTP/1.1.
///
/// Call it once per attempt, after the filters.
pub(crate) fn to_upstream(parts: &mut Parts, form: UpstreamForm) {
    let protocol = if form.upgrade { parts.headers.remove(header::UPGRADE) } else { None };
    connection::remove(&mut parts.headers);
    connection::reduce_te(&mut parts.headers);
    if form.http2 {
        parts.version = Version::HTTP_2;
        to_http2(parts, form.tls);
        return;
    }
    parts.version = Version::HTTP_11;
    to_http1(parts);
    join_cookies(&mut parts.headers);
    let options = match (protocol.is_some(), parts.headers.contains_key(header::TE)) {
        (true, true) => Some("upgrade, te"),
        (true, false) => Some("upgrade"),
        (false, true) => Some("te"),
        (false, false) => None,
    };
    if let Some(options) = options {
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static(options));
    }
    if let Some(protocol) = protocol {
        parts.headers.insert(header::UPGRADE, protocol);
    }
}

fn to_http1(parts: &mut Parts) {
    if !parts.headers.contains_key(header::HOST)
        && let Some(host) = authority(parts).and_then(|host| HeaderValue::from_bytes(host).ok())
    {
        parts.headers.insert(header::HOST, host);
    }
    if parts.uri.authority().is_some() || parts.uri.scheme().is_some() {
        let target = target(&parts.uri);
        parts.uri = Uri::from(target);
    }
}

fn to_http2(parts: &mut Parts, tls: bool) {
    let scheme = if tls { Scheme::HTTPS } else { Scheme::HTTP };
    let host = parts.headers.remove(header::HOST);
    let unchanged = match (&host, parts.uri.authority()) {
        (None, Some(_)) => true,
        (Some(host), Some(authority)) => host.as_bytes() == authority.as_str().as_bytes(),
        (_, None) => false,
    };
    if unchanged && parts.uri.scheme() == Some(&scheme) {
        return;
    }
    let authority = if unchanged {
        parts.uri.authority().cloned()
    } else {
        host.as_ref().and_then(|host| Authority::try_from(host.as_bytes()).ok())
    };
    // A checked request has a host; without one there is no URI to write, and the library refuses the request.
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = Some(target(&parts.uri));
    if authority.is_some() {
        uri.scheme = Some(scheme);
    }
    uri.authority = authority;
    if let Ok(uri) = Uri::from_parts(uri) {
        parts.uri = uri;
    }
}

fn target(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"))
}

/// RFC 9113 §8.2.3: the crumbs are one field again before anything but HTTP/2 sees them.
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    if crumbs.next().is_none() || crumbs.next().is_none() {
        return;
    }
    let mut joined = SmallVec::<[u8; 512]>::new();
    for crumb in headers.get_all(header::COOKIE) {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(header::COOKIE, joined);
    }
}

#[cfg(test)]
mod tests;
