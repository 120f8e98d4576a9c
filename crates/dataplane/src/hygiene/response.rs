//! Responses: which are refused, and the form of the client's connection.

use http::{HeaderMap, StatusCode, Version, header, response::Parts};
use lasthop_dataplane_api::FailureReason;

use super::{connection_fields as connection, limits::HeaderLimits, request::Violation};

/// Checks a backend's response.
///
/// `upgrade_asked` is whether the request was sent with an upgrade. Only a 101 to such a request opens a tunnel;
/// any other 1xx does not get here.
pub(crate) fn check_response(
    parts: &Parts,
    upgrade_asked: bool,
    limits: HeaderLimits,
) -> Result<(), Violation> {
    let violation = |detail| Violation { reason: FailureReason::UpstreamProtocol, detail };
    if !limits.hold(&parts.headers, 0) {
        return Err(violation("the response's header has too many fields or bytes"));
    }
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        if !upgrade_asked || parts.version != Version::HTTP_11 {
            return Err(violation("101 without an upgrade that was asked for"));
        }
        if !parts.headers.contains_key(header::UPGRADE) {
            return Err(violation("101 without Upgrade"));
        }
    } else if parts.status.is_informational() {
        return Err(violation("an informational response in place of the final one"));
    }
    let mut lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(first) = lengths.next() {
        if first.is_empty() || !first.as_bytes().iter().all(u8::is_ascii_digit) {
            return Err(violation("the response's Content-Length is no length"));
        }
        if lengths.next().is_some() {
            return Err(violation("the response has Content-Length twice"));
        }
        if parts.headers.contains_key(header::TRANSFER_ENCODING) {
            return Err(violation("the response has Content-Length and Transfer-Encoding"));
        }
    }
    let mut codings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
        if !chunked {
            return Err(violation("the response's Transfer-Encoding is something else than 'chunked'"));
        }
        if parts.version == Version::HTTP_2 {
            return Err(violation("HTTP/2 has no Transfer-Encoding"));
        }
    }
    Ok(())
}

/// Puts a checked response into the form of the client's connection.
pub(crate) fn to_downstream(parts: &mut Parts, http2: bool) {
    let tunnel = parts.status == StatusCode::SWITCHING_PROTOCOLS && !http2;
    let protocol = if tunnel { parts.headers.remove(header::UPGRADE) } else { None };
    remove_connection_fields(&mut parts.headers);
    parts.version = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
    if let Some(protocol) = protocol {
        parts.headers.insert(header::CONNECTION, http::HeaderValue::from_static("upgrade"));
        parts.headers.insert(header::UPGRADE, protocol);
    }
}

fn remove_connection_fields(headers: &mut HeaderMap) {
    connection::remove(headers);
    headers.remove(header::TE);
}

#[cfg(test)]
mod tests;
