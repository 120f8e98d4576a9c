use http::{Request, request::Builder};
use proptest::prelude::*;

use super::*;
use crate::hygiene::{HeaderLimits, check_request};

const HTTP1: UpstreamForm = UpstreamForm { http2: false, tls: true, upgrade: false };
const HTTP2: UpstreamForm = UpstreamForm { http2: true, tls: true, upgrade: false };

fn sent(request: Builder, form: UpstreamForm) -> Parts {
    let mut parts = request.body(()).unwrap().into_parts().0;
    to_upstream(&mut parts, form);
    parts
}

#[test]
fn the_authority_moves_between_host_and_uri() {
    for (name, request) in [
        ("origin form", Request::get("/p?q").header("host", "a.com:81")),
        ("absolute form", Request::get("http://a.com:81/p?q").header("host", "a.com:81")),
        ("HTTP/2", Request::get("http://a.com:81/p?q").version(Version::HTTP_2)),
        ("rewritten", Request::get("http://b.com/p?q").version(Version::HTTP_2).header("host", "a.com:81")),
    ] {
        let mut parts = request.body(()).unwrap().into_parts().0;
        // Attempts may go over connections of either kind, in any order.
        for form in [HTTP2, HTTP1, HTTP1, HTTP2, HTTP2, HTTP1] {
            to_upstream(&mut parts, form);
            if form.http2 {
                assert_eq!(parts.uri, "https://a.com:81/p?q", "{name}");
                assert_eq!(parts.version, Version::HTTP_2);
                assert!(!parts.headers.contains_key("host"), "{name}");
            } else {
                assert_eq!(parts.uri, "/p?q", "{name}");
                assert_eq!(parts.version, Version::HTTP_11);
                assert_eq!(parts.headers.get_all("host").iter().collect::<Vec<_>>(), ["a.com:81"], "{name}");
            }
        }
    }
}

#[test]
fn the_scheme_is_that_of_the_connection() {
    let request = || Request::get("https://a.com/").version(Version::HTTP_2);
    assert_eq!(sent(request(), UpstreamForm { tls: false, ..HTTP2 }).uri, "http://a.com/");
    assert_eq!(sent(request(), HTTP2).uri, "https://a.com/");
}

#[test]
fn the_asterisk_stays() {
    let request = || Request::options("*").header("host", "a.com");
    assert_eq!(sent(request(), HTTP1).uri, "*");
    assert_eq!(sent(request(), HTTP2).uri.path(), "*");
}

#[test]
fn cookies_are_one_line_in_http1_only() {
    let request = || Request::get("http://a.com/").header("cookie", "a=1").header("cookie", "b=2; c=3");
    let joined = sent(request(), HTTP1);
    assert_eq!(joined.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
    assert_eq!(sent(request(), HTTP2).headers.get_all("cookie").iter().count(), 2);
    let one = sent(Request::get("http://a.com/").header("cookie", "a=1"), HTTP1);
    assert_eq!(one.headers["cookie"], "a=1");
}

#[test]
fn upgrades_go_on_where_they_can() {
    let request = || {
        let request = Request::get("/").header("host", "a.com").header("te", "trailers");
        let request = request.header("connection", "upgrade").header("upgrade", "websocket");
        let mut parts = request.body(()).unwrap().into_parts().0;
        assert!(check_request(&mut parts, HeaderLimits::default()).unwrap().upgrade);
        parts
    };
    let mut parts = request();
    to_upstream(&mut parts, UpstreamForm { upgrade: true, ..HTTP1 });
    assert_eq!(parts.headers["connection"], "upgrade, te");
    assert_eq!(parts.headers["upgrade"], "websocket");
    let once = parts.headers.clone();
    to_upstream(&mut parts, UpstreamForm { upgrade: true, ..HTTP1 });
    assert_eq!(parts.headers, once);

    let mut parts = request();
    to_upstream(&mut parts, HTTP1);
    assert!(!parts.headers.contains_key("upgrade"));
    assert_eq!(parts.headers["connection"], "te");

    let mut parts = request();
    to_upstream(&mut parts, UpstreamForm { upgrade: true, ..HTTP2 });
    assert!(!parts.headers.contains_key("upgrade") && !parts.headers.contains_key("connection"));
    assert_eq!(parts.headers["te"], "trailers");
}

#[test]
fn a_client_cannot_have_a_filters_field_removed() {
    let request = Request::get("/").header("host", "a.com").header("connection", "x-user, x-forwarded-for");
    let mut parts = request.body(()).unwrap().into_parts().0;
    check_request(&mut parts, HeaderLimits::default()).unwrap();
    // A filter.
    parts.headers.insert("x-user", HeaderValue::from_static("trusted"));
    to_upstream(&mut parts, HTTP1);
    assert_eq!(parts.headers["x-user"], "trusted");
}

proptest! {
    /// What is matched is what is forwarded: path, query and host reach the backend as routing saw them.
    #[test]
    fn the_matched_path_is_the_forwarded_one(
        path in "(/[a-c%.26179eEF;~]{0,6}){1,5}(\\?[a-z%&=/.]{0,8})?",
        port in prop::option::of(1u16..),
        http2_down in any::<bool>(),
        http2_up in any::<bool>(),
    ) {
        let authority = port.map_or("a.com".to_owned(), |port| format!("a.com:{port}"));
        let request = if http2_down {
            Request::get(format!("https://{authority}{path}")).version(Version::HTTP_2)
        } else {
            Request::get(&path).header("host", &authority)
        };
        let Ok(request) = request.body(()) else { return Ok(()) };
        let mut parts = request.into_parts().0;
        if check_request(&mut parts, HeaderLimits::default()).is_err() {
            return Ok(());
        }
        let matched = parts.uri.path_and_query().cloned();
        to_upstream(&mut parts, if http2_up { HTTP2 } else { HTTP1 });
        prop_assert_eq!(parts.uri.path_and_query(), matched.as_ref());
        prop_assert_eq!(crate::hygiene::authority(&parts), Some(authority.as_bytes()));
        // And it reads the same to whoever reads it strictly.
        let mut again = parts.clone();
        prop_assert!(check_request(&mut again, HeaderLimits::default()).is_ok());
        prop_assert_eq!(again.uri, parts.uri);
    }
}
