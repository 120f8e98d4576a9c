use http::{Request, request::Builder};
use proptest::prelude::*;

use super::*;

fn parts(request: Builder) -> Parts {
    request.body(()).unwrap().into_parts().0
}

fn checked(request: Builder) -> Result<(RequestTarget, Parts), Violation> {
    let mut parts = parts(request);
    check_request(&mut parts, HeaderLimits::default()).map(|target| (target, parts))
}

/// HTTP/1.1 with a host.
fn get(target: &str) -> Builder {
    Request::get(target).header("host", "a.com")
}

/// HTTP/2 with `:scheme` and `:authority`.
fn get2(path: &str) -> Builder {
    Request::get(format!("https://a.com{path}")).version(Version::HTTP_2)
}

fn assert_refused(name: &str, request: Builder) {
    let violation = checked(request).expect_err(name);
    assert_eq!(violation.reason, FailureReason::BadRequest, "{name}");
    assert!(!violation.detail.is_empty());
}

fn assert_accepted(name: &str, request: Builder) {
    if let Err(violation) = checked(request) {
        panic!("{name}: {}", violation.detail);
    }
}

#[test]
fn hosts_are_said_once() {
    for (name, request) in [
        ("no host", Request::get("/")),
        ("no host, HTTP/1.0", Request::get("/").version(Version::HTTP_10)),
        ("no host, absolute form", Request::get("http://a.com/")),
        ("no authority, HTTP/2", Request::get("/").version(Version::HTTP_2)),
        ("empty", Request::get("/").header("host", "")),
        ("twice, different", get("/").header("host", "b.com")),
        ("twice, the same", get("/").header("host", "a.com")),
        ("a list", Request::get("/").header("host", "a.com, b.com")),
        ("userinfo", Request::get("/").header("host", "user@a.com")),
        ("userinfo in the target", get("http://user@a.com/")),
        ("path", Request::get("/").header("host", "a.com/path")),
        ("query", Request::get("/").header("host", "a.com?x")),
        ("white space", Request::get("/").header("host", "a.com b.com")),
        ("scheme", Request::get("/").header("host", "http://a.com")),
        ("bad port", Request::get("/").header("host", "a.com:99999")),
        ("empty port", Request::get("/").header("host", "a.com:")),
        ("empty label", Request::get("/").header("host", "a..com")),
        ("another host in the target", get("http://b.com/")),
        ("another port in the target", get("http://a.com:81/")),
        ("another scheme in the target", get("ftp://a.com/")),
        ("authority form", get("a.com:80")),
        ("another host in HTTP/2", get2("/").header("host", "b.com")),
        ("another port in HTTP/2", get2("/").header("host", "a.com:80")),
        ("twice in HTTP/2", get2("/").header("host", "a.com").header("host", "a.com")),
    ] {
        assert_refused(name, request);
    }
    for (name, request, host, port) in [
        ("field", Request::get("/").header("host", "A.Com."), "a.com", None),
        ("field with port", Request::get("/").header("host", "a.com:8080"), "a.com", Some(8080)),
        ("HTTP/1.0", get("/").version(Version::HTTP_10), "a.com", None),
        ("absolute form", get("http://a.com/"), "a.com", None),
        ("absolute form, the scheme's port", get("http://a.com:80/"), "a.com", None),
        ("absolute form, other case", get("http://A.COM/"), "a.com", None),
        ("absolute form, HTTP/1.0", Request::get("http://a.com/").version(Version::HTTP_10), "a.com", None),
        ("authority", get2("/"), "a.com", None),
        ("authority and field", get2("/").header("host", "a.com:443"), "a.com", Some(443)),
        ("address", Request::get("/").header("host", "[::1]:80"), "[::1]", Some(80)),
    ] {
        let (target, _) = checked(request).unwrap_or_else(|violation| panic!("{name}: {}", violation.detail));
        assert_eq!((target.host.as_str(), target.port), (host, port), "{name}");
    }
}

#[test]
fn targets_fit_their_methods() {
    assert_refused("'*' with GET", get("*"));
    assert_refused("'*' with POST", get("*").method("POST"));
    assert_accepted("'*' with OPTIONS", get("*").method("OPTIONS"));
    assert_refused("CONNECT", get("a.com:443").method("CONNECT"));
    assert_refused("CONNECT to a path", get("/").method("CONNECT"));
    assert_refused("CONNECT in HTTP/2", get2("/").method("CONNECT"));
    assert_accepted("an unknown method", get("/").method("FOOBAR"));
    assert_refused("a version of the future", get("/").version(Version::HTTP_3));
    assert_refused("a version of the past", get("/").version(Version::HTTP_09));
}

#[test]
fn paths_are_put_into_their_form_before_anything_matches_them() {
    let (_, parts) = checked(get("/%61/b?c=%61")).unwrap();
    assert_eq!(parts.uri, "/a/b?c=%61");
    let (_, parts) = checked(get2("/%61")).unwrap();
    assert_eq!(parts.uri, "https://a.com/a");
    for path in ["/a/../b", "/%2e%2e/b", "/a\\b", "/a%00", "/a%zz", "/a%0d%0ab", "/..;/b", "/."] {
        assert_refused(path, get(path));
        assert_refused(path, get2(path));
    }
}

#[test]
fn a_length_is_one_number_or_chunks() {
    for (name, request) in [
        ("not a number", get("/").header("content-length", "abc")),
        ("plus", get("/").header("content-length", "+5")),
        ("minus", get("/").header("content-length", "-1")),
        ("minus nothing", get("/").header("content-length", "-0")),
        ("empty", get("/").header("content-length", "")),
        ("hexadecimal", get("/").header("content-length", "0x5")),
        ("octal", get("/").header("content-length", "0o5")),
        ("underscore", get("/").header("content-length", "1_0")),
        ("inner space", get("/").header("content-length", "1 0")),
        ("too large", get("/").header("content-length", "99999999999999999999")),
        ("list, different", get("/").header("content-length", "5, 10")),
        ("list, the same", get("/").header("content-length", "5, 5")),
        ("twice", get("/").header("content-length", "5").header("content-length", "5")),
        ("both", get("/").header("content-length", "5").header("transfer-encoding", "chunked")),
        ("unknown coding", get("/").header("transfer-encoding", "gzip")),
        ("two codings", get("/").header("transfer-encoding", "gzip, chunked")),
        ("identity", get("/").header("transfer-encoding", "identity")),
        ("empty coding", get("/").header("transfer-encoding", "")),
        ("leading comma", get("/").header("transfer-encoding", ", chunked")),
        ("trailing comma", get("/").header("transfer-encoding", "chunked,")),
        ("parameters", get("/").header("transfer-encoding", "chunked;ext=val")),
        ("quoted", get("/").header("transfer-encoding", "\"chunked\"")),
        (
            "twice chunked",
            get("/").header("transfer-encoding", "chunked").header("transfer-encoding", "chunked"),
        ),
        ("HTTP/1.0", get("/").version(Version::HTTP_10).header("transfer-encoding", "chunked")),
        ("HTTP/2", get2("/").header("transfer-encoding", "chunked")),
        ("not a number, HTTP/2", get2("/").header("content-length", "5, 5")),
    ] {
        assert_refused(name, request);
    }
    let (_, parts) = checked(get("/").header("transfer-encoding", "Chunked")).unwrap();
    assert!(!parts.headers.contains_key("transfer-encoding"));
    let (_, parts) = checked(get("/").header("content-length", "005")).unwrap();
    assert_eq!(parts.headers["content-length"], "005");
}

#[test]
fn other_spellings_of_framing_are_refused_and_of_forwarding_removed() {
    for name in ["content_length", "transfer_encoding"] {
        assert_refused(name, get("/").header(name, "5"));
        assert_refused(name, get2("/").header(name, "5"));
    }
    let request =
        get("/").header("x_forwarded_for", "1").header("x-forwarded_proto", "1").header("x_tenant", "1");
    let (_, parts) = checked(request.header("x-forwarded-for", "1")).unwrap();
    let mut names: Vec<_> = parts.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["host", "x-forwarded-for", "x_tenant"]);
}

#[test]
fn http2_has_no_fields_of_the_connection() {
    for (name, value) in [
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("x", " led"),
        ("x", "followed\t"),
        ("x", " "),
    ] {
        assert_refused(name, get2("/").header(name, value));
    }
    assert_accepted("te", get2("/").header("te", "trailers"));
    assert_accepted("empty value", get2("/").header("x", ""));
}

#[test]
fn what_belongs_to_the_clients_connection_ends_here() {
    let request = get("/")
        .header("connection", "keep-alive, X-Named")
        .header("connection", "host, content-length,, te, bad name")
        .header("x-named", "1")
        .header("keep-alive", "timeout=5")
        .header("proxy-connection", "keep-alive")
        .header("proxy-authorization", "Basic x")
        .header("http2-settings", "x")
        .header("te", "gzip, Trailers")
        .header("content-length", "5")
        .header("authorization", "kept")
        .header("trailer", "x-sum");
    let (target, parts) = checked(request).unwrap();
    assert!(!target.upgrade);
    let mut names: Vec<_> = parts.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["authorization", "content-length", "host", "te", "trailer"]);
    assert_eq!(parts.headers["te"], "trailers");
    let (_, parts) = checked(get("/").header("te", "gzip")).unwrap();
    assert!(!parts.headers.contains_key("te"));
}

#[test]
fn upgrades_are_asked_for_by_connection_and_upgrade_together() {
    let upgrade = |request: Builder| {
        let (target, parts) = checked(request).unwrap();
        assert!(!parts.headers.contains_key("connection"));
        assert_eq!(parts.headers.contains_key("upgrade"), target.upgrade);
        target.upgrade
    };
    let ask = |connection: &str, protocol: &str| {
        get("/").header("connection", connection).header("upgrade", protocol)
    };
    assert!(upgrade(ask("Upgrade", "websocket")));
    assert!(upgrade(ask("keep-alive, UPGRADE", "foo/2, bar")));
    assert!(!upgrade(ask("keep-alive", "websocket")));
    assert!(!upgrade(get("/").header("upgrade", "websocket")));
    assert!(!upgrade(get("/").header("connection", "upgrade")));
    assert!(!upgrade(ask("upgrade", "")));
    assert!(!upgrade(ask("upgrade", "h2c")));
    assert!(!upgrade(ask("upgrade", "websocket, H2C")));
    assert!(!upgrade(ask("upgrade", "websocket").header("upgrade", "foo")));
    assert!(!upgrade(ask("upgrade", "websocket").version(Version::HTTP_10)));
}

#[test]
fn headers_have_limits() {
    let too_large = |request: Builder| checked(request).err().map(|violation| violation.reason);
    let many = |count: usize| (0..count).fold(get2("/"), |request, _| request.header("cookie", "a=1"));
    assert_eq!(too_large(many(100)), None);
    assert_eq!(too_large(many(101)), Some(FailureReason::HeadersTooLarge));
    // `host: a.com` and its separators are 13 bytes, `x: ` and its end 5, `GET` and the target 4.
    let long = |length: usize| get("/").header("x", "v".repeat(length));
    assert_eq!(too_large(long(32 * 1024 - 22)), None);
    assert_eq!(too_large(long(32 * 1024 - 21)), Some(FailureReason::HeadersTooLarge));
    assert_eq!(too_large(get(&format!("/{}", "a".repeat(32 * 1024)))), Some(FailureReason::HeadersTooLarge));
    let mut parts = parts(get("/").header("a", "1"));
    assert!(check_request(&mut parts, HeaderLimits { fields: 1, bytes: 1000 }).is_err());
    assert!(check_request(&mut parts, HeaderLimits { fields: 2, bytes: 1000 }).is_ok());
    assert!(check_request(&mut parts, HeaderLimits { fields: 2, bytes: 10 }).is_err());
}

proptest! {
    /// A request that was accepted is accepted again as it is: checking changes nothing more.
    #[test]
    fn an_accepted_request_stays(
        path in "(/[a%.;2e61F]{0,5}){1,4}(\\?[a-z%]{0,4})?",
        fields in prop::collection::vec((
            prop::sample::select(vec![
                "connection", "te", "upgrade", "x-a", "x_a", "x_forwarded_for", "content_length", "keep-alive",
                "content-length", "transfer-encoding", "cookie",
            ]),
            prop::sample::select(vec![
                "upgrade", "x-a", "te, x_a", "trailers", "websocket", "5", "chunked", "", "h2c, websocket",
            ]),
        ), 0..6),
        http2 in any::<bool>(),
    ) {
        let mut request = if http2 { get2(&path) } else { get(&path) };
        for (name, value) in fields {
            request = request.header(name, value);
        }
        let Ok(request) = request.body(()) else { return Ok(()) };
        let mut parts = request.into_parts().0;
        let Ok(target) = check_request(&mut parts, HeaderLimits::default()) else { return Ok(()) };
        let (uri, headers) = (parts.uri.clone(), parts.headers.clone());
        prop_assert!(!headers.contains_key("connection") && !headers.contains_key("transfer-encoding"));
        prop_assert!(!uri.path().split('/').any(|segment| segment == ".." || segment == "."));
        if http2 && target.upgrade {
            prop_assert!(false, "HTTP/2 has no upgrades");
        }
        if !target.upgrade {
            let again = check_request(&mut parts, HeaderLimits::default());
            prop_assert_eq!(again.as_ref().map(|target| &target.host), Ok(&target.host));
            prop_assert_eq!(&parts.uri, &uri);
            prop_assert_eq!(&parts.headers, &headers);
        }
    }
}
