//! Requests that an authorization service decides about.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail this way")]

mod support;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use lasthop_dataplane::Limits;
use lasthop_dataplane_api::*;
use support::{backend, client, *};

/// What came to a backend: method, target, fields and body.
type Seen = Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>;

/// A backend that notes what comes and answers 200 with the body.
async fn app() -> (backend::Backend, Seen) {
    let seen = Seen::default();
    let noted = seen.clone();
    let backend = backend::serve(false, move |request: Request<Incoming>| {
        let noted = noted.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let target = format!("{} {}", parts.method, parts.uri);
            noted.lock().unwrap().push((target, parts.headers, body.clone()));
            Response::new(backend::full(body))
        }
    })
    .await;
    (backend, seen)
}

/// A service that lets paths below `/open` pass as user "ada", sends others away, and notes what it is shown.
async fn service() -> (backend::Backend, Seen) {
    let seen = Seen::default();
    let noted = seen.clone();
    let backend = backend::serve(false, move |request: Request<Incoming>| {
        let noted = noted.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            noted.lock().unwrap().push((format!("{} {}", parts.method, parts.uri), parts.headers, body));
            match parts.uri.path().contains("/open") {
                true => Response::builder().header("x-user", "ada").body(backend::full("")).unwrap(),
                false => Response::builder()
                    .status(302)
                    .header("location", "https://login.test/")
                    .header("set-cookie", "state=1")
                    .body(backend::full("log in first\n"))
                    .unwrap(),
            }
        }
    })
    .await;
    (backend, seen)
}

fn http(target: &str, path: &str, body_bytes: u32) -> HttpFilter {
    HttpFilter::ExternalAuth(ExternalAuth {
        target: BackendTarget::Backend(backend_key(target)),
        protocol: AuthProtocol::Http {
            path: path.into(),
            headers: vec!["x-session".into()],
            answer_headers: vec!["x-user".into()],
        },
        body_bytes,
    })
}

async fn proxy(app: SocketAddr, service: &[SocketAddr], filters: Vec<HttpFilter>) -> Proxy {
    Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[app]);
        put_backend(snapshot, "auth", service);
        let mut rule = rule("app", "/", &["app"]);
        rule.filters.clone_from(&filters);
        put_rule(snapshot, rule);
    })
    .await
}

async fn ask(proxy: &Proxy, path: &str, body: &str) -> (http::response::Parts, String) {
    let request = Request::post(path)
        .header("host", "shop.test")
        .header("x-user", "forged")
        .header("x-session", "s")
        .header("cookie", "secret")
        .body(client::full(body.to_owned()))
        .unwrap();
    let answer = client::http1(proxy.port).await.send_request(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    (parts, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn what_the_service_lets_pass_goes_on_as_it_says() {
    let ((app, served), (service, asked)) = (app().await, service().await);
    let proxy = proxy(app.address, &[service.address], vec![http("auth", "/check", 0)]).await;
    let (head, body) = ask(&proxy, "/open?item=1", "hello").await;
    assert_eq!((head.status.as_u16(), body.as_str()), (200, "hello"));
    let (target, fields, shown) = asked.lock().unwrap()[0].clone();
    assert_eq!((target.as_str(), shown.len()), ("POST /check/open?item=1", 0));
    assert_eq!(fields["host"], "shop.test");
    assert_eq!(fields["x-session"], "s");
    assert_eq!((&fields["content-length"], fields.get("cookie")), (&"0".parse().unwrap(), None));
    let (target, fields, _) = served.lock().unwrap()[0].clone();
    assert_eq!((target.as_str(), &fields["x-user"]), ("POST /open?item=1", &"ada".parse().unwrap()));
    assert_eq!(fields["cookie"], "secret");
    let record = &proxy.wait_records(1).await[0];
    assert_eq!((record.status, record.reason, record.bytes_in), (200, None, 5));
}

#[tokio::test]
async fn its_refusal_is_the_response_and_the_backend_hears_nothing() {
    let ((app, served), (service, _)) = (app().await, service().await);
    let mut filters = vec![http("auth", "", 0)];
    let field = lasthop_dataplane_api::HeaderValue { name: "x-by".into(), value: "gateway".into() };
    filters
        .push(HttpFilter::ResponseHeaders(HeaderModifier { set: vec![field], ..HeaderModifier::default() }));
    let proxy = proxy(app.address, &[service.address], filters).await;
    let (head, body) = ask(&proxy, "/closed", "hello").await;
    assert_eq!((head.status.as_u16(), body.as_str()), (302, "log in first\n"));
    assert_eq!(head.headers["location"], "https://login.test/");
    assert_eq!(head.headers["set-cookie"], "state=1");
    assert_eq!(head.headers["x-by"], "gateway", "it is a response like any other");
    assert!(served.lock().unwrap().is_empty());
    let record = &proxy.wait_records(1).await[0];
    assert_eq!((record.status, record.reason), (302, Some("AuthorizationDenied")));
    assert_eq!(
        proxy.metric(
            "lasthop_downstream_failures_total{listener=\"default/gw/http\",reason=\"AuthorizationDenied\"}"
        ),
        1.0
    );
}

#[tokio::test]
async fn a_body_is_shown_and_sent_on() {
    let ((app, served), (service, asked)) = (app().await, service().await);
    // Each service sees all of it, or nothing.
    let sizes = [10, 12, 0, 150_000];
    let filters = sizes.iter().map(|size| http("auth", "", *size)).collect();
    let proxy = proxy(app.address, &[service.address], filters).await;
    let (head, body) = ask(&proxy, "/open", "0123456789").await;
    assert_eq!((head.status.as_u16(), body.as_str()), (200, "0123456789"));
    let seen: Vec<_> = asked.lock().unwrap().iter().map(|(_, _, shown)| shown.clone()).collect();
    assert_eq!(seen, ["0123456789", "0123456789", "", "0123456789"]);
    assert_eq!(asked.lock().unwrap()[0].1["content-length"], "10");
    assert_eq!(&served.lock().unwrap()[0].2[..], b"0123456789");
    assert_eq!(proxy.wait_records(1).await[0].bytes_in, 10);
    // Without a length, in many pieces, and up to the last byte that there may be.
    let filters = vec![http("auth", "", 150_000)];
    let proxy = self::proxy(app.address, &[service.address], filters).await;
    let mut sender = client::http2(proxy.port).await;
    let request = Request::post("http://shop.test/open").body(pieces(1500)).unwrap();
    let (status, body) = client::read(sender.send_request(request).await.unwrap()).await;
    assert_eq!((status, body.len()), (200, 150_000));
    assert_eq!(asked.lock().unwrap().last().unwrap().2.len(), 150_000);
}

/// A body that comes in pieces of 100 bytes, without a length.
fn pieces(count: usize) -> client::Body {
    let pieces =
        futures_util::stream::iter((0..count).map(|_| Ok(Frame::data(Bytes::from(vec![b'x'; 100])))));
    BodyExt::boxed(StreamBody::new(pieces))
}

#[tokio::test]
async fn a_body_that_cannot_be_shown_whole_is_refused() {
    let ((app, served), (service, asked)) = (app().await, service().await);
    let proxy = proxy(app.address, &[service.address], vec![http("auth", "", 1000)]).await;
    // By its length, before any of it is read: the client is not asked for it.
    let head = "POST /open HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1001\r\n\r\n";
    let answer = client::raw(proxy.port, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("<closed>"), "{answer}");
    // And when it grows too large.
    let chunk = format!("64\r\n{}\r\n", "x".repeat(100)).repeat(11);
    let head = "POST /open HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = client::raw(proxy.port, format!("{head}{chunk}0\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("<closed>"), "{answer}");
    let mut sender = client::http2(proxy.port).await;
    let mut post = async |count, kind: &str| {
        let request =
            Request::post("http://a/open").header("content-type", kind).body(pieces(count)).unwrap();
        sender.send_request(request).await.unwrap()
    };
    assert_eq!(post(11, "text/plain").await.status(), 413);
    let answer = post(11, "application/grpc").await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["grpc-status"]), (200, &"8".parse().unwrap()));
    assert!(asked.lock().unwrap().is_empty() && served.lock().unwrap().is_empty());
    for record in proxy.wait_records(4).await {
        let told = (record.reason, record.backend.as_deref(), record.attempts);
        assert_eq!(told, (Some("BodyTooLarge"), Some("default/auth:80 via default/gw"), 0));
    }
    let failures = "lasthop_downstream_failures_total{listener=\"default/gw/http\",reason=\"BodyTooLarge\"}";
    assert_eq!(proxy.metric(failures), 4.0);
    // The connection of the others goes on.
    assert_eq!(post(10, "text/plain").await.status(), 200);
}

#[tokio::test]
async fn what_no_backend_may_have_is_shown_to_no_service() {
    let ((app, served), (service, asked)) = (app().await, service().await);
    let limits = Limits { body_bytes: Some(1000), ..Limits::default() };
    let proxy = Proxy::with(1, limits, |snapshot| {
        put_backend(snapshot, "app", &[app.address]);
        put_backend(snapshot, "auth", &[service.address]);
        let mut rule = rule("app", "/", &["app"]);
        rule.filters.push(http("auth", "", 100_000));
        put_rule(snapshot, rule);
    })
    .await;
    let request = Request::post("http://a/open").body(pieces(11)).unwrap();
    let answer = client::http2(proxy.port).await.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 413);
    assert!(asked.lock().unwrap().is_empty() && served.lock().unwrap().is_empty());
}

/// A proxy whose rule, or the rule's reference, asks `service` within a time limit.
async fn limited(app: SocketAddr, service: SocketAddr, of_rule: bool, limit: Option<Duration>) -> Proxy {
    let limits = Limits { header_timeout: Duration::from_millis(800), ..Limits::default() };
    Proxy::with(1, limits, |snapshot| {
        put_backend(snapshot, "app", &[app]);
        put_backend(snapshot, "auth", &[service]);
        let mut rule = rule("app", "/", &["app"]);
        rule.timeouts.request = limit;
        let filters = if of_rule { &mut rule.filters } else { &mut rule.backends[0].filters };
        filters.push(http("auth", "", 1000));
        put_rule(snapshot, rule);
    })
    .await
}

#[tokio::test]
async fn the_requests_time_limit_holds_for_the_service_too() {
    let (app, served) = app().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = silent.local_addr().unwrap();
    for of_rule in [true, false] {
        let proxy = limited(app.address, at, of_rule, Some(Duration::from_millis(300))).await;
        let begun = Instant::now();
        assert_eq!(ask(&proxy, "/open", "hello").await.0.status, 504);
        assert!((250..3000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
        let record = &proxy.wait_records(1).await[0];
        let told = (record.reason, record.backend.as_deref());
        assert_eq!(told, (Some("RequestTimeout"), Some("default/auth:80 via default/gw")));
        let line = "lasthop_upstream_failures_total{backend=\"default/auth:80 via default/gw\",reason=\"RequestTimeout\"}";
        assert_eq!(proxy.metric(line), 1.0);
        // The limit that a call brings with it.
        let proxy = limited(app.address, at, of_rule, None).await;
        let request = Request::post("http://a/open")
            .header("content-type", "application/grpc")
            .header("grpc-timeout", "300m")
            .body(client::full("m"))
            .unwrap();
        let begun = Instant::now();
        let answer = client::http2(proxy.port).await.send_request(request).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "4");
        assert!((250..3000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    }
    assert!(served.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for_long() {
    let ((app, served), (service, asked)) = (app().await, service().await);
    let part = b"POST /open HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc";
    for (limit, status, reason) in [
        (Some(Duration::from_millis(300)), "504", "RequestTimeout"),
        // Without one, as long as a header may take.
        (None, "408", "ClientTimeout"),
    ] {
        let proxy = limited(app.address, service.address, true, limit).await;
        let answer = client::raw(proxy.port, part).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let record = &proxy.wait_records(1).await[0];
        assert_eq!((record.reason, record.bytes_in), (Some(reason), 3));
    }
    // It may come slowly.
    let proxy = limited(app.address, service.address, true, None).await;
    let (send, mut receive) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let frames = futures_util::stream::poll_fn(move |cx| {
        receive.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data))))
    });
    let request = Request::post("http://a/open").body(BodyExt::boxed(StreamBody::new(frames))).unwrap();
    let mut sender = client::http2(proxy.port).await;
    let answer = tokio::spawn(sender.send_request(request));
    for _ in 0..4 {
        send.send(Bytes::from_static(b"abc")).unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    drop(send);
    assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    assert_eq!((asked.lock().unwrap().len(), served.lock().unwrap().len()), (1, 1));
}

#[tokio::test]
async fn filters_keep_their_order() {
    let ((app, served), (service, asked)) = (app().await, service().await);
    let set = |name: &str, value: &str| {
        let field = lasthop_dataplane_api::HeaderValue { name: name.into(), value: value.into() };
        HttpFilter::RequestHeaders(HeaderModifier { set: vec![field], ..HeaderModifier::default() })
    };
    let rewrite = |path: &str| {
        let path = Some(PathModifier::ReplaceFullPath(path.into()));
        HttpFilter::Rewrite(UrlRewrite { hostname: None, path })
    };
    let filters = vec![
        set("x-session", "ours"),
        http("auth", "", 0),
        set("x-user", "after"),
        rewrite("/open/inner"),
        http("auth", "/again", 0),
    ];
    let proxy = proxy(app.address, &[service.address], filters).await;
    assert_eq!(ask(&proxy, "/open", "").await.0.status, 200);
    let asked = asked.lock().unwrap().clone();
    assert_eq!((asked[0].0.as_str(), &asked[0].1["x-session"]), ("POST /open", &"ours".parse().unwrap()));
    assert_eq!(asked[1].0, "POST /again/open/inner");
    let (target, fields, _) = served.lock().unwrap()[0].clone();
    assert_eq!((target.as_str(), &fields["x-user"]), ("POST /open/inner", &"ada".parse().unwrap()));
}

#[tokio::test]
async fn without_an_answer_nothing_goes_on() {
    let (app, served) = app().await;
    let nobody: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let chatty = backend::serve(false, |_: Request<Incoming>| async {
        Response::new(backend::full(vec![b'x'; 200_000]))
    })
    .await;
    for (service, status, reason) in [
        (vec![nobody], 502, "ConnectFailed"),
        (vec![], 503, "NoEndpoint"),
        (vec![silent.local_addr().unwrap()], 504, "BackendTimeout"),
        (vec![chatty.address], 502, "UpstreamProtocol"),
    ] {
        let proxy = proxy(app.address, &service, vec![http("auth", "", 0)]).await;
        let (head, _) = ask(&proxy, "/open", "hello").await;
        assert_eq!(head.status, status, "{reason}");
        let record = &proxy.wait_records(1).await[0];
        assert_eq!(
            (record.reason, record.backend.as_deref()),
            (Some(reason), Some("default/auth:80 via default/gw"))
        );
    }
    // A service that the reference does not lead to, and one whose policy is refused.
    let refused =
        BackendTls::Refused(Refusal { reason: "Invalid".into(), message: "no".into(), policy: "a/b".into() });
    for (target, status) in [
        (
            BackendTarget::Invalid(InvalidBackend {
                reason: "RefNotPermitted".into(),
                reference: "x".into(),
            }),
            500,
        ),
        (BackendTarget::Backend(backend_key("auth")), 502),
    ] {
        let proxy = Proxy::start(|snapshot| {
            put_backend(snapshot, "app", &[app.address]);
            let unspecified = AppProtocol::Unspecified;
            put_backend_with(snapshot, "auth", unspecified, refused.clone(), &[chatty.address]);
            let mut rule = rule("app", "/", &["app"]);
            let HttpFilter::ExternalAuth(mut auth) = http("auth", "", 0) else { panic!("another filter") };
            auth.target = target.clone();
            rule.filters.push(HttpFilter::ExternalAuth(auth));
            put_rule(snapshot, rule);
        })
        .await;
        assert_eq!(ask(&proxy, "/open", "").await.0.status, status);
    }
    assert!(served.lock().unwrap().is_empty(), "nothing reached the backend");
}

#[tokio::test]
async fn a_reference_of_the_rule_can_have_its_own() {
    let ((app, served), (service, asked)) = (app().await, service().await);
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[app.address]);
        put_backend(snapshot, "auth", &[service.address]);
        let mut rule = rule("app", "/", &["app"]);
        rule.backends[0].filters.push(http("auth", "", 100));
        put_rule(snapshot, rule);
    })
    .await;
    assert_eq!(ask(&proxy, "/open", "hello").await.1, "hello");
    assert_eq!(ask(&proxy, "/closed", "hello").await.0.status, 302);
    assert_eq!((asked.lock().unwrap().len(), served.lock().unwrap().len()), (2, 1));
    let records = proxy.wait_records(2).await;
    assert_eq!(records[0].backend.as_deref(), Some("default/app:80 via default/gw"));
}
