//! One form for each path, so that routing and the backend cannot read it differently.
//!
//! - Escapes of characters that need none (`%61`, `%7E`) are decoded (RFC 3986 §6.2.2.2); others stay as they are.
//! - Segments `.` and `..`, escaped or with parameters (`..;a`), are refused: every user agent resolves them itself.
//! - Refused too: backslashes, escapes that are none, `%00`, `%0A`, `%0D`, and characters outside ASCII.
//! - `%2F` stays, and is no separator for routing. Empty segments (`//`) and the case of escapes stay.

use std::borrow::Cow;

use http::{
    Uri,
    uri::{PathAndQuery, Scheme},
};

/// Checks the path, and rewrites the URI if the path has a simpler form.
pub(super) fn normalise(uri: &mut Uri) -> Result<(), &'static str> {
    let path = uri.path();
    if path == "*" {
        return Ok(());
    }
    let plain = memchr::memchr3(b'%', b'\\', b'.', path.as_bytes()).is_none();
    if plain && path.is_ascii() {
        return match uri.path_and_query() {
            // `http://host?query` has no path; the next hop needs one.
            Some(target) if !target.as_str().starts_with('/') => rebuild(uri, "/".to_owned()),
            _ => Ok(()),
        };
    }
    match normal(path)? {
        Cow::Owned(path) => rebuild(uri, path),
        Cow::Borrowed(_) => Ok(()),
    }
}

/// The one form of a path. Paths of policies are compared in this form, too.
pub(crate) fn normal(path: &str) -> Result<Cow<'_, str>, &'static str> {
    let path = decode(path)?.map_or(Cow::Borrowed(path), Cow::Owned);
    if path.split('/').any(is_dot_segment) {
        return Err("the path has a segment '.' or '..'");
    }
    Ok(path)
}

/// Checks the characters and decodes what needs no escape; `None` if the path stays as it is.
fn decode(path: &str) -> Result<Option<String>, &'static str> {
    let mut decoded: Option<String> = None;
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let at = path.len() - rest.len();
        rest = after;
        match byte {
            b'\\' => return Err("the path has a backslash"),
            b'%' => {
                let [high, low, after @ ..] = rest else { return Err("the path has an incomplete escape") };
                let value = hex(*high)
                    .zip(hex(*low))
                    .map(|(high, low)| high << 4 | low)
                    .ok_or("the path has an escape that is none")?;
                rest = after;
                match value {
                    0 | b'\n' | b'\r' => return Err("the path has an escaped NUL, CR or LF"),
                    b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                        decoded.get_or_insert_with(|| path[..at].to_owned()).push(char::from(value));
                    }
                    _ => {
                        if let Some(decoded) = &mut decoded {
                            decoded.push_str(&path[at..at + 3]);
                        }
                    }
                }
            }
            byte if !byte.is_ascii() => return Err("the path has a character outside ASCII"),
            byte => {
                if let Some(decoded) = &mut decoded {
                    decoded.push(char::from(byte));
                }
            }
        }
    }
    Ok(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Some servers cut `;parameters` off before they resolve dots.
fn is_dot_segment(segment: &str) -> bool {
    let name = segment.split_once(';').map_or(segment, |(name, _)| name);
    name == "." || name == ".."
}

/// The URI with another path and the same query.
fn rebuild(uri: &mut Uri, path: String) -> Result<(), &'static str> {
    *uri = with_path(uri, path).ok_or("the path cannot be written")?;
    Ok(())
}

/// The URI with another path and the same query. `None` if that is no URI.
pub(crate) fn with_path(uri: &Uri, mut path: String) -> Option<Uri> {
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let target = PathAndQuery::from_maybe_shared(bytes::Bytes::from(path)).ok()?;
    with_target(uri, target)
}

/// The URI with another path and query.
fn with_target(uri: &Uri, target: PathAndQuery) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target);
    // An authority needs a scheme; HTTP/2 without `:scheme` does not get here.
    if parts.authority.is_some() && parts.scheme.is_none() {
        parts.scheme = Some(Scheme::HTTP);
    }
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normalised(target: &str) -> Result<String, &'static str> {
        let mut uri: Uri = target.parse().map_err(|_| "no URI")?;
        normalise(&mut uri)?;
        // As it stands: the URI's own text would put a missing slash in.
        let origin = uri.authority().map_or(String::new(), |authority| format!("http://{authority}"));
        Ok(origin + uri.path_and_query().map_or("", |target| target.as_str()))
    }

    #[test]
    fn paths_get_one_form() {
        for (target, expected) in [
            ("/", "/"),
            ("/a/b?c=%61", "/a/b?c=%61"),
            ("/%61dmin", "/admin"),
            ("/%41%2d%2E%5F%7e", "/A-._~"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a%2fb/%63", "/a%2fb/c"),
            ("/a%5Cb", "/a%5Cb"),
            ("/a%20b%C3%BC", "/a%20b%C3%BC"),
            ("/a//b", "/a//b"),
            ("/.a/b./...", "/.a/b./..."),
            ("/a.b;c=.", "/a.b;c=."),
            ("/a?/../%zz\\", "/a?/../%zz\\"),
            ("/%2525", "/%2525"),
            ("http://h", "http://h/"),
            ("http://h?q", "http://h/?q"),
            ("http://h/%61?q", "http://h/a?q"),
            ("*", "*"),
        ] {
            assert_eq!(normalised(target).as_deref(), Ok(expected), "{target}");
        }
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        for target in [
            "/.",
            "/..",
            "/./",
            "/a/..",
            "/a/../b",
            "/a/./b",
            "/%2e",
            "/%2E%2e/",
            "/.%2e/a",
            "/a/%2e%2E",
            "/..;/a",
            "/..;x=1",
            "/%2e%2e;/",
            "/.;/",
            "/a\\b",
            "/%",
            "/%4",
            "/%zz",
            "/%g0",
            "/%00",
            "/a%00.html",
            "/%0d%0aX",
            "/%0A",
            "/%0d",
            "/ü",
            "/a%2g",
            "/..?a",
            "http://h/..",
        ] {
            assert!(normalised(target).is_err(), "{target}");
        }
    }

    proptest! {
        /// Normalising twice changes nothing more, and no dot segment survives any amount of escaping.
        #[test]
        fn normal_paths_stay(path in "(/|/(\\.|%2[eEfF]|%6[0-9a-f]|;|%|a|%25){0,6}){1,6}(\\?[a-z%.]{0,5})?") {
            if let Ok(once) = normalised(&path) {
                let twice = normalised(&once);
                prop_assert_eq!(twice.as_deref(), Ok(once.as_str()));
                let (before, _) = once.split_once('?').unwrap_or((&once, ""));
                let decoded = percent_encoding::percent_decode_str(before).decode_utf8_lossy().into_owned();
                // Decoded once more than we do, only an escaped separator can have made a dot segment.
                if !before.to_ascii_lowercase().contains("%2f") {
                    prop_assert!(!decoded.split('/').any(is_dot_segment), "{} {}", path, once);
                }
            }
        }
    }
}
