use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Request, StatusCode, request::Parts};
use lasthop_dataplane_api::{
    BackendTarget, Cors, CorsOrigin, Fraction, HeaderModifier, HeaderValue as Field, HostPattern,
    InvalidBackend, PathModifier, Redirect, UrlRewrite,
};
use proptest::prelude::*;

use super::*;

fn parts(request: http::request::Builder) -> Parts {
    request.body(()).unwrap().into_parts().0
}

fn context(matched_path: Option<&PathMatch>) -> FilterContext<'_> {
    FilterContext { scheme: "http", port: 80, host: "gw.example", matched_path, origin: None }
}

fn fields(list: &[(&str, &str)]) -> Vec<Field> {
    list.iter().map(|(name, value)| Field { name: (*name).into(), value: (*value).into() }).collect()
}

fn modifier(set: &[(&str, &str)], add: &[(&str, &str)], remove: &[&str]) -> HeaderModifier {
    HeaderModifier {
        set: fields(set),
        add: fields(add),
        remove: remove.iter().map(|name| (*name).into()).collect(),
    }
}

/// The values of a field, line by line.
fn lines<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn header_fields_are_set_added_and_removed() {
    let filters = CompiledFilters::compile(&[HttpFilter::RequestHeaders(modifier(
        &[("my-header", "bar"), ("new", "1"), ("my-header", "second entry")],
        &[("list", "bar,baz"), ("fresh", "x")],
        &["my-header1", "my-header3", "not-there"],
    ))]);
    let mut request = parts(
        Request::get("/foo")
            .header("My-Header", "foo")
            .header("My-Header", "foo2")
            .header("list", "foo")
            .header("my-header1", "foo")
            .header("my-header2", "bar")
            .header("my-header3", "baz"),
    );
    assert!(matches!(filters.apply_request(&mut request, &context(None)), FilterOutcome::Continue));
    let headers = &request.headers;
    assert_eq!(lines(headers, "my-header"), ["bar"]);
    assert_eq!(lines(headers, "new"), ["1"]);
    assert_eq!(lines(headers, "list"), ["foo", "bar,baz"]);
    assert_eq!(lines(headers, "fresh"), ["x"]);
    assert!(!headers.contains_key("my-header1") && !headers.contains_key("my-header3"));
    assert_eq!(lines(headers, "my-header2"), ["bar"]);
    assert!(filters.problems().is_empty());
}

#[test]
fn response_filters_leave_requests_alone_and_the_reverse() {
    let filters = CompiledFilters::compile(&[
        HttpFilter::RequestHeaders(modifier(&[("x-request", "1")], &[], &[])),
        HttpFilter::ResponseHeaders(modifier(&[("x-response", "1")], &[("set-cookie", "b=2")], &["server"])),
    ]);
    let mut request = parts(Request::get("/"));
    filters.apply_request(&mut request, &context(None));
    assert!(request.headers.contains_key("x-request") && !request.headers.contains_key("x-response"));
    let response =
        http::Response::builder().header("server", "x").header("set-cookie", "a=1").body(()).unwrap();
    let mut response = response.into_parts().0;
    filters.apply_response(&mut response, &context(None));
    assert!(!response.headers.contains_key("x-request") && !response.headers.contains_key("server"));
    assert_eq!(lines(&response.headers, "x-response"), ["1"]);
    assert_eq!(lines(&response.headers, "set-cookie"), ["a=1", "b=2"]);
}

#[test]
fn what_cannot_be_honoured_is_answered_with_an_error_and_named() {
    let headers = |modifier| HttpFilter::RequestHeaders(modifier);
    let redirect = |redirect| HttpFilter::Redirect(redirect);
    let plain = Redirect { scheme: None, hostname: None, path: None, port: None, status: 302 };
    let invalid = [
        HttpFilter::Invalid { message: "ExtensionRef x: unknown".into() },
        headers(modifier(&[("no name", "v")], &[], &[])),
        headers(modifier(&[], &[("x", "line\nbreak")], &[])),
        headers(modifier(&[], &[], &["no name"])),
        headers(modifier(&[("content-length", "0")], &[], &[])),
        headers(modifier(&[], &[("transfer-encoding", "chunked")], &[])),
        headers(modifier(&[], &[("host", "b")], &[])),
        headers(modifier(&[], &[], &["host"])),
        headers(modifier(&[("host", "a b")], &[], &[])),
        headers(modifier(&[("host", "user@a")], &[], &[])),
        redirect(Redirect { status: 200, ..plain.clone() }),
        redirect(Redirect { hostname: Some("a\nb".into()), ..plain.clone() }),
        redirect(Redirect { hostname: Some("".into()), ..plain.clone() }),
        redirect(Redirect { hostname: Some("a/b".into()), ..plain.clone() }),
        redirect(Redirect { scheme: Some("java script".into()), ..plain.clone() }),
        redirect(Redirect { scheme: Some("".into()), ..plain }),
        HttpFilter::Rewrite(UrlRewrite { hostname: Some("a\nb".into()), path: None }),
        HttpFilter::Rewrite(UrlRewrite { hostname: Some("a:x".into()), path: None }),
    ];
    for filter in invalid {
        let filters = CompiledFilters::compile(std::slice::from_ref(&filter));
        assert_eq!(filters.problems().len(), 1, "{filter:?}");
        let outcome = filters.apply_request(&mut parts(Request::get("/")), &context(None));
        assert!(matches!(outcome, FilterOutcome::Invalid), "{filter:?}");
    }
}

#[test]
fn an_invalid_filter_counts_wherever_it_stands() {
    let redirect = Redirect { scheme: None, hostname: None, path: None, port: None, status: 302 };
    let filters = CompiledFilters::compile(&[
        HttpFilter::Redirect(redirect),
        HttpFilter::Invalid { message: "later".into() },
    ]);
    let outcome = filters.apply_request(&mut parts(Request::get("/")), &context(None));
    assert!(matches!(outcome, FilterOutcome::Invalid));
}

#[test]
fn fields_of_the_connection_are_not_set_and_this_is_said() {
    let source = modifier(&[("connection", "close"), ("x", "1")], &[("te", "trailers")], &["upgrade"]);
    let filters = CompiledFilters::compile(&[HttpFilter::RequestHeaders(source)]);
    assert_eq!(filters.problems().len(), 2);
    let mut request = parts(Request::get("/"));
    assert!(matches!(filters.apply_request(&mut request, &context(None)), FilterOutcome::Continue));
    assert!(!request.headers.contains_key("connection") && !request.headers.contains_key("te"));
    assert_eq!(lines(&request.headers, "x"), ["1"]);
}

#[test]
fn mirrors_are_kept_and_leave_the_request_alone() {
    let target = BackendTarget::Invalid(InvalidBackend { reason: "r".into(), reference: "x".into() });
    let mirror = Mirror { target, fraction: Fraction { numerator: 1, denominator: 3 } };
    let filters =
        CompiledFilters::compile(&[HttpFilter::Mirror(mirror.clone()), HttpFilter::Mirror(mirror.clone())]);
    assert_eq!(filters.mirrors(), [mirror.clone(), mirror]);
    let outcome = filters.apply_request(&mut parts(Request::get("/")), &context(None));
    assert!(matches!(outcome, FilterOutcome::Continue));
}

fn rewritten(modifier: PathModifier, matched: Option<PathMatch>, uri: &str) -> Option<String> {
    let filters =
        CompiledFilters::compile(&[HttpFilter::Rewrite(UrlRewrite { hostname: None, path: Some(modifier) })]);
    let mut request = parts(Request::options(uri));
    match filters.apply_request(&mut request, &context(matched.as_ref())) {
        FilterOutcome::Continue => Some(request.uri.to_string()),
        FilterOutcome::Invalid => None,
        FilterOutcome::Respond(_) | FilterOutcome::Authorize(_) => panic!("a rewrite does not answer"),
    }
}

#[test]
fn the_matched_prefix_is_replaced_by_whole_segments() {
    for (path, matched, replacement, expected) in [
        // The table of the API.
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/foo/", "/foo", "/", "/"),
        ("/foo", "/foo", "/", "/"),
        // And what it leaves open.
        ("/foo/bar", "/", "/xyz", "/xyz/foo/bar"),
        ("/", "/", "/xyz", "/xyz/"),
        ("/", "/", "/", "/"),
        ("/foo", "/foo", "/xyz/", "/xyz"),
        ("/foo/bar?q=/foo", "/foo", "/xyz", "/xyz/bar?q=/foo"),
        ("/foo?q", "/foo", "", "/?q"),
        ("/foo//bar", "/foo", "/xyz", "/xyz//bar"),
        ("/foo/%2F", "/foo", "/xyz", "/xyz/%2F"),
        ("/foo/bar", "/foo", "xyz", "/xyz/bar"),
        ("/~foo/bar", "/%7Efoo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/a b?c#d", "/a%20b%3Fc%23d/bar"),
    ] {
        let modifier = PathModifier::ReplacePrefixMatch(replacement.into());
        let matched_path = Some(PathMatch::Prefix(matched.into()));
        assert_eq!(
            rewritten(modifier, matched_path, path).as_deref(),
            Some(expected),
            "{path} {matched} {replacement}"
        );
    }
    let modifier = || PathModifier::ReplacePrefixMatch("/xyz".into());
    assert_eq!(rewritten(modifier(), None, "/foo").as_deref(), Some("/xyz/foo"));
    assert_eq!(rewritten(modifier(), None, "*").as_deref(), Some("*"));
    assert_eq!(rewritten(modifier(), Some(PathMatch::Exact("/foo".into())), "/foo"), None);
    assert_eq!(rewritten(modifier(), Some(PathMatch::Regex("/.*".into())), "/foo"), None);
    // An earlier filter took the prefix away.
    assert_eq!(rewritten(modifier(), Some(PathMatch::Prefix("/foo".into())), "/foobar"), None);
}

#[test]
fn the_full_path_is_replaced_and_the_query_stays() {
    for (uri, replacement, expected) in [
        ("/a/b?c=d", "/x", "/x?c=d"),
        ("/a", "/", "/"),
        ("/a", "", "/"),
        ("/a", "x", "/x"),
        ("/a?q", "/x?y", "/x%3Fy?q"),
        ("/a", "/x/", "/x/"),
        ("/a", "/100%25/ü", "/100%25/%C3%BC"),
        ("http://h.example/a?q", "/x", "http://h.example/x?q"),
        ("*", "/x", "*"),
    ] {
        let modifier = PathModifier::ReplaceFullPath(replacement.into());
        assert_eq!(rewritten(modifier, None, uri).as_deref(), Some(expected), "{uri} {replacement}");
    }
}

#[test]
fn the_host_is_replaced_for_both_protocols() {
    let filters = CompiledFilters::compile(&[HttpFilter::Rewrite(UrlRewrite {
        hostname: Some("one.example.org".into()),
        path: None,
    })]);
    for request in [
        Request::get("/p").header("host", "gw.example:8080"),
        Request::get("http://gw.example:8080/p").version(http::Version::HTTP_2),
    ] {
        let mut request = parts(request);
        filters.apply_request(&mut request, &context(None));
        assert_eq!(crate::hygiene::authority(&request), Some(b"one.example.org".as_slice()));
        assert_eq!(request.uri.path(), "/p");
    }
}

const PLAIN: Redirect = Redirect { scheme: None, hostname: None, path: None, port: None, status: 302 };

fn redirected(redirect: Redirect, context: &FilterContext<'_>, uri: &str) -> (u16, String) {
    let filters = CompiledFilters::compile(&[HttpFilter::Redirect(redirect)]);
    match filters.apply_request(&mut parts(Request::options(uri)), context) {
        FilterOutcome::Respond(response) => {
            assert!(response.body().is_empty());
            assert_eq!(response.headers()["content-length"], "0");
            (response.status().as_u16(), response.headers()["location"].to_str().unwrap().to_owned())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn redirects_take_scheme_host_and_port_by_the_rules_of_the_api() {
    type Case<'a> = (&'a str, u16, Option<&'a str>, Option<&'a str>, Option<u16>, &'a str);
    let cases: [Case<'_>; 18] = [
        // The listener's scheme and port, the redirect's scheme, host and port, the location.
        ("http", 80, None, None, None, "http://gw.example/p"),
        ("http", 8080, None, None, None, "http://gw.example:8080/p"),
        ("https", 443, None, None, None, "https://gw.example/p"),
        ("https", 8443, None, None, None, "https://gw.example:8443/p"),
        ("http", 80, Some("https"), None, None, "https://gw.example/p"),
        ("http", 8080, Some("https"), None, None, "https://gw.example/p"),
        ("https", 8443, Some("https"), None, None, "https://gw.example/p"),
        ("https", 443, Some("http"), None, None, "http://gw.example/p"),
        ("http", 8080, Some("http"), None, None, "http://gw.example/p"),
        ("http", 8080, Some("ftp"), None, None, "ftp://gw.example:8080/p"),
        ("http", 80, None, Some("a.org"), None, "http://a.org/p"),
        ("http", 8080, None, Some("a.org"), None, "http://a.org:8080/p"),
        ("http", 8080, None, None, Some(80), "http://gw.example/p"),
        ("http", 80, None, None, Some(443), "http://gw.example:443/p"),
        ("https", 443, None, None, Some(80), "https://gw.example:80/p"),
        ("http", 80, Some("https"), None, Some(443), "https://gw.example/p"),
        ("http", 80, Some("https"), Some("a.org"), Some(8443), "https://a.org:8443/p"),
        ("https", 443, Some("http"), None, Some(80), "http://gw.example/p"),
    ];
    for (scheme, port, to_scheme, to_host, to_port, expected) in cases {
        let redirect = Redirect {
            scheme: to_scheme.map(Into::into),
            hostname: to_host.map(Into::into),
            port: to_port,
            ..PLAIN
        };
        let context = FilterContext { scheme, port, ..context(None) };
        assert_eq!(redirected(redirect.clone(), &context, "/p"), (302, expected.to_owned()), "{redirect:?}");
    }
}

#[test]
fn redirects_change_the_path_and_keep_the_query() {
    let prefix = PathMatch::Prefix("/foo".into());
    for (modifier, uri, expected) in [
        (None, "/foo/bar?x=1&y=%20", "/foo/bar?x=1&y=%20"),
        (None, "*", "/"),
        (Some(PathModifier::ReplaceFullPath("/full".into())), "/foo/bar?x", "/full?x"),
        (Some(PathModifier::ReplacePrefixMatch("/xyz".into())), "/foo/bar?x", "/xyz/bar?x"),
        (Some(PathModifier::ReplacePrefixMatch("".into())), "/foo", "/"),
        (Some(PathModifier::ReplacePrefixMatch("/".into())), "/foo//evil.com", "//evil.com"),
    ] {
        let redirect = Redirect { path: modifier, ..PLAIN };
        let (_, location) = redirected(redirect, &context(Some(&prefix)), uri);
        assert_eq!(location, format!("http://gw.example{expected}"), "{uri}");
    }
    let context = FilterContext { host: "[2001:db8::1]", port: 8080, ..context(None) };
    assert_eq!(redirected(PLAIN, &context, "/").1, "http://[2001:db8::1]:8080/");
}

#[test]
fn redirects_have_the_five_statuses() {
    for status in [301, 302, 303, 307, 308] {
        assert_eq!(redirected(Redirect { status, ..PLAIN }, &context(None), "/").0, status);
    }
}

#[test]
fn our_own_answers_go_through_the_response_filters() {
    let filters = CompiledFilters::compile(&[
        HttpFilter::ResponseHeaders(modifier(&[("x-response", "1")], &[], &[])),
        HttpFilter::Cors(cors(&["https://www.foo.com"])),
        HttpFilter::Redirect(PLAIN),
    ]);
    let mut request = parts(Request::get("/").header("origin", "https://www.foo.com"));
    let FilterOutcome::Respond(response) = filters.apply_request(&mut request, &context(None)) else {
        panic!()
    };
    assert_eq!(lines(response.headers(), "x-response"), ["1"]);
    assert_eq!(lines(response.headers(), "access-control-allow-origin"), ["https://www.foo.com"]);
}

#[test]
fn an_answer_is_not_filtered_again() {
    let filters = CompiledFilters::compile(&[
        HttpFilter::ResponseHeaders(modifier(&[], &[("x-response", "1")], &[])),
        HttpFilter::Cors(full()),
    ]);
    let preflight =
        Request::options("/").header("origin", "https://www.foo.com").header(REQUEST_METHOD, "GET");
    let FilterOutcome::Respond(response) = filters.apply_request(&mut parts(preflight), &context(None))
    else {
        panic!()
    };
    let mut response = response.into_parts().0;
    let before = response.headers.clone();
    assert_eq!(lines(&before, "x-response"), ["1"]);
    assert!(before.contains_key(ALLOW_METHODS));
    filters.apply_response(&mut response, &context(None));
    assert_eq!(response.headers, before);
}

fn origin(text: &str) -> CorsOrigin {
    let Some((scheme, authority)) = text.split_once("://") else { return CorsOrigin::Any };
    let (host, port) =
        authority.split_once(':').map_or((authority, None), |(host, port)| (host, port.parse().ok()));
    let host = match host {
        "*" => HostPattern::Wildcard("".into()),
        host => host.parse().unwrap(),
    };
    CorsOrigin::Origin { scheme: scheme.into(), host, port }
}

fn names(list: &[&str]) -> Vec<Arc<str>> {
    list.iter().map(|name| (*name).into()).collect()
}

fn cors(origins: &[&str]) -> Cors {
    Cors {
        allow_origins: origins.iter().map(|text| origin(text)).collect(),
        allow_credentials: false,
        allow_methods: Vec::new(),
        allow_headers: Vec::new(),
        expose_headers: Vec::new(),
        max_age: Duration::from_secs(5),
    }
}

/// The policy of the API's conformance test with several origins, methods and headers.
fn full() -> Cors {
    Cors {
        allow_credentials: true,
        allow_methods: names(&["GET", "OPTIONS"]),
        allow_headers: names(&["x-header-1", "x-header-2"]),
        expose_headers: names(&["x-header-3", "x-header-4"]),
        max_age: Duration::from_secs(3600),
        ..cors(&["https://www.foo.com", "https://*.bar.com"])
    }
}

fn wildcards(credentials: bool) -> Cors {
    Cors {
        allow_credentials: credentials,
        allow_methods: names(&["*"]),
        allow_headers: names(&["*"]),
        expose_headers: names(&["*"]),
        ..cors(&["*"])
    }
}

fn preflight(policy: &Cors, headers: &[(&str, &str)]) -> Option<http::Response<Bytes>> {
    let filters = CompiledFilters::compile(&[HttpFilter::Cors(policy.clone())]);
    assert!(filters.wants_origin() && filters.problems().is_empty());
    let mut request = Request::options("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    match filters.apply_request(&mut parts(request), &context(None)) {
        FilterOutcome::Respond(response) => Some(response),
        FilterOutcome::Continue => None,
        FilterOutcome::Invalid | FilterOutcome::Authorize(_) => panic!("a valid policy"),
    }
}

const ALLOW_ORIGIN: &str = "access-control-allow-origin";
const ALLOW_CREDENTIALS: &str = "access-control-allow-credentials";
const ALLOW_METHODS: &str = "access-control-allow-methods";
const ALLOW_HEADERS: &str = "access-control-allow-headers";
const EXPOSE_HEADERS: &str = "access-control-expose-headers";
const MAX_AGE: &str = "access-control-max-age";
const REQUEST_METHOD: &str = "access-control-request-method";
const REQUEST_HEADERS: &str = "access-control-request-headers";

#[test]
fn preflights_of_allowed_origins_are_answered() {
    for origin in ["https://www.foo.com", "https://www.bar.com", "https://xpto.www.bar.com"] {
        let asked =
            [("origin", origin), (REQUEST_METHOD, "GET"), (REQUEST_HEADERS, "x-header-1, x-header-2")];
        let response = preflight(&full(), &asked).unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let headers = response.headers();
        assert_eq!(lines(headers, ALLOW_ORIGIN), [origin]);
        assert_eq!(lines(headers, ALLOW_METHODS), ["GET, OPTIONS"]);
        assert_eq!(lines(headers, ALLOW_HEADERS), ["x-header-1, x-header-2"]);
        assert_eq!(lines(headers, EXPOSE_HEADERS), ["x-header-3, x-header-4"]);
        assert_eq!(lines(headers, ALLOW_CREDENTIALS), ["true"]);
        assert_eq!(lines(headers, MAX_AGE), ["3600"]);
        assert!(lines(headers, "vary")[0].contains("Origin"));
        assert_eq!(lines(headers, "content-length"), ["0"]);
    }
}

#[test]
fn preflights_of_other_origins_are_refused_without_a_word() {
    for origin in ["https://foobar.com", "http://www.foo.com", "https://www.foo.com:8443", "null"] {
        let response = preflight(&full(), &[("origin", origin), (REQUEST_METHOD, "GET")]).unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{origin}");
        assert!(
            response.headers().keys().all(|name| !name.as_str().starts_with("access-control")),
            "{origin}"
        );
    }
    let nobody = preflight(&cors(&[]), &[("origin", "https://a.com"), (REQUEST_METHOD, "GET")]).unwrap();
    assert_eq!(nobody.status(), StatusCode::FORBIDDEN);
}

#[test]
fn wildcards_echo_what_was_asked_for() {
    let asked = [("origin", "https://other.foo.com"), (REQUEST_METHOD, "PUT"), (REQUEST_HEADERS, "x-1, x-2")];
    let with = preflight(&wildcards(true), &asked).unwrap();
    assert_eq!(lines(with.headers(), ALLOW_ORIGIN), ["https://other.foo.com"]);
    assert_eq!(lines(with.headers(), ALLOW_METHODS), ["PUT"]);
    assert_eq!(lines(with.headers(), ALLOW_HEADERS), ["x-1, x-2"]);
    assert_eq!(lines(with.headers(), ALLOW_CREDENTIALS), ["true"]);
    // A literal `*` would mean a field of that name.
    assert!(!with.headers().contains_key(EXPOSE_HEADERS));

    let without = preflight(&wildcards(false), &asked).unwrap();
    assert_eq!(lines(without.headers(), ALLOW_ORIGIN), ["https://other.foo.com"]);
    assert_eq!(lines(without.headers(), ALLOW_METHODS), ["PUT"]);
    assert_eq!(lines(without.headers(), ALLOW_HEADERS), ["x-1, x-2"]);
    assert_eq!(lines(without.headers(), EXPOSE_HEADERS), ["*"]);
    assert!(!without.headers().contains_key(ALLOW_CREDENTIALS));

    for credentials in [true, false] {
        let no_fields = preflight(&wildcards(credentials), &asked[..2]).unwrap();
        assert!(!no_fields.headers().contains_key(ALLOW_HEADERS));
    }
}

#[test]
fn what_a_policy_leaves_out_is_not_said() {
    let policy = cors(&["https://www.foo.com"]);
    let asked = [("origin", "https://www.foo.com"), (REQUEST_METHOD, "POST"), (REQUEST_HEADERS, "x-1")];
    let response = preflight(&policy, &asked).unwrap();
    for name in [ALLOW_METHODS, ALLOW_HEADERS, EXPOSE_HEADERS, ALLOW_CREDENTIALS] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    assert_eq!(lines(response.headers(), MAX_AGE), ["5"]);
}

#[test]
fn other_requests_are_no_preflights() {
    assert!(preflight(&full(), &[("origin", "https://www.foo.com")]).is_none());
    assert!(preflight(&full(), &[(REQUEST_METHOD, "GET")]).is_none());
    let filters = CompiledFilters::compile(&[HttpFilter::Cors(full())]);
    let mut request =
        parts(Request::get("/").header("origin", "https://www.foo.com").header(REQUEST_METHOD, "GET"));
    assert!(matches!(filters.apply_request(&mut request, &context(None)), FilterOutcome::Continue));
}

/// A backend's response with its own ideas, after the filters.
fn answered(policy: Cors, origin: Option<&str>) -> HeaderMap {
    let filters = CompiledFilters::compile(&[HttpFilter::Cors(policy)]);
    let mut response = http::Response::builder()
        .header("x-own", "1")
        .header("vary", "Accept-Encoding")
        .header(ALLOW_ORIGIN, "https://backend.example")
        .header(ALLOW_CREDENTIALS, "true")
        .header(EXPOSE_HEADERS, "x-backend")
        .header(MAX_AGE, "1")
        .body(())
        .unwrap()
        .into_parts()
        .0;
    let origin = origin.map(|origin| HeaderValue::from_str(origin).unwrap());
    filters.apply_response(&mut response, &FilterContext { origin: origin.as_ref(), ..context(None) });
    response.headers
}

#[test]
fn responses_carry_the_policy_and_not_the_backends_own_word() {
    let allowed = answered(full(), Some("https://www.foo.com"));
    assert_eq!(lines(&allowed, ALLOW_ORIGIN), ["https://www.foo.com"]);
    assert_eq!(lines(&allowed, ALLOW_CREDENTIALS), ["true"]);
    assert_eq!(lines(&allowed, EXPOSE_HEADERS), ["x-header-3, x-header-4"]);
    assert!(!allowed.contains_key(MAX_AGE) && !allowed.contains_key(ALLOW_METHODS));
    assert_eq!(lines(&allowed, "vary"), ["Accept-Encoding", "Origin"]);

    for origin in [None, Some("https://foobar.com"), Some("null")] {
        let refused = answered(full(), origin);
        assert!(refused.keys().all(|name| !name.as_str().starts_with("access-control")), "{origin:?}");
        assert_eq!(lines(&refused, "vary"), ["Accept-Encoding", "Origin"]);
        assert_eq!(lines(&refused, "x-own"), ["1"]);
    }
}

#[test]
fn a_wildcard_allows_every_origin_with_its_own_name() {
    let without = answered(wildcards(false), Some("https://other.foo.com:12345"));
    assert_eq!(lines(&without, ALLOW_ORIGIN), ["https://other.foo.com:12345"]);
    assert_eq!(lines(&without, EXPOSE_HEADERS), ["*"]);
    assert_eq!(lines(&without, "vary"), ["Accept-Encoding", "Origin"]);
    assert!(!without.contains_key(ALLOW_CREDENTIALS));

    let with = answered(wildcards(true), Some("https://other.foo.com:12345"));
    assert_eq!(lines(&with, ALLOW_ORIGIN), ["https://other.foo.com:12345"]);
    assert_eq!(lines(&with, ALLOW_CREDENTIALS), ["true"]);
    assert!(lines(&with, EXPOSE_HEADERS)[0].split(", ").any(|name| name == "x-own"));
}

#[test]
fn vary_names_the_origin_once() {
    let filters = CompiledFilters::compile(&[HttpFilter::Cors(full())]);
    for there in ["Origin", "accept, ORIGIN", "*"] {
        let response = http::Response::builder().header("vary", there).body(()).unwrap();
        let mut response = response.into_parts().0;
        filters.apply_response(&mut response, &context(None));
        assert_eq!(lines(&response.headers, "vary"), [there]);
    }
}

proptest! {
    /// Whatever the path and the replacement: the result is a path, ends as the request did, and the query stays.
    #[test]
    fn a_replaced_prefix_leaves_the_rest(
        prefix in "(/[a-z]{1,3}){0,3}/?",
        rest in "(/[a-z%2F.]{0,3}){0,3}",
        replacement in "/?([a-z ?#%ü]{0,4}/){0,3}",
        query in "(\\?[a-z=]{0,5})?",
    ) {
        let path = match format!("{}{rest}", prefix.trim_end_matches('/')) {
            path if path.is_empty() => "/".to_owned(),
            path => path,
        };
        let modifier = PathModifier::ReplacePrefixMatch(replacement.as_str().into());
        let matched = Some(PathMatch::Prefix(prefix.as_str().into()));
        let result = rewritten(modifier, matched, &format!("{path}{query}")).unwrap();
        prop_assert!(result.starts_with('/'));
        prop_assert_eq!(result.find('?'), (!query.is_empty()).then(|| result.len() - query.len()));
        prop_assert!(result.ends_with(&query));
        let result = result.strip_suffix(query.as_str()).unwrap();
        prop_assert!(result.ends_with(&rest));
    }
}
