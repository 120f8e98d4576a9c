//! Requests that are too much or not HTTP: refused with 431, 413 or 400, and the connection closed.

use crate::{
    for_each_stack,
    support::{Stack, client::Client, proxy::Proxy, site::Site},
};

for_each_stack!(
    header_too_long,
    header_with_too_many_fields,
    header_within_the_limits,
    not_http,
    smuggling,
    length_beside_chunks,
    body_too_large,
    header_limits_that_are_raised
);

fn header_too_long(stack: Stack) {
    let field = format!("x-long: {}\r\n", "a".repeat(40 * 1024));
    refused(stack, &[(format!("GET / HTTP/1.1\r\nhost: shop.test\r\n{field}\r\n"), &[431])]);
}

fn header_with_too_many_fields(stack: Stack) {
    let fields: String = (0..120).map(|number| format!("x-{number}: 1\r\n")).collect();
    refused(stack, &[(format!("GET / HTTP/1.1\r\nhost: shop.test\r\n{fields}\r\n"), &[431])]);
}

/// The control: much, but not too much.
fn header_within_the_limits(stack: Stack) {
    let (site, server) = Site::shop();
    let _proxy = site.start(stack);
    let fields: String = (0..80).map(|number| format!("x-{number}: {}\r\n", "a".repeat(200))).collect();
    let answer = site
        .connect("shop.test")
        .exchange(format!("GET / HTTP/1.1\r\nhost: shop.test\r\n{fields}\r\n").as_bytes())
        .unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(server.requests().len(), 1);
}

fn not_http(stack: Stack) {
    refused(
        stack,
        &[
            ("NONSENSE\r\n\r\n".to_owned(), &[400]),
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), &[400]),
            ("GET / HTTP/1.1\r\nhost: a.test\r\nhost: shop.test\r\n\r\n".to_owned(), &[400]),
            ("GET / HTTP/1.1\r\nhost: shop.test\r\nbad name: 1\r\n\r\n".to_owned(), &[400]),
            ("GET / HTTP/1.1\r\nhost: shop.test\r\nx: a\0b\r\n\r\n".to_owned(), &[400]),
            ("GET / HTTP/1.1\r\nhost: sh op.test\r\n\r\n".to_owned(), &[400]),
        ],
    );
}

/// What two parsers could read in two ways is not passed on.
fn smuggling(stack: Stack) {
    let post = |fields: &str| format!("POST /echo HTTP/1.1\r\nhost: shop.test\r\n{fields}\r\n\r\n0\r\n\r\n");
    refused(
        stack,
        &[
            (post("content-length: 5\r\ncontent-length: 6"), &[400]),
            (post("content-length: +5"), &[400]),
            (post("transfer-encoding: chunked, identity"), &[400, 501]),
            (post("transfer-encoding: xchunked"), &[400, 501]),
            (post("transfer-encoding : chunked"), &[400]),
        ],
    );
}

/// RFC 9112 §6.1 leaves two ways: refuse, or let the chunks decide, pass no length on, and close.
fn length_beside_chunks(stack: Stack) {
    let (site, server) = Site::shop();
    let _proxy = site.start(stack);
    let mut client = site.connect("shop.test");
    let request =
        b"POST /echo HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 60\r\ntransfer-encoding: chunked\r\n\r\n\
        4\r\nbody\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: shop.test\r\n\r\n";
    let answer = client.exchange(request).unwrap();
    assert!(answer.status == 400 || (answer.status == 200 && answer.body == "body"), "{answer:?}");
    assert!(client.ends(), "the connection is open");
    for head in server.requests() {
        assert!(
            !head.contains("smuggled") && !head.to_ascii_lowercase().contains("content-length: 60"),
            "{head}"
        );
    }
}

fn body_too_large(stack: Stack) {
    let (site, server) = Site::shop();
    let proxy = start_with(&site, stack, "body-bytes = 1000");
    let length = "POST /length HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 1001\r\n\r\n".to_owned();
    let chunk = format!("3e8\r\n{}\r\n", "a".repeat(1000));
    let chunks = format!(
        "POST /chunks HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding: chunked\r\n\r\n{chunk}1\r\nb\r\n0\r\n\r\n"
    );
    for request in [length, chunks] {
        let mut client = site.connect("shop.test");
        assert_eq!(client.exchange(request.as_bytes()).unwrap().status, 413, "{request}");
        assert!(client.ends(), "the connection is open");
    }
    for path in ["/length", "/chunks"] {
        let record = proxy.record_of("shop.test", path);
        assert_eq!((&record["status"], &record["reason"]), (&413.into(), &"BodyTooLarge".into()), "{record}");
    }
    assert!(!server.requests().iter().any(|head| head.contains("/length")));
    let whole =
        format!("POST /echo HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 1000\r\n\r\n{}", "a".repeat(1000));
    assert_eq!(site.connect("shop.test").exchange(whole.as_bytes()).unwrap().status, 200);
}

fn header_limits_that_are_raised(stack: Stack) {
    let (site, _server) = Site::shop();
    let _proxy = start_with(&site, stack, "header-bytes = 131072\nheader-fields = 200");
    let fields: String = (0..150).map(|number| format!("x-{number}: {}\r\n", "a".repeat(500))).collect();
    let request = format!("GET / HTTP/1.1\r\nhost: shop.test\r\n{fields}\r\n");
    assert_eq!(site.connect("shop.test").exchange(request.as_bytes()).unwrap().status, 200);
}

/// The proxy with these limits.
fn start_with(site: &Site, stack: Stack, limits: &str) -> Proxy {
    let settings = site.work().join("settings.toml");
    std::fs::write(&settings, format!("[limits]\n{limits}\n")).unwrap();
    let flags = ["--settings", settings.to_str().unwrap()];
    let mut proxy = Proxy::start_without_waiting(stack, &site.manifests(), site.work(), &flags);
    proxy.wait_ready(&[site.https, site.http]);
    proxy
}

/// Each request gets one of the statuses on a connection of its own, which then ends; none reaches the backend.
fn refused(stack: Stack, requests: &[(String, &[u16])]) {
    let (site, server) = Site::shop();
    let proxy = site.start(stack);
    for (request, statuses) in requests {
        let shown = request.chars().take(120).collect::<String>();
        let mut clients = [site.connect("shop.test"), Client::plain(site.http).unwrap()];
        for client in &mut clients {
            let answer = client.exchange(request.as_bytes());
            let answer = answer.unwrap_or_else(|error| panic!("{shown:?} got no answer: {error}"));
            assert!(statuses.contains(&answer.status), "{shown:?} got {answer:?}");
            assert!(client.ends(), "the connection is open after {shown:?}");
        }
    }
    assert_eq!(server.requests(), Vec::<String>::new());
    // The proxy is well.
    assert_eq!(site.get("shop.test", "/").status, 200);
    drop(proxy);
}
