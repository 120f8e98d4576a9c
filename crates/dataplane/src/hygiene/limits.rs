//! How much header a message may have.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::Limits;

/// The most header a message may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeaderLimits {
    /// Header fields. Every line counts, so also every crumb of an HTTP/2 cookie.
    pub(crate) fields: usize,
    /// Bytes: names, values and their separators, and a request's method and target.
    pub(crate) bytes: usize,
}

#[cfg(test)]
impl Default for HeaderLimits {
    fn default() -> Self {
        Self::from(&Limits::default())
    }
}

impl From<&Limits> for HeaderLimits {
    fn from(limits: &Limits) -> Self {
        Self { fields: limits.header_fields, bytes: limits.header_bytes }
    }
}

impl HeaderLimits {
    /// Whether the fields, and `more` bytes besides them, are within the limits.
    pub(super) fn hold(&self, headers: &HeaderMap, more: usize) -> bool {
        // `: ` and the line's end, as HTTP/1.1 would spend.
        let bytes = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
        headers.len() <= self.fields && headers.iter().map(bytes).sum::<usize>() + more <= self.bytes
    }
}
