//! Origins.

use lasthop_dataplane_api::HostPattern;

/// An origin of a policy.
#[derive(Debug)]
pub(super) struct AllowedOrigin {
    scheme: Box<str>,
    /// Lower case. A wildcard with an empty suffix covers every host.
    host: HostPattern,
    /// `None` only for schemes without a port of their own.
    port: Option<u16>,
}

impl AllowedOrigin {
    pub(super) fn new(scheme: &str, host: &HostPattern, port: Option<u16>) -> Self {
        let scheme = scheme.to_ascii_lowercase();
        let host = match host {
            HostPattern::Exact(name) => HostPattern::Exact(name.to_ascii_lowercase().into()),
            HostPattern::Wildcard(suffix) => HostPattern::Wildcard(suffix.to_ascii_lowercase().into()),
        };
        let port = port.or(own_port(&scheme));
        Self { scheme: scheme.into(), host, port }
    }

    /// Whether a request's `Origin` is this one. `null` never is.
    pub(super) fn covers(&self, origin: &[u8]) -> bool {
        let Ok(origin) = std::str::from_utf8(origin) else { return false };
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        let bracket = authority.rfind(']').unwrap_or(0);
        let (host, port) = match authority.get(bracket..).and_then(|end| end.find(':')) {
            None => (authority, own_port(scheme)),
            Some(colon) => {
                let (host, port) = authority.split_at(bracket + colon);
                match port.get(1..).filter(|port| port.bytes().all(|b| b.is_ascii_digit())).map(str::parse) {
                    Some(Ok(port)) => (host, Some(port)),
                    _ => return false,
                }
            }
        };
        let is_host = |byte: u8| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || matches!(byte, b'-' | b'.' | b'_' | b':' | b'[' | b']')
        };
        // Browsers write origins in lower case; anything else is compared as what it would be.
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.covers(origin.to_ascii_lowercase().as_bytes());
        }
        scheme.eq_ignore_ascii_case(&self.scheme)
            && port == self.port
            && !host.is_empty()
            && host.bytes().all(is_host)
            && self.host.covers(host)
    }
}

fn own_port(scheme: &str) -> Option<u16> {
    if scheme.eq_ignore_ascii_case("http") {
        Some(80)
    } else if scheme.eq_ignore_ascii_case("https") {
        Some(443)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(scheme: &str, host: &str, port: Option<u16>) -> AllowedOrigin {
        let host = match host {
            "*" => HostPattern::Wildcard("".into()),
            host => host.parse().unwrap(),
        };
        AllowedOrigin::new(scheme, &host, port)
    }

    #[test]
    fn origins_are_compared_by_scheme_host_and_port() {
        let exact = allowed("https", "www.foo.com", None);
        for origin in ["https://www.foo.com", "https://www.foo.com:443", "HTTPS://WWW.foo.com"] {
            assert!(exact.covers(origin.as_bytes()), "{origin}");
        }
        for origin in [
            "http://www.foo.com",
            "https://www.foo.com:8443",
            "https://foo.com",
            "https://a.www.foo.com",
            "https://www.foo.com.evil.com",
            "https://evil.com/www.foo.com",
            "https://www.foo.com:",
            "https://www.foo.com:x",
            "https://www.foo.com:443:443",
            "www.foo.com",
            "null",
            "",
            "https://",
        ] {
            assert!(!exact.covers(origin.as_bytes()), "{origin}");
        }
        let port = allowed("http", "a.com", Some(8080));
        assert!(port.covers(b"http://a.com:8080"));
        assert!(!port.covers(b"http://a.com"));
    }

    #[test]
    fn wildcards_reach_to_the_left() {
        let wildcard = allowed("https", "*.bar.com", None);
        assert!(wildcard.covers(b"https://www.bar.com"));
        assert!(wildcard.covers(b"https://xpto.www.bar.com"));
        assert!(!wildcard.covers(b"https://bar.com"));
        assert!(!wildcard.covers(b"https://evilbar.com"));
        assert!(!wildcard.covers(b"https://evil.com/.bar.com"));
        assert!(!wildcard.covers(b"https://evil.com@x.bar.com"));
        let every = allowed("https", "*", None);
        assert!(every.covers(b"https://anything"));
        assert!(every.covers(b"https://[::1]"));
        assert!(!every.covers(b"https://anything:1"));
        assert!(!every.covers(b"http://anything"));
    }
}
