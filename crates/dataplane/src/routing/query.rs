//! Query parameters, read in place.

use percent_encoding::percent_decode;
use smallvec::SmallVec;

/// The value, still encoded, of the first parameter of this name. A parameter without `=` has the value "".
pub(super) fn first<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').filter(|pair| !pair.is_empty()).find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        equals(key, name).then_some(value)
    })
}

/// Whether the encoded text decodes to the expected one.
pub(super) fn equals(encoded: &str, expected: &str) -> bool {
    if is_plain(encoded) { encoded == expected } else { bytes(encoded).eq(expected.bytes()) }
}

/// The decoded bytes; on the stack when short.
pub(super) fn decoded(encoded: &str) -> SmallVec<[u8; 256]> {
    if is_plain(encoded) { SmallVec::from_slice(encoded.as_bytes()) } else { bytes(encoded).collect() }
}

fn is_plain(encoded: &str) -> bool {
    memchr::memchr2(b'%', b'+', encoded.as_bytes()).is_none()
}

/// Decodes as HTML forms are encoded. An escape that is none stays as it is.
fn bytes(encoded: &str) -> impl Iterator<Item = u8> {
    // A literal '+' is a space, an escaped one is itself: the pieces between the '+' are decoded one by one.
    encoded.split('+').enumerate().flat_map(|(at, piece)| {
        let space = (at > 0).then_some(b' ');
        space.into_iter().chain(percent_decode(piece.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_of_a_name_counts() {
        assert_eq!(first("a=1&b=2&a=3", "a"), Some("1"));
        assert_eq!(first("a=1&b=2", "b"), Some("2"));
        assert_eq!(first("a=1", "A"), None);
        assert_eq!(first("a", "a"), Some(""));
        assert_eq!(first("&&a=&", "a"), Some(""));
        assert_eq!(first("", ""), None);
        assert_eq!(first("a=b=c", "a"), Some("b=c"));
        assert_eq!(first("%61=1", "a"), Some("1"));
    }

    #[test]
    fn values_are_compared_decoded() {
        for (encoded, expected) in [
            ("plain", "plain"),
            ("a+b", "a b"),
            ("a%20b", "a b"),
            ("a%2Bb", "a+b"),
            ("%C3%BC", "ü"),
            ("100%", "100%"),
            ("+", " "),
            ("%zz", "%zz"),
        ] {
            assert!(equals(encoded, expected), "{encoded}");
            assert_eq!(decoded(encoded).as_slice(), expected.as_bytes(), "{encoded}");
        }
        assert!(!equals("a+b", "a+b"));
        assert!(!equals("a%20", "a"));
    }
}
