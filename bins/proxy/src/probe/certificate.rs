//! Certificates and times as people read them.

use jiff::Timestamp;
use lasthop_tls_verify::CertificateSummary;
use pki_types::{CertificateDer, UnixTime};

/// What a certificate says that never expires (RFC 5280 §4.1.2.5); jiff's times end a day before.
const LAST: &str = "9999-12-31T23:59:59Z";
const DAY: u64 = 24 * 60 * 60;

/// The summaries of a chain, leaf first; `None` in the place of a certificate that cannot be read.
pub(super) fn summaries(chain: &[CertificateDer<'_>]) -> Vec<Option<CertificateSummary>> {
    chain.iter().map(CertificateSummary::of).collect()
}

/// A time in UTC, to the second.
pub(super) fn time(time: UnixTime) -> String {
    let known = i64::try_from(time.as_secs()).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    known.map_or_else(|| LAST.to_owned(), |time| time.to_string())
}

/// The day of a time in UTC.
pub(super) fn day(when: UnixTime) -> String {
    let mut text = time(when);
    text.truncate("2026-01-01".len());
    text
}

/// Whole days until then; negative if it is over.
pub(super) fn days_left(not_after: UnixTime, now: UnixTime) -> i64 {
    let (end, now) = (not_after.as_secs(), now.as_secs());
    let days = |seconds: u64| i64::try_from(seconds / DAY).unwrap_or(i64::MAX);
    if end >= now { days(end - now) } else { -1 - days(now - end - 1) }
}

/// The same in words.
pub(super) fn left(not_after: UnixTime, now: UnixTime) -> String {
    match days_left(not_after, now) {
        ..=-1 => format!("expired {}", day(not_after)),
        1 => "1 day left".to_owned(),
        days => format!("{days} days left"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn days_are_whole_and_over_is_negative() {
        let now = at(1_000_000_000);
        assert_eq!(days_left(at(1_000_000_000 + DAY - 1), now), 0);
        assert_eq!(days_left(at(1_000_000_000 + DAY), now), 1);
        assert_eq!(days_left(at(1_000_000_000 - 1), now), -1);
        assert_eq!(days_left(at(1_000_000_000 - DAY - 1), now), -2);
        assert_eq!(left(at(1_000_000_000 - 1), now), "expired 2001-09-09");
        assert_eq!(left(at(1_000_000_000 + 3 * DAY), now), "3 days left");
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(time(at(1_927_843_200)), "2031-02-03T00:00:00Z");
        assert_eq!(day(at(253_402_300_799)), "9999-12-31");
    }
}
