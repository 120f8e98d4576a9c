//! Our own responses. They tell the client what happened to its request, never why.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use lasthop_dataplane_api::FailureReason;

use super::grpc::{self, Dialect};

/// The response for a failure.
pub(super) fn response(reason: &FailureReason, grpc: Option<Dialect>, http2: bool) -> Response<Bytes> {
    if let Some(dialect) = grpc {
        return grpc::response(reason, dialect);
    }
    let status = StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    let text = match status.as_u16() {
        400 => "bad request\n",
        404 => "not found\n",
        408 => "request timeout\n",
        413 => "content too large\n",
        421 => "misdirected request\n",
        431 => "request header fields too large\n",
        500 => "internal server error\n",
        503 => "service unavailable\n",
        504 => "gateway timeout\n",
        _ => "bad gateway\n",
    };
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    // Where the message itself is in doubt, so is where the next one would begin.
    if !http2 && matches!(status.as_u16(), 400 | 408 | 413 | 431) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use lasthop_tls_verify::TlsError;

    use super::*;

    #[test]
    fn a_response_never_says_why() {
        let reason = FailureReason::UpstreamTls(TlsError::Expired);
        let response = super::response(&reason, None, false);
        assert_eq!(response.status(), 502);
        assert_eq!(response.body(), "bad gateway\n");
        assert!(!format!("{response:?}").contains("xpired"));
    }

    #[test]
    fn a_doubtful_connection_is_closed() {
        let close =
            |reason, http2| super::response(&reason, None, http2).headers().contains_key("connection");
        assert!(close(FailureReason::BadRequest, false));
        assert!(!close(FailureReason::BadRequest, true));
        assert!(!close(FailureReason::NoEndpoint, false));
    }
}
