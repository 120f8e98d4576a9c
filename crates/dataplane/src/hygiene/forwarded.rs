//! Telling the backend who asked.

use std::{
    fmt::{self, Write},
    net::IpAddr,
};

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use smallvec::SmallVec;

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
        let scheme = downstream.scheme;
        let (open, close) = if client.is_ipv6() { ("\"[", "]\"") } else { ("", "") };
        // A host was checked: it has nothing that would end the quotation.
        match host.as_ref().and_then(|host| host.to_str().ok()) {
            Some(host) => append(
                &mut parts.headers,
                header::FORWARDED,
                format_args!("for={open}{client}{close};host=\"{host}\";proto={scheme}"),
            ),
            None => append(
                &mut parts.headers,
                header::FORWARDED,
                format_args!("for={open}{client}{close};proto={scheme}"),
            ),
        }
    }
    append(&mut parts.headers, X_FORWARDED_FOR, format_args!("{client}"));
    let scheme = match downstream.scheme {
        "https" => HeaderValue::from_static("https"),
        _ => HeaderValue::from_static("http"),
    };
    parts.headers.insert(X_FORWARDED_PROTO, scheme);
    parts.headers.insert(X_FORWARDED_PORT, port(downstream.port));
    match host {
        Some(host) => parts.headers.insert(X_FORWARDED_HOST, host),
        None => parts.headers.remove(X_FORWARDED_HOST),
    };
}

fn port(port: u16) -> HeaderValue {
    match port {
        80 => HeaderValue::from_static("80"),
        443 => HeaderValue::from_static("443"),
        port => HeaderValue::from(port),
    }
}

/// A value on the stack, so that it is allocated once, with its own length.
struct List(SmallVec<[u8; 128]>);

impl Write for List {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Puts an element at the end of a list, and the list on one line.
fn append(headers: &mut HeaderMap, name: HeaderName, element: fmt::Arguments<'_>) {
    let mut list = List(SmallVec::new());
    for line in headers.get_all(&name) {
        if !line.is_empty() {
            list.0.extend_from_slice(line.as_bytes());
            list.0.extend_from_slice(b", ");
        }
    }
    // Neither can fail: the list takes what is written, and values joined are a value.
    let _ = list.write_fmt(element);
    if let Ok(value) = HeaderValue::from_bytes(&list.0) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn forwarded(client: &str, request: http::request::Builder) -> HeaderMap {
        let mut parts = request.body(()).unwrap().into_parts().0;
        let downstream = Downstream { client: client.parse().unwrap(), scheme: "https", port: 8443 };
        add_forwarded(&mut parts, downstream);
        parts.headers
    }

    fn lines<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn the_client_is_said() {
        let headers = forwarded("192.0.2.1", Request::get("/").header("host", "a.com:8443"));
        assert_eq!(lines(&headers, "x-forwarded-for"), ["192.0.2.1"]);
        assert_eq!(lines(&headers, "x-forwarded-proto"), ["https"]);
        assert_eq!(lines(&headers, "x-forwarded-host"), ["a.com:8443"]);
        assert_eq!(lines(&headers, "x-forwarded-port"), ["8443"]);
        assert!(!headers.contains_key("forwarded"));
        let headers = forwarded("::ffff:192.0.2.1", Request::get("https://b.com/"));
        assert_eq!(lines(&headers, "x-forwarded-for"), ["192.0.2.1"]);
        assert_eq!(lines(&headers, "x-forwarded-host"), ["b.com"]);
        assert_eq!(lines(&forwarded("2001:db8::1", Request::get("/")), "x-forwarded-for"), ["2001:db8::1"]);
    }

    #[test]
    fn a_clients_claims_stand_before_our_word_or_not_at_all() {
        let request = Request::get("/")
            .header("host", "a.com")
            .header("x-forwarded-for", "10.0.0.1, 10.0.0.2")
            .header("x-forwarded-for", "")
            .header("x-forwarded-for", "10.0.0.3")
            .header("x-forwarded-proto", "gopher")
            .header("x-forwarded-proto", "http")
            .header("x-forwarded-host", "evil.com")
            .header("x-forwarded-port", "1")
            .header("forwarded", "for=10.0.0.1");
        let headers = forwarded("2001:db8::1", request);
        assert_eq!(lines(&headers, "x-forwarded-for"), ["10.0.0.1, 10.0.0.2, 10.0.0.3, 2001:db8::1"]);
        assert_eq!(lines(&headers, "x-forwarded-proto"), ["https"]);
        assert_eq!(lines(&headers, "x-forwarded-host"), ["a.com"]);
        assert_eq!(lines(&headers, "x-forwarded-port"), ["8443"]);
        let ours = "for=\"[2001:db8::1]\";host=\"a.com\";proto=https";
        assert_eq!(lines(&headers, "forwarded"), [format!("for=10.0.0.1, {ours}")]);
    }

    #[test]
    fn claims_that_are_no_text_are_kept_as_bytes() {
        let odd = HeaderValue::from_bytes(b"\xff").unwrap();
        let headers = forwarded("192.0.2.1", Request::get("/").header("x-forwarded-for", odd));
        assert_eq!(headers["x-forwarded-for"].as_bytes(), b"\xff, 192.0.2.1");
    }
}
