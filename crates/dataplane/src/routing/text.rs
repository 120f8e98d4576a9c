//! Texts of conditions: whole-value regular expressions, and values that stand on several lines.

use regex::bytes::{Regex, RegexBuilder};
use smallvec::SmallVec;

/// The most memory, in bytes, that one compiled expression may take.
const REGEX_SIZE: usize = 1 << 20;

/// A regular expression that matches the whole value. Classes such as `\d` are ASCII, as header fields and paths are.
pub(super) fn whole(pattern: &str, problems: &mut Vec<String>) -> Option<Regex> {
    let build = |pattern: &str| {
        RegexBuilder::new(pattern).unicode(false).size_limit(REGEX_SIZE).dfa_size_limit(REGEX_SIZE).build()
    };
    // Alone first: `a)|(b` must not become valid by the parentheses around it.
    let whole = build(pattern).and_then(|_| build(&format!(r"\A(?:{pattern})\z")));
    whole
        .map_err(|error| {
            problems.push(format!("{pattern:?} is no regular expression: {error}; its match never holds"));
        })
        .ok()
}

/// Whether the lines, joined, are the expected value.
pub(super) fn equals_joined<'a>(
    expected: &[u8],
    lines: impl Iterator<Item = &'a [u8]>,
    separator: &[u8],
) -> bool {
    let mut rest = expected;
    for (at, line) in lines.enumerate() {
        if at > 0 {
            let Some(after) = rest.strip_prefix(separator) else { return false };
            rest = after;
        }
        let Some(after) = rest.strip_prefix(line) else { return false };
        rest = after;
    }
    rest.is_empty()
}

/// The lines joined; on the stack when short.
pub(super) fn join<'a>(lines: impl Iterator<Item = &'a [u8]>, separator: &[u8]) -> SmallVec<[u8; 256]> {
    let mut joined = SmallVec::new();
    for (at, line) in lines.enumerate() {
        if at > 0 {
            joined.extend_from_slice(separator);
        }
        joined.extend_from_slice(line);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_match_the_whole_value() {
        let is_match = |pattern: &str, value: &str| {
            whole(pattern, &mut Vec::new()).is_some_and(|regex| regex.is_match(value.as_bytes()))
        };
        assert!(is_match("/v[0-9]+", "/v12"));
        assert!(!is_match("/v[0-9]+", "/v12/x"));
        assert!(!is_match("/v[0-9]+", "x/v12"));
        assert!(is_match("a|ab", "ab"));
        assert!(!is_match("a|b", "ax") && !is_match("a|b", "xb"));
        assert!(!is_match("a", "a\n"));
        assert!(is_match(r"\d\w\s", "1a "));
        assert!(is_match("(?i)abc", "aBC"));
        assert!(is_match(".*", "ü"));
    }

    #[test]
    fn what_is_no_expression_is_said() {
        for pattern in ["(", "a)|(b", "[", r"\p{Greek}", "(a{1000}){1000}"] {
            let mut problems = Vec::new();
            assert!(whole(pattern, &mut problems).is_none(), "{pattern}");
            assert_eq!(problems.len(), 1, "{pattern}");
        }
    }

    #[test]
    fn lines_compare_as_if_joined() {
        let lines = || [b"a".as_slice(), b"b", b""].into_iter();
        assert_eq!(join(lines(), b", ").as_slice(), b"a, b, ");
        assert!(equals_joined(b"a, b, ", lines(), b", "));
        for other in ["a, b", "a,b,", "a", "", "a, b, c", "a, b, , "] {
            assert!(!equals_joined(other.as_bytes(), lines(), b", "), "{other}");
        }
    }
}
