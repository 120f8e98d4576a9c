//! Which requests are refused.

use http::{HeaderMap, Method, Version, header, request::Parts};
use lasthop_dataplane_api::FailureReason;

use super::{
    aliases::{self, Alias},
    connection_fields as connection,
    host::{self, HostName},
    limits::HeaderLimits,
    path,
};

/// Where a request wants to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestTarget {
    /// The host, for listeners and routes.
    pub(crate) host: HostName,
    /// The port that stands beside the host.
    pub(crate) port: Option<u16>,
    /// Whether the request asks for an upgrade that may go on to the backend; `Upgrade` says to what.
    pub(crate) upgrade: bool,
}

/// What is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The answer it gets.
    pub(crate) reason: FailureReason,
    /// For logs.
    pub(crate) detail: &'static str,
}

impl Violation {
    pub(super) fn bad(detail: &'static str) -> Self {
        Self { reason: FailureReason::BadRequest, detail }
    }
}

/// Checks a request, gives its path the one form that is matched and forwarded, and takes away what belongs to the
/// client's connection (`Upgrade` stays if it may go on).
///
/// Call it before anything else looks at the request.
pub(crate) fn check_request(parts: &mut Parts, limits: HeaderLimits) -> Result<RequestTarget, Violation> {
    let target_bytes = parts.uri.path_and_query().map_or(0, |target| target.as_str().len())
        + parts.uri.authority().map_or(0, |authority| authority.as_str().len());
    if !limits.hold(&parts.headers, parts.method.as_str().len() + target_bytes) {
        return Err(Violation {
            reason: FailureReason::HeadersTooLarge,
            detail: "the header has too many fields or bytes",
        });
    }
    if parts.method == Method::CONNECT {
        return Err(Violation::bad("CONNECT is for forward proxies"));
    }
    let upgrade = match parts.version {
        Version::HTTP_2 => {
            check_http2_fields(&parts.headers).map_err(Violation::bad)?;
            false
        }
        Version::HTTP_11 => asks_for_upgrade(&parts.headers),
        Version::HTTP_10 => false,
        _ => return Err(Violation::bad("the protocol's version is not spoken here")),
    };
    check_framing(&parts.headers, parts.version).map_err(Violation::bad)?;
    let aliases = check_aliases(&parts.headers).map_err(Violation::bad)?;
    let (host, port) = check_host(parts).map_err(Violation::bad)?;
    if parts.uri.path() == "*" && parts.method != Method::OPTIONS {
        return Err(Violation::bad("'*' is a target for OPTIONS only"));
    }
    path::normalise(&mut parts.uri).map_err(Violation::bad)?;

    if aliases {
        aliases::remove_forwarding(&mut parts.headers);
    }
    let protocol = upgrade.then(|| parts.headers.remove(header::UPGRADE)).flatten();
    connection::remove(&mut parts.headers);
    connection::reduce_te(&mut parts.headers);
    if let Some(protocol) = protocol {
        parts.headers.insert(header::UPGRADE, protocol);
    }
    Ok(RequestTarget { host, port, upgrade })
}

/// RFC 9113 §8.2: what HTTP/2 fields must not be. The library refuses most of it before.
fn check_http2_fields(headers: &HeaderMap) -> Result<(), &'static str> {
    if connection::FORBIDDEN_IN_HTTP2.iter().any(|name| headers.contains_key(name)) {
        return Err("HTTP/2 has no fields of the connection");
    }
    if headers.get_all(header::TE).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"trailers")) {
        return Err("in HTTP/2, TE can only be 'trailers'");
    }
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if headers.values().any(|value| is_blank(value.as_bytes().first()) || is_blank(value.as_bytes().last())) {
        return Err("in HTTP/2, a value neither starts nor ends with white space");
    }
    Ok(())
}

/// RFC 9112 §6: one length, or chunks, never both. Other codings than `chunked` cannot go on to the next hop.
fn check_framing(headers: &HeaderMap, version: Version) -> Result<(), &'static str> {
    let one = |name| {
        let mut values = headers.get_all(name).iter();
        (values.next(), values.next())
    };
    let length = match one(header::CONTENT_LENGTH) {
        (None, _) => false,
        (Some(length), None) => {
            let digits = length.as_bytes();
            if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
                return Err("Content-Length is no length");
            }
            true
        }
        _ => return Err("Content-Length is given twice"),
    };
    match one(header::TRANSFER_ENCODING) {
        (None, _) => Ok(()),
        (Some(_), _) if length => Err("Content-Length and Transfer-Encoding contradict each other"),
        (Some(_), _) if version == Version::HTTP_10 => Err("HTTP/1.0 has no Transfer-Encoding"),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err("Transfer-Encoding is something else than 'chunked'"),
    }
}

/// Whether an upgrade is asked for that may be passed on. `h2c` may not: the backend would speak HTTP/2 past us.
fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::UPGRADE).iter();
    let (Some(protocols), None) = (values.next(), values.next()) else { return false };
    let mut protocols = connection::tokens(protocols).peekable();
    protocols.peek().is_some()
        && protocols.all(|protocol| !protocol.eq_ignore_ascii_case("h2c"))
        && connection::has_option(headers, "upgrade")
}

/// Whether there are aliases to take away.
fn check_aliases(headers: &HeaderMap) -> Result<bool, &'static str> {
    let mut found = false;
    for name in headers.keys() {
        match aliases::classify(name.as_str()) {
            Alias::None => {}
            Alias::Framing => {
                return Err("a field's name is another spelling of one that frames the message");
            }
            Alias::Forwarding => found = true,
        }
    }
    Ok(found)
}

/// RFC 9112 §3.2, RFC 9113 §8.3.1: one host, said once, or twice the same.
fn check_host(parts: &Parts) -> Result<(HostName, Option<u16>), &'static str> {
    let mut values = parts.headers.get_all(header::HOST).iter();
    let field = match (values.next(), values.next()) {
        (Some(_), Some(_)) => return Err("Host is given twice"),
        (field, _) => field.map(|field| host::parse(field.as_bytes())).transpose()?,
    };
    let default = match parts.uri.scheme_str() {
        None if parts.uri.authority().is_some() => return Err("the target is neither a path nor a URI"),
        None => None,
        Some("http") => Some(80),
        Some("https") => Some(443),
        Some(_) => return Err("the target's scheme is neither http nor https"),
    };
    let target =
        parts.uri.authority().map(|authority| host::parse(authority.as_str().as_bytes())).transpose()?;
    match (field, target) {
        (None, None) => Err("Host is missing"),
        (None, Some(_)) if parts.version == Version::HTTP_11 => Err("Host is missing"),
        (Some(field), Some(target)) => {
            if field.0 != target.0 || field.1.or(default) != target.1.or(default) {
                return Err("Host and the target's authority are not the same");
            }
            Ok(field)
        }
        (Some(one), None) | (None, Some(one)) => Ok(one),
    }
}

#[cfg(test)]
mod tests;
