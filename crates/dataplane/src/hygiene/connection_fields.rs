//! Fields that belong to one connection and end there (RFC 9110 §7.6.1).

use http::{HeaderMap, HeaderName, HeaderValue, header};
use smallvec::SmallVec;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Fields that HTTP/2 must not have (RFC 9113 §8.2.2).
pub(super) static FORBIDDEN_IN_HTTP2: [HeaderName; 5] =
    [header::CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE];

/// Fields that end here whether or not `Connection` names them. `TE` is treated apart.
static HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HTTP2_SETTINGS,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Whether the field ends at this hop, so that setting it in a filter has no effect.
pub(crate) fn ends_here(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name) || *name == header::TE
}

/// Whether `Connection` has this option.
pub(super) fn has_option(headers: &HeaderMap, option: &str) -> bool {
    options(headers).any(|token| token.eq_ignore_ascii_case(option))
}

/// The options of `Connection`; values that are no text count as none.
pub(super) fn options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(header::CONNECTION).iter().flat_map(tokens)
}

/// The elements of a comma-separated list, without empty ones.
pub(super) fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|token| !token.is_empty())
}

/// Takes away every field of the connection, also those that `Connection` names.
pub(super) fn remove(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let lines: SmallVec<[HeaderValue; 2]> = headers.get_all(header::CONNECTION).iter().cloned().collect();
        for option in lines.iter().flat_map(tokens) {
            // Taking these away would break the message; they are for all recipients (RFC 9110 §7.6.1).
            if !["host", "content-length", "te"].into_iter().any(|name| name.eq_ignore_ascii_case(option)) {
                headers.remove(option);
            }
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Reduces `TE` to `trailers`, the one coding that goes on to the next hop.
pub(super) fn reduce_te(headers: &mut HeaderMap) {
    if !headers.contains_key(header::TE) {
        return;
    }
    let trailers = headers
        .get_all(header::TE)
        .iter()
        .flat_map(tokens)
        .any(|token| token.eq_ignore_ascii_case("trailers"));
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    } else {
        headers.remove(header::TE);
    }
}
