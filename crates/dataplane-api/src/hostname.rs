//! Host names as listeners and routes write them.

use std::{cmp::Ordering, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An exact host name, or `*.suffix`, which covers one or more labels before the suffix.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This name, lower case.
    Exact(Arc<str>),
    /// Any name that ends in this suffix, which starts with a dot: `*.example.com` is `.example.com`.
    Wildcard(Arc<str>),
}

/// A text that is no host name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no host name: lower-case labels, the first may be '*'")]
pub struct HostPatternError(String);

impl HostPattern {
    /// Whether the host (lower case, without port or trailing dot) is covered.
    pub fn covers(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *host,
            Self::Wildcard(suffix) => host.len() > suffix.len() && host.ends_with(&**suffix),
        }
    }

    /// What both patterns cover, as the narrower of the two; `None` if no host is covered by both.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Exact(name), pattern) | (pattern, Self::Exact(name)) => {
                pattern.covers(name).then(|| Self::Exact(name.clone()))
            }
            (Self::Wildcard(a), Self::Wildcard(b)) => {
                let (longer, shorter) = if a.len() >= b.len() { (a, b) } else { (b, a) };
                longer.ends_with(&**shorter).then(|| Self::Wildcard(longer.clone()))
            }
        }
    }

    /// Orders by precedence: exact before wildcard, then more characters first.
    pub fn by_precedence(&self, other: &Self) -> Ordering {
        let rank = |pattern: &Self| match pattern {
            Self::Exact(name) => (1, name.len()),
            Self::Wildcard(suffix) => (0, suffix.len()),
        };
        rank(other).cmp(&rank(self))
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let (rest, wildcard) = text.strip_prefix("*.").map_or((text, false), |rest| (rest, true));
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if rest.len() > 253 || !rest.split('.').all(label_ok) {
            return Err(HostPatternError(text.to_owned()));
        }
        Ok(if wildcard { Self::Wildcard(text[1..].into()) } else { Self::Exact(text.into()) })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*{suffix}"),
        }
    }
}

impl fmt::Debug for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for HostPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The inverse of `Display`: what was a pattern once is not judged again.
impl<'de> Deserialize<'de> for HostPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.strip_prefix('*') {
            Some(suffix) if suffix.starts_with('.') => Self::Wildcard(suffix.into()),
            _ => Self::Exact(text.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_wildcard_covers_one_or_more_labels_but_not_its_parent() {
        let wildcard = pattern("*.example.com");
        assert!(wildcard.covers("a.example.com"));
        assert!(wildcard.covers("a.b.example.com"));
        assert!(!wildcard.covers("example.com"));
        assert!(!wildcard.covers("aexample.com"));
    }

    #[test]
    fn intersection_is_the_narrower_of_the_two() {
        let meet = |a: &str, b: &str| pattern(a).intersect(&pattern(b)).map(|p| p.to_string());
        assert_eq!(meet("*.example.com", "a.example.com").as_deref(), Some("a.example.com"));
        assert_eq!(meet("*.a.example.com", "*.example.com").as_deref(), Some("*.a.example.com"));
        assert_eq!(meet("*.com", "example.org"), None);
        assert_eq!(meet("*.example.com", "*.ample.com"), None);
        assert_eq!(meet("a.com", "b.com"), None);
    }
}
