//! Telling the backend who asked.

use std::{fmt::Write, net::IpAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};

use super::host::authority;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// What a request came over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Downstream<'a> {
    /// The client's address, as the connection has it.
    pub(crate) client: IpAddr,
    /// `http` or `https`, as the listener speaks it.
    pub(crate) scheme: &'a str,
    /// The listener's port.
    pub(crate) port: u16,
}

/// Says where the request came from. No client is trusted: its address is put behind what it claims in
/// `X-Forwarded-For`, so that the last element is ours; `-Proto`, `-Host` and `-Port` are replaced. `Forwarded`
/// (RFC 7239) gets an element if the client sent the field.
///
/// Call it before the filters: they may change these fields, and the host.
pub(crate) fn add_forwarded(parts: &mut Parts, downstream: Downstream<'_>) {
    let client = downstream.client.to_canonical();
    let host = match parts.headers.get(header::HOST) {
        Some(host) => Some(host.clone()),
        None => authority(parts).and_then(|authority| HeaderValue::from_bytes(authority).ok()),
    };
    if parts.headers.contains_key(header::FORWARDED) {
        let mut element = match client {
            IpAddr::V4(address) => format!("for={address}"),
            IpAddr::V6(address) => format!("for=\"[{address}]\""),
        };
        if let Some(host) = host.as_ref().and_then(|host| host.to_str().ok()) {
            // A host was checked: it has nothing that would end the quotation.
            let _ = write!(element, ";host=\"{host}\"");
        }
        let _ = write!(element, ";proto={}", downstream.scheme);
        append(&mut parts.headers, header::FORWARDED, &element);
    }
    let mut text = String::with_capacity(40);
    let _ = write!(text, "{client}");
    append(&mut parts.headers, X_FORWARDED_FOR, &text);
    let scheme = match downstream.scheme {
        "https" => HeaderValue::from_static("https"),
        _ => HeaderValue::from_static("http"),
    };
    parts.headers.insert(X_FORWARDED_PROTO, scheme);
    parts.headers.insert(X_FORWARDED_PORT, HeaderValue::from(downstream.port));
    match host {
        Some(host) => parts.headers.insert(X_FORWARDED_HOST, host),
        None => parts.headers.remove(X_FORWARDED_HOST),
    };
}

/// Puts an element at the end of a list, and the list on one line.
fn append(headers: &mut HeaderMap, name: HeaderName, element: &str) {
    let mut list = Vec::new();
    for line in headers.get_all(&name) {
        if !line.is_empty() {
            list.extend_from_slice(line.as_bytes());
            list.extend_from_slice(b", ");
        }
    }
    list.extend_from_slice(element.as_bytes());
    // Joined values are a value; were they not, the client's claims would be dropped, not ours.
    let value =
        HeaderValue::from_maybe_shared(bytes::Bytes::from(list)).or_else(|_| HeaderValue::from_str(element));
    if let Ok(value) = value {
        headers.insert(name, value);
    }
}
