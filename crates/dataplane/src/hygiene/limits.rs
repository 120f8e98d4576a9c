//! How much header a message may have.

use http::HeaderMap;

/// The most header fields of a message. Every line counts, so also every crumb of an HTTP/2 cookie.
pub(crate) const MAX_FIELDS: usize = 100;

/// The most bytes of a header: names, values and their separators, and a request's method and target.
pub(crate) const MAX_HEADER_BYTES: usize = 32 * 1024;

/// Whether the fields, and `more` bytes besides them, are within the limits.
pub(super) fn within(headers: &HeaderMap, more: usize) -> bool {
    // `: ` and the line's end, as HTTP/1.1 would spend.
    let bytes =
        |(name, value): (&http::HeaderName, &http::HeaderValue)| name.as_str().len() + value.len() + 4;
    headers.len() <= MAX_FIELDS && headers.iter().map(bytes).sum::<usize>() + more <= MAX_HEADER_BYTES
}
