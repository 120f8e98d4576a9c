//! Wall-clock time as logs show it (RFC 3339, UTC, milliseconds), formatted once a second.

use std::time::{SystemTime, UNIX_EPOCH};

use k8s_openapi::jiff::Timestamp;

const LENGTH: usize = "2026-01-01T00:00:00.000Z".len();

/// The last second's text.
pub(super) struct Clock {
    second: u64,
    text: [u8; LENGTH],
}

impl Clock {
    pub(super) fn new() -> Self {
        let mut clock = Self { second: 0, text: *b"1970-01-01T00:00:00.000Z" };
        clock.set_second(0);
        clock
    }

    /// The text of this time.
    pub(super) fn at(&mut self, time: SystemTime) -> &str {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        if since.as_secs() != self.second {
            self.set_second(since.as_secs());
        }
        let mut rest = since.subsec_millis();
        for digit in self.text[20..23].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    fn set_second(&mut self, second: u64) {
        self.second = second;
        let time = i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok());
        let text = time.unwrap_or_default().to_string();
        // A year beyond 9999 has another length; the last good text stays then.
        if let Some(head) = text.as_bytes().get(..19) {
            self.text[..19].copy_from_slice(head);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_text_is_rfc_3339_with_milliseconds() {
        let mut clock = Clock::new();
        let at = |seconds, millis| UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis);
        assert_eq!(clock.at(at(0, 0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(clock.at(at(1_709_208_000, 7)), "2024-02-29T12:00:00.007Z");
        assert_eq!(clock.at(at(1_709_208_000, 999)), "2024-02-29T12:00:00.999Z");
        assert_eq!(clock.at(at(1_709_208_001, 0)), "2024-02-29T12:00:01.000Z");
    }
}
