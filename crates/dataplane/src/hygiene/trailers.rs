//! Trailers: only what may stand there (RFC 9110 §6.5.1).

use http::{HeaderMap, HeaderName, header};

use super::{
    aliases::{self, Alias},
    connection_fields as connection,
    limits::HeaderLimits,
};

/// Fields that frame, route, authenticate or say how to read the content: in trailers they come too late to be
/// honest.
static NOT_IN_TRAILERS: [HeaderName; 19] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::EXPECT,
    header::FORWARDED,
    header::HOST,
    header::MAX_FORWARDS,
    header::PRAGMA,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::RANGE,
    header::SET_COOKIE,
    header::TE,
    header::TRAILER,
    header::WWW_AUTHENTICATE,
];

/// Without it a gRPC client does not know how its call ended.
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Takes away what must not stand in trailers. Trailers over the limits of a header are dropped, but for the status of a
/// gRPC call.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap, limits: HeaderLimits) {
    if !limits.hold(trailers, 0) {
        let status = trailers.remove(&GRPC_STATUS).filter(|status| status.len() <= 3);
        trailers.clear();
        trailers.extend(status.map(|status| (GRPC_STATUS, status)));
        return;
    }
    connection::remove(trailers);
    for name in &NOT_IN_TRAILERS {
        trailers.remove(name);
    }
    let others: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| {
            name.as_str().starts_with("x-forwarded-") || aliases::classify(name.as_str()) != Alias::None
        })
        .cloned()
        .collect();
    for name in others {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_trailers_pass() {
        let mut trailers = HeaderMap::new();
        for name in [
            "grpc-status",
            "grpc-message",
            "etag",
            "server-timing",
            "x-checksum",
            "content-length",
            "host",
            "transfer-encoding",
            "authorization",
            "content-type",
            "connection",
            "x-forwarded-for",
            "cookie",
            "content_length",
            "x_forwarded_for",
            "set-cookie",
            "te",
            "trailer",
            "upgrade",
            "keep-alive",
        ] {
            trailers.insert(HeaderName::from_static(name), http::HeaderValue::from_static("1"));
        }
        clean_trailers(&mut trailers, HeaderLimits::default());
        let mut left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["etag", "grpc-message", "grpc-status", "server-timing", "x-checksum"]);
    }

    #[test]
    fn too_many_trailers_are_dropped() {
        let mut trailers = HeaderMap::new();
        for _ in 0..101 {
            trailers.append("x", http::HeaderValue::from_static("1"));
        }
        let mut kept = trailers.clone();
        let mut of_grpc = trailers.clone();
        of_grpc.insert(GRPC_STATUS, http::HeaderValue::from_static("5"));
        clean_trailers(&mut of_grpc, HeaderLimits::default());
        assert_eq!(of_grpc.len(), 1);
        assert_eq!(of_grpc[GRPC_STATUS], "5");
        clean_trailers(&mut trailers, HeaderLimits::default());
        assert!(trailers.is_empty());
        clean_trailers(&mut kept, HeaderLimits { fields: 101, bytes: 1024 });
        assert_eq!(kept.len(), 101);
    }
}
