use http::{Response, response::Builder};

use super::*;

fn parts(response: Builder) -> Parts {
    response.body(()).unwrap().into_parts().0
}

fn ok() -> Builder {
    Response::builder()
}

#[test]
fn only_an_upgrade_that_was_asked_for_opens_a_tunnel() {
    let switching = || ok().status(101).header("connection", "upgrade").header("upgrade", "websocket");
    assert!(check_response(&parts(switching()), true, HeaderLimits::default()).is_ok());
    for (name, response, asked) in [
        ("not asked for", switching(), false),
        ("without Upgrade", ok().status(101), true),
        ("in HTTP/2", switching().version(Version::HTTP_2), true),
        ("in HTTP/1.0", switching().version(Version::HTTP_10), true),
        ("another 1xx", ok().status(103), true),
        ("100", ok().status(100), false),
    ] {
        let violation = check_response(&parts(response), asked, HeaderLimits::default()).expect_err(name);
        assert_eq!(violation.reason, FailureReason::UpstreamProtocol, "{name}");
    }
    assert!(check_response(&parts(ok().status(200)), true, HeaderLimits::default()).is_ok());
}

#[test]
fn responses_that_could_be_cut_differently_are_refused() {
    for (name, response) in [
        ("twice", ok().header("content-length", "5").header("content-length", "5")),
        ("no number", ok().header("content-length", "+5")),
        ("list", ok().header("content-length", "5, 5")),
        ("empty", ok().header("content-length", "")),
        ("both", ok().header("content-length", "5").header("transfer-encoding", "chunked")),
        ("coding", ok().header("transfer-encoding", "gzip, chunked")),
        ("codings", ok().header("transfer-encoding", "chunked").header("transfer-encoding", "chunked")),
        ("HTTP/2", ok().version(Version::HTTP_2).header("transfer-encoding", "chunked")),
        ("fields", (0..101).fold(ok(), |response, _| response.header("x", "1"))),
        ("bytes", ok().header("x", "v".repeat(32 * 1024))),
    ] {
        let violation = check_response(&parts(response), false, HeaderLimits::default()).expect_err(name);
        assert_eq!(violation.reason, FailureReason::UpstreamProtocol, "{name}");
    }
    assert!(
        check_response(&parts(ok().header("content-length", "5")), false, HeaderLimits::default()).is_ok()
    );
    assert!(
        check_response(&parts(ok().header("transfer-encoding", "chunked")), false, HeaderLimits::default())
            .is_ok()
    );
}

fn downstream(response: Builder, http2: bool) -> Parts {
    let mut parts = parts(response);
    to_downstream(&mut parts, http2);
    parts
}

#[test]
fn what_belongs_to_the_backends_connection_ends_here() {
    let response = || {
        ok().version(Version::HTTP_10)
            .header("connection", "close, x-named")
            .header("x-named", "1")
            .header("keep-alive", "timeout=5")
            .header("proxy-authenticate", "Basic")
            .header("transfer-encoding", "chunked")
            .header("upgrade", "h2c")
            .header("te", "trailers")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
    };
    for http2 in [false, true] {
        let parts = downstream(response(), http2);
        let names: Vec<_> = parts.headers.keys().map(http::HeaderName::as_str).collect();
        assert_eq!(names, ["set-cookie"]);
        assert_eq!(parts.headers.get_all("set-cookie").iter().count(), 2);
        assert_eq!(parts.version, if http2 { Version::HTTP_2 } else { Version::HTTP_11 });
    }
}

#[test]
fn a_tunnels_answer_keeps_its_upgrade() {
    let response = ok().status(101).header("connection", "Upgrade, x-named").header("x-named", "1");
    let parts = downstream(response.header("upgrade", "websocket"), false);
    assert_eq!(parts.headers["connection"], "upgrade");
    assert_eq!(parts.headers["upgrade"], "websocket");
    assert_eq!(parts.headers.len(), 2);
}
