//! Names with `_` for `-`. CGI and its heirs read both as one field, so an alias can say what the field must not.

use http::{HeaderMap, HeaderName};

/// What is done about a field's name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Alias {
    /// The name is no alias of a field that matters here.
    None,
    /// Of a field that frames or routes the message: the message is refused.
    Framing,
    /// Of a field by which proxies tell about the client: the field is taken away.
    Forwarding,
}

const FRAMING: [&str; 3] = ["content-length", "transfer-encoding", "proxy-connection"];

const FORWARDING: [&str; 4] = ["x-real-ip", "x-client-ip", "x-original-url", "x-rewrite-url"];

/// Classes a field's name, lower case.
pub(super) fn classify(name: &str) -> Alias {
    if memchr::memchr(b'_', name.as_bytes()).is_none() {
        return Alias::None;
    }
    let is = |field: &str| {
        name.len() == field.len()
            && name.bytes().zip(field.bytes()).all(|(a, b)| a == b || (a == b'_' && b == b'-'))
    };
    let starts = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| {
            start.bytes().zip(prefix.bytes()).all(|(a, b)| a == b || (a == b'_' && b == b'-'))
        })
    };
    if FRAMING.into_iter().any(is) {
        Alias::Framing
    } else if starts("x-forwarded-") || FORWARDING.into_iter().any(is) {
        Alias::Forwarding
    } else {
        Alias::None
    }
}

/// Takes away aliases of fields by which proxies tell about the client.
pub(super) fn remove_forwarding(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> =
        headers.keys().filter(|name| classify(name.as_str()) == Alias::Forwarding).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_known_in_every_mixture() {
        for name in ["content_length", "transfer_encoding", "proxy_connection"] {
            assert_eq!(classify(name), Alias::Framing, "{name}");
        }
        for name in ["x_forwarded_for", "x-forwarded_for", "x_forwarded-proto", "x_real_ip"] {
            assert_eq!(classify(name), Alias::Forwarding, "{name}");
        }
        for name in ["content-length", "x-forwarded-for", "x_tenant", "content_lengths", "_", "x_forwarded"] {
            assert_eq!(classify(name), Alias::None, "{name}");
        }
    }
}
