//! Trailers: only what may stand there (RFC 9110 §6.5.1).

use http::{HeaderMap, HeaderName, header};

use super::{
    aliases::{self, Alias},
    connection_fields as connection, limits,
};

/// Fields that frame, route, authenticate or say how to read the content: in trailers they come too late to be
/// honest.
const NOT_IN_TRAILERS: [HeaderName; 19] = [
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

/// Takes away what must not stand in trailers. Trailers over the limits of a header are dropped whole.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    if !limits::within(trailers, 0) {
        trailers.clear();
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
