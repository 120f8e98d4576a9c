//! gRPC as far as a proxy has to know it ("gRPC over HTTP/2", and gRPC-Web for the errors).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use lasthop_dataplane_api::FailureReason;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Which gRPC a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// gRPC itself: needs HTTP/2 to the end.
    Native,
    /// gRPC-Web, in bytes.
    Web,
    /// gRPC-Web, in base64.
    WebText,
}

impl Dialect {
    /// What the content type says: `application/grpc`, alone or with the name of a coding.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_TYPE)?.as_bytes();
        let rest = value.get(b"application/grpc".len()..)?;
        if !value.get(..b"application/grpc".len())?.eq_ignore_ascii_case(b"application/grpc") {
            return None;
        }
        let is = |name: &[u8]| {
            let end = rest.get(name.len());
            rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
                && matches!(end, None | Some(b'+' | b';' | b' '))
        };
        if is(b"-web-text") {
            Some(Self::WebText)
        } else if is(b"-web") {
            Some(Self::Web)
        } else if is(b"") {
            Some(Self::Native)
        } else {
            None
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Native => "application/grpc",
            Self::Web => "application/grpc-web",
            Self::WebText => "application/grpc-web-text",
        })
    }
}

/// How long the client waits for the end of the call: up to eight digits and a unit. What is written otherwise says
/// nothing.
pub(super) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(&GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

/// gRPC has its status in trailers; without a body, they stand in the header ("Trailers-Only").
pub(super) fn response(reason: &FailureReason, dialect: Dialect) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    if *reason == FailureReason::Misdirected {
        // A browser makes another connection for this status only.
        *response.status_mut() = StatusCode::MISDIRECTED_REQUEST;
    }
    *response.headers_mut() = trailers(reason);
    response.headers_mut().insert(header::CONTENT_TYPE, dialect.content_type());
    response
}

/// Whether a response's head says that nobody served the call: its status stands there only if there is nothing else.
pub(super) fn is_unavailable(headers: &HeaderMap) -> bool {
    Dialect::of(headers).is_some() && headers.get(&GRPC_STATUS).is_some_and(|status| status == "14")
}

/// The end of a response that is under way.
pub(super) fn trailers(reason: &FailureReason) -> HeaderMap {
    let (code, message) = status(reason);
    let mut trailers = HeaderMap::with_capacity(3);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static(code));
    trailers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
    trailers
}

/// What an HTTP status says to a gRPC client ("HTTP to gRPC status code mapping"), without a body.
pub(super) fn of_http(status: u16, dialect: Dialect) -> Response<Bytes> {
    let (code, message) = match status {
        400 => ("13", "internal"),
        401 => ("16", "unauthenticated"),
        403 => ("7", "permission denied"),
        404 => ("12", "unimplemented"),
        429 | 502 | 503 | 504 => ("14", "unavailable"),
        _ => ("2", "unknown"),
    };
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(GRPC_STATUS, HeaderValue::from_static(code));
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
    headers.insert(header::CONTENT_TYPE, dialect.content_type());
    response
}

fn status(reason: &FailureReason) -> (&'static str, &'static str) {
    use FailureReason as R;
    match reason {
        R::NoRoute => ("12", "unimplemented"),
        R::InvalidFilter | R::BadRequest | R::DownstreamTls(_) => ("13", "internal"),
        // Reasons of connections without HTTP.
        R::NotTls | R::ClientHelloTooLarge | R::ProxyProtocol | R::IdleTimeout => ("13", "internal"),
        R::RequestTimeout | R::BackendTimeout | R::ClientTimeout => ("4", "deadline exceeded"),
        R::HeadersTooLarge | R::BodyTooLarge => ("8", "resource exhausted"),
        R::ClientClosed => ("1", "cancelled"),
        R::AuthorizationDenied => ("7", "permission denied"),
        // The GRPCRoute API asks for it where a reference is invalid. Where no connection was made in time, the client's
        // own deadline has not passed. On another connection, a misdirected call may be served.
        R::InvalidBackend
        | R::Misdirected
        | R::PolicyRefused
        | R::NoBearerToken
        | R::NoEndpoint
        | R::NameNotResolved
        | R::ConnectFailed
        | R::ConnectTimeout
        | R::UpstreamTls(_)
        | R::UpstreamReset
        | R::TrustRevoked
        | R::UpstreamProtocol
        | R::Overloaded
        | R::TooManySessions => ("14", "unavailable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_says_which_it_is() {
        for (text, dialect) in [
            ("application/grpc", Some(Dialect::Native)),
            ("application/grpc+proto", Some(Dialect::Native)),
            ("Application/gRPC; charset=utf-8", Some(Dialect::Native)),
            ("application/grpc-web", Some(Dialect::Web)),
            ("application/grpc-web+json", Some(Dialect::Web)),
            ("application/grpc-web-text+proto", Some(Dialect::WebText)),
            ("application/grpcs", None),
            ("application/grpc-else", None),
            ("application/json", None),
            ("a", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            assert_eq!(Dialect::of(&headers), dialect, "{text}");
        }
        assert_eq!(Dialect::of(&HeaderMap::new()), None);
    }

    #[test]
    fn a_timeout_has_digits_and_a_unit() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("100m", Some(Duration::from_millis(100))),
            ("5u", Some(Duration::from_micros(5))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("0m", Some(Duration::ZERO)),
            ("123456789m", None),
            ("m", None),
            ("", None),
            ("1", None),
            ("-1S", None),
            ("+1S", None),
            ("1s", None),
            ("1.5S", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(GRPC_TIMEOUT, HeaderValue::from_static(text));
            assert_eq!(timeout(&headers), expected, "{text}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_TIMEOUT, HeaderValue::from_bytes("1\u{e9}".as_bytes()).unwrap());
        assert_eq!(timeout(&headers), None);
    }

    #[test]
    fn an_error_is_a_response_without_a_body() {
        let response = response(&FailureReason::NoEndpoint, Dialect::Web);
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/grpc-web");
        assert_eq!(response.headers()["grpc-status"], "14");
        assert!(response.body().is_empty());
    }
}
