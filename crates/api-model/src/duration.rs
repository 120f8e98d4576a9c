//! Durations as the Gateway API writes them (GEP-2257).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration such as `500ms`, `1m30s` or `0s`, kept as the user wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApiDuration(pub String);

impl ApiDuration {
    /// The length of time, or `None` when the text is not a GEP-2257 duration: one to four groups of one to five
    /// digits and a unit (`h`, `m`, `s`, `ms`).
    pub fn to_duration(&self) -> Option<Duration> {
        let mut rest = self.0.as_str();
        let mut total = Duration::ZERO;
        let mut groups = 0;
        while !rest.is_empty() {
            groups += 1;
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if groups > 4 || !(1..=5).contains(&digits) {
                return None;
            }
            let count: u64 = rest[..digits].parse().ok()?;
            let unit = &rest[digits..];
            let (length, used) = if unit.starts_with("ms") {
                (Duration::from_millis(count), 2)
            } else if unit.starts_with('h') {
                (Duration::from_secs(count * 3600), 1)
            } else if unit.starts_with('m') {
                (Duration::from_secs(count * 60), 1)
            } else if unit.starts_with('s') {
                (Duration::from_secs(count), 1)
            } else {
                return None;
            };
            total += length;
            rest = &unit[used..];
        }
        (groups > 0).then_some(total)
    }
}

impl fmt::Display for ApiDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for ApiDuration {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_gep_2257_allows() {
        let millis = |text: &str| ApiDuration::from(text).to_duration().map(|d| d.as_millis());
        assert_eq!(millis("0s"), Some(0));
        assert_eq!(millis("10s"), Some(10_000));
        assert_eq!(millis("500ms"), Some(500));
        assert_eq!(millis("1h30m10s5ms"), Some(5_410_005));
        assert_eq!(millis("2h2h"), Some(14_400_000), "a unit may come twice");
        for refused in ["", "1", "s", "1.5s", "-1s", "100000s", "1h1h1h1h1h", "1d", "1s ", " 1s", "1us"] {
            assert_eq!(millis(refused), None, "{refused:?}");
        }
    }
}
