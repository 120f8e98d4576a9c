//! The host of a request.

use std::{fmt, ops::Deref};

use http::{header, request::Parts};
use smallvec::SmallVec;

/// A host: a name or an address, lower case, without port or trailing dot. IPv6 addresses stand in brackets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct HostName(SmallVec<[u8; 64]>);

impl HostName {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        // Only ASCII gets in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Deref for HostName {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The authority of a request, as it was written: the `Host` field if there is one, else that of the URI. Filters
/// change the authority by setting `Host`.
pub(crate) fn authority(parts: &Parts) -> Option<&[u8]> {
    parts
        .headers
        .get(header::HOST)
        .map(http::HeaderValue::as_bytes)
        .or_else(|| parts.uri.authority().map(|authority| authority.as_str().as_bytes()))
}

/// Whether the text is an authority that requests may have: a host, perhaps with a port.
pub(crate) fn is_authority(text: &str) -> bool {
    parse(text.as_bytes()).is_ok()
}

/// Reads `host [ ":" port ]` (RFC 9110 §7.2), strictly: no userinfo, no list, no empty label or port. `_` may stand
/// in names, as it does in container networks.
pub(super) fn parse(authority: &[u8]) -> Result<(HostName, Option<u16>), &'static str> {
    let colon = match authority.first() {
        None => return Err("the host is empty"),
        Some(b'[') => {
            let close = memchr::memchr(b']', authority).ok_or("the host's address has no end")?;
            let address = authority.get(1..close).and_then(|inside| std::str::from_utf8(inside).ok());
            if address.is_none_or(|address| address.parse::<std::net::Ipv6Addr>().is_err()) {
                return Err("the host in brackets is no IPv6 address");
            }
            close + 1
        }
        Some(_) => memchr::memchr(b':', authority).unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(colon);
    let port = match rest {
        [] => None,
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            let digits = std::str::from_utf8(digits).unwrap_or_default();
            Some(digits.parse().map_err(|_| "the host's port is no port")?)
        }
        _ => return Err("the host's port is no port"),
    };
    if host.first() == Some(&b'[') {
        return Ok((HostName(host.iter().map(u8::to_ascii_lowercase).collect()), port));
    }
    let host = host.strip_suffix(b".").unwrap_or(host);
    if host.is_empty() || host.len() > 253 {
        return Err("the host is empty or too long");
    }
    let mut after_dot = true;
    for &byte in host {
        match byte {
            b'.' if after_dot => return Err("the host has an empty label"),
            b'.' => after_dot = true,
            b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => after_dot = false,
            _ => return Err("the host has a character that hosts do not have"),
        }
    }
    if after_dot {
        return Err("the host has an empty label");
    }
    Ok((HostName(host.iter().map(u8::to_ascii_lowercase).collect()), port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_are_read() {
        for (text, host, port) in [
            ("example.com", "example.com", None),
            ("Example.COM.", "example.com", None),
            ("example.com:8443", "example.com", Some(8443)),
            ("example.com.:80", "example.com", Some(80)),
            ("my_service", "my_service", None),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("[::1]", "[::1]", None),
            ("[2001:DB8::1]:443", "[2001:db8::1]", Some(443)),
            ("a", "a", None),
        ] {
            let (parsed, parsed_port) = parse(text.as_bytes()).unwrap();
            assert_eq!((parsed.as_str(), parsed_port), (host, port), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            ".",
            "..",
            ".a",
            "a..b",
            "a..",
            "user@a",
            "a/b",
            "a, b",
            "a,b",
            "a b",
            "a:",
            "a:x",
            "a:99999",
            "a:-1",
            "a:+1",
            "a:1:2",
            "a:80@b",
            ":80",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[]",
            "[1.2.3.4]",
            "::1",
            "a?b",
            "a#b",
            "a\\b",
            "a%41",
            "a\0b",
            "a\tb",
            "ü.com",
            "*.com",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse("a".repeat(253).as_bytes()).is_ok());
        assert!(parse("a".repeat(254).as_bytes()).is_err());
    }

    proptest! {
        /// Whatever is accepted stays what it is, and is an authority for the libraries, too.
        #[test]
        fn accepted_hosts_are_plain(text in "(\\[[0-9a-fA-F:.]{0,12}\\]|[a-zA-Z0-9._\\-:@/ ,%\\\\]{0,20})(:[0-9]{0,6})?") {
            if let Ok((host, port)) = parse(text.as_bytes()) {
                prop_assert!(!host.bytes().any(|byte| byte.is_ascii_uppercase()));
                prop_assert!(!host.is_empty() && !host.ends_with('.'));
                prop_assert_eq!(parse(host.as_bytes()).unwrap(), (host.clone(), None));
                let authority: http::uri::Authority = text.parse().unwrap();
                prop_assert_eq!(authority.port_u16(), port);
                let same = authority.host().trim_end_matches('.').eq_ignore_ascii_case(&host);
                prop_assert!(same);
            }
        }
    }
}
