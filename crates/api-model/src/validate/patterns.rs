//! The forms strings of the API must have, as predicates.

use std::net::IpAddr;

use crate::schema::Pattern;

pub(crate) const DNS_LABEL: Pattern = Pattern {
    accepts: is_dns_label,
    says: "a DNS label: lower-case letters, digits and '-', a letter or digit at both ends",
};
pub(crate) const DNS_NAME: Pattern = Pattern {
    accepts: is_dns_name,
    says: "a DNS name: labels of lower-case letters, digits and '-', joined by dots",
};
pub(crate) const DNS_NAME_OR_WILDCARD: Pattern = Pattern {
    accepts: is_dns_name_or_wildcard,
    says: "a DNS name in lower case, with or without a leading \"*.\"",
};
pub(crate) const API_GROUP: Pattern = Pattern {
    accepts: is_api_group,
    says: "an API group: a DNS name in lower case, or empty for the core group",
};
pub(crate) const KIND: Pattern = Pattern {
    accepts: is_kind,
    says: "a kind: letters, digits and '-', a letter first, a letter or digit last",
};
pub(crate) const PREFIXED_PATH: Pattern = Pattern {
    accepts: is_prefixed_path,
    says: "a DNS name, '/' and a path, such as \"example.com/gateway\"",
};
pub(crate) const LABEL_VALUE: Pattern = Pattern {
    accepts: is_label_value,
    says: "a label value: letters, digits, '-', '_' and '.', a letter or digit at both ends, or empty",
};
pub(crate) const QUALIFIED_NAME: Pattern = Pattern {
    accepts: is_qualified_name,
    says: "a name of at most 63 letters, digits, '-', '_' and '.', with or without a DNS name and '/' in front",
};
pub(crate) const ANNOTATION_KEY: Pattern = Pattern {
    // The API server lets the prefix of an annotation have capitals.
    accepts: |text| is_qualified_name(&text.to_ascii_lowercase()),
    says: QUALIFIED_NAME.says,
};
pub(crate) const INFRASTRUCTURE_KEY: Pattern = Pattern {
    accepts: is_infrastructure_key,
    says: "a name of at most 63 letters, digits, '-', '_' and '.', with or without a DNS name (below 253 \
           characters) and '/' in front",
};
pub(crate) const PROTOCOL: Pattern = Pattern {
    accepts: is_protocol,
    says: "a protocol: letters, digits and '-', or a DNS name, '/' and letters and digits",
};
pub(crate) const ADDRESS_TYPE: Pattern = Pattern {
    accepts: is_address_type,
    says: "\"IPAddress\", \"Hostname\", \"NamedAddress\", or a DNS name, '/' and a path",
};
pub(crate) const FIELD_NAME: Pattern =
    Pattern { accepts: is_field_name, says: "a token of HTTP: letters, digits and !#$%&'*+-.^_`|~" };
pub(crate) const URI_PATH: Pattern = Pattern {
    accepts: is_uri_path,
    says: "made of the characters a URI path may have, others percent-encoded",
};
pub(crate) const DURATION: Pattern = Pattern {
    accepts: is_duration,
    says: "a duration: up to four numbers of up to five digits, each with h, m, s or ms, such as \"1m30s\"",
};
pub(crate) const ORIGIN: Pattern = Pattern {
    accepts: is_origin,
    says: "an origin such as \"https://example.com:8443\", with \"*\" or a leading \"*.\" in place of the host at \
           most, or \"*\"",
};
pub(crate) const ABSOLUTE_URI: Pattern = Pattern {
    accepts: is_absolute_uri,
    says: "a URI with scheme and authority, such as \"spiffe://example.com/web\"",
};
pub(crate) const WELL_KNOWN_CA: Pattern = Pattern {
    accepts: is_well_known_ca,
    says: "\"System\", or a DNS name, '/' and a name of at most 63 characters",
};
pub(crate) const CONDITION_REASON: Pattern = Pattern {
    accepts: is_condition_reason,
    says: "a reason: letters, digits, '_', ',' and ':', a letter first",
};
pub(crate) const CONDITION_TYPE: Pattern = Pattern {
    accepts: is_condition_type,
    says: "a condition type: letters, digits, '-', '_' and '.', with or without a DNS name and '/' in front",
};
pub(crate) const DATA_KEY: Pattern = Pattern {
    accepts: is_data_key,
    says: "at most 253 letters, digits, '-', '_' and '.', and not \".\", \"..\" or begin with \"..\"",
};
pub(crate) const BASE64: Pattern =
    Pattern { accepts: is_base64, says: "base64 (plain text belongs in stringData)" };
pub(crate) const BASE64_BINARY: Pattern = Pattern { accepts: is_base64, says: "base64" };
pub(crate) const TIMESTAMP: Pattern =
    Pattern { accepts: is_timestamp, says: "a time of RFC 3339, such as \"2026-01-31T12:00:00Z\"" };

/// Letters or digits at both ends, and between them those of `inside` too.
fn is_bounded(text: &str, end: fn(u8) -> bool, inside: fn(u8) -> bool) -> bool {
    match text.as_bytes() {
        [] => false,
        [only] => end(*only),
        [first, middle @ .., last] => end(*first) && end(*last) && middle.iter().all(|&byte| inside(byte)),
    }
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn is_name_inside(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte)
}

/// RFC 1123, without the limit of 63 characters, which fields give separately.
pub(crate) fn is_dns_label(text: &str) -> bool {
    is_bounded(text, is_lower, |byte| is_lower(byte) || byte == b'-')
}

pub(crate) fn is_dns_name(text: &str) -> bool {
    text.split('.').all(is_dns_label)
}

pub(crate) fn is_dns_name_or_wildcard(text: &str) -> bool {
    is_dns_name(text.strip_prefix("*.").unwrap_or(text))
}

fn is_api_group(text: &str) -> bool {
    text.is_empty() || is_dns_name(text)
}

fn is_kind(text: &str) -> bool {
    text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
        && is_bounded(text, is_alphanumeric, |byte| is_alphanumeric(byte) || byte == b'-')
}

fn is_prefixed_path(text: &str) -> bool {
    text.split_once('/').is_some_and(|(prefix, path)| {
        is_dns_name(prefix) && !path.is_empty() && path.bytes().all(is_path_byte)
    })
}

fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_bounded(text, is_alphanumeric, is_name_inside)
}

fn is_short_name(text: &str) -> bool {
    text.len() <= 63 && is_bounded(text, is_alphanumeric, is_name_inside)
}

/// The key of a label or annotation.
fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => prefix.len() <= 253 && is_dns_name(prefix) && is_short_name(name),
        None => is_short_name(text),
    }
}

fn is_infrastructure_key(text: &str) -> bool {
    is_qualified_name(text) && text.split('/').next().is_some_and(|first| first.len() < 253)
}

/// The API looks at the end only when there is a prefix: what stands before the last lower-case letter or digit in
/// front of the slash is free.
fn is_protocol(text: &str) -> bool {
    is_bounded(text, is_alphanumeric, |byte| is_alphanumeric(byte) || byte == b'-')
        || ends_in_prefixed(text, is_alphanumeric)
}

/// As the API has it: the four alternatives are anchored at one end or none.
fn is_address_type(text: &str) -> bool {
    text.starts_with("Hostname")
        || text.contains("IPAddress")
        || text.contains("NamedAddress")
        || ends_in_prefixed(text, is_path_byte)
}

/// Whether the text ends in a lower-case letter or digit, a slash, and one or more of these.
fn ends_in_prefixed(text: &str, allowed: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    (1..bytes.len()).any(|at| match (bytes.get(at - 1), bytes.get(at), bytes.get(at + 1..)) {
        (Some(&before), Some(b'/'), Some(rest)) => {
            is_lower(before) && !rest.is_empty() && rest.iter().all(|&byte| allowed(byte))
        }
        _ => false,
    })
}

/// A token of RFC 9110.
pub(crate) fn is_field_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether HTTP can carry it as a field value: no control characters but tab, no space or tab at the ends
/// (RFC 9110 §5.5). The standard channel of the API does not look at this; whoever programs a header must.
pub fn is_field_value(text: &str) -> bool {
    let trimmed = text.trim_matches([' ', '\t']);
    trimmed.len() == text.len() && text.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control())
}

pub(crate) fn is_uri_path(text: &str) -> bool {
    let mut rest = text.as_bytes();
    if rest.is_empty() {
        return false;
    }
    while let Some((&first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            (b'%', _) => return false,
            _ if first.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@".contains(&first) => after,
            _ => return false,
        };
    }
    true
}

fn is_duration(text: &str) -> bool {
    crate::ApiDuration::from(text).to_duration().is_some()
}

fn is_origin(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else {
        return false;
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    };
    let port_fits =
        port.is_none_or(|port| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit()));
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    port_fits && (host == "*" || host.strip_prefix("*.").unwrap_or(host).split('.').all(is_label))
}

fn is_absolute_uri(text: &str) -> bool {
    text.split_once("://")
        .is_some_and(|(scheme, _)| !scheme.is_empty() && !scheme.contains([':', '/', '?', '#']))
}

fn is_well_known_ca(text: &str) -> bool {
    text == "System"
        || text.split_once('/').is_some_and(|(prefix, name)| is_dns_name(prefix) && is_short_name(name))
}

fn is_condition_reason(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b',' | b':');
    match text.as_bytes() {
        [] => false,
        [only] => only.is_ascii_alphabetic(),
        [first, middle @ .., last] => {
            first.is_ascii_alphabetic()
                && middle.iter().all(|&byte| inside(byte))
                && (last.is_ascii_alphanumeric() || *last == b'_')
        }
    }
}

fn is_condition_type(text: &str) -> bool {
    let is_name = |name: &str| is_bounded(name, is_alphanumeric, is_name_inside);
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_name(prefix) && is_name(name),
        None => is_name(text),
    }
}

fn is_data_key(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text != "."
        && !text.starts_with("..")
        && text.bytes().all(is_name_inside)
}

fn is_base64(text: &str) -> bool {
    use base64::Engine as _;
    // Line breaks are let through, as Go's decoder does: `data: |` with several lines is common.
    let bytes: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    base64::engine::general_purpose::STANDARD.decode(bytes).is_ok()
}

fn is_timestamp(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok()
}

/// An address as the API wants it: no zone, no leading zeros.
pub(crate) fn is_ip_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}
