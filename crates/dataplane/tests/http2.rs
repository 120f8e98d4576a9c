//! HTTP/2 by prior knowledge, either side.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail this way")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use lasthop_dataplane_api::*;
use support::{backend, client, *};

async fn h2c_proxy(backend: &backend::Backend) -> Proxy {
    let address = backend.address;
    Proxy::start(|snapshot| {
        let plaintext = BackendTls::Plaintext(PlaintextReason::NoPolicy);
        put_backend_with(snapshot, "app", AppProtocol::H2c, plaintext, &[address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await
}

#[tokio::test]
async fn a_client_may_speak_http2_on_an_http_listener() {
    let backend = backend::echo().await;
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    let mut sender = client::http2(proxy.port).await;
    let request = Request::post("http://example.com/p").body(client::full("hello")).unwrap();
    let (status, text) = client::read(sender.send_request(request).await.unwrap()).await;
    assert_eq!(status, 200);
    assert!(
        text.starts_with("POST /p HTTP/1.1\nhost: example.com\n") || text.contains("\nhost: example.com\n"),
        "{text}"
    );
    assert!(text.ends_with("\nhello"), "{text}");
    assert_eq!(proxy.wait_records(1).await[0].protocol, "HTTP/2");
}

#[tokio::test]
async fn many_streams_share_few_backend_connections() {
    let backend = backend::serve(true, |request: Request<Incoming>| async move {
        assert_eq!(request.version(), http::Version::HTTP_2);
        tokio::time::sleep(Duration::from_millis(50)).await;
        Response::new(backend::full(request.uri().to_string()))
    })
    .await;
    let proxy = h2c_proxy(&backend).await;
    let sender = client::http2(proxy.port).await;
    let all: Vec<_> = (0..90)
        .map(|i| {
            let mut sender = sender.clone();
            tokio::spawn(async move {
                client::read(sender.send_request(client::request2(&format!("/{i}"))).await.unwrap()).await
            })
        })
        .collect();
    for (i, task) in all.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), (200, format!("http://example.com/{i}")));
    }
    assert_eq!(backend.connections(), 1, "one is made, and the others wait for it");
}

#[tokio::test]
async fn a_full_connection_gets_a_second_one_beside_it() {
    let backend = backend::serve(true, |_| async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Response::new(backend::full("x"))
    })
    .await;
    let proxy = h2c_proxy(&backend).await;
    let (one, two) = (client::http2(proxy.port).await, client::http2(proxy.port).await);
    let all: Vec<_> = (0..160)
        .map(|i| {
            let mut sender = if i % 2 == 0 { one.clone() } else { two.clone() };
            tokio::spawn(async move {
                client::read(sender.send_request(client::request2("/")).await.unwrap()).await
            })
        })
        .collect();
    for task in all {
        assert_eq!(task.await.unwrap().0, 200);
    }
    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn grpc_trailers_come_through_and_our_failures_are_grpc() {
    let backend = backend::serve(true, |request: Request<Incoming>| async move {
        assert_eq!(request.headers()["te"], "trailers");
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let frames = [
            Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(b"\0\0\0\0\0"))),
            Ok(Frame::trailers(trailers)),
        ];
        Response::builder()
            .header("content-type", "application/grpc")
            .body(BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames))))
            .unwrap()
    })
    .await;
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_backend(snapshot, "empty", &[]);
        for (name, path) in [("app", "/svc.Good"), ("empty", "/svc.Empty")] {
            let mut rule = rule(name, path, &[name]);
            rule.key.route.kind = RouteKind::GRPCRoute;
            put_rule(snapshot, rule);
        }
    })
    .await;
    let mut sender = client::http2(proxy.port).await;
    let mut call = async |path: &str| {
        let request = Request::post(format!("http://example.com{path}"))
            .header("content-type", "application/grpc+proto")
            .header("te", "trailers")
            .body(client::full("\0\0\0\0\0"))
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let head = (answer.status().as_u16(), answer.headers().get("grpc-status").cloned());
        let trailers = answer.into_body().collect().await.unwrap().trailers().cloned();
        (
            head.0,
            head.1.or_else(|| trailers?.get("grpc-status").cloned()).unwrap().to_str().unwrap().to_owned(),
        )
    };
    assert_eq!(call("/svc.Good/Do").await, (200, "0".to_owned()));
    assert_eq!(call("/svc.Empty/Do").await, (200, "14".to_owned()));
    assert_eq!(call("/svc.None/Do").await, (200, "12".to_owned()));
    let reasons: Vec<_> = proxy.wait_records(3).await.iter().map(|record| record.reason).collect();
    assert_eq!(reasons, [None, Some("NoEndpoint"), Some("NoRoute")]);
}

#[tokio::test]
async fn a_header_over_the_limits_is_refused_without_ending_the_connection() {
    let backend = backend::fixed("hi").await;
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    let mut sender = client::http2(proxy.port).await;
    let mut many = client::request2("/");
    for i in 0..110 {
        many.headers_mut().insert(http::HeaderName::try_from(format!("x{i}")).unwrap(), "y".parse().unwrap());
    }
    assert_eq!(client::read(sender.send_request(many).await.unwrap()).await.0, 431);
    let mut large = client::request2("/");
    large.headers_mut().insert("x", "a".repeat(40_000).parse().unwrap());
    let refused = sender.send_request(large).await;
    assert!(refused.is_err() || refused.unwrap().status() == 431);
    assert_eq!(client::read(sender.send_request(client::request2("/")).await.unwrap()).await.0, 200);
    assert_eq!(backend.requests(), 1);
}

#[tokio::test]
async fn a_response_that_breaks_off_resets_its_stream_only() {
    let backend = backend::raw(|number, mut stream| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
        let length = if number == 0 { 10 } else { 2 };
        let _ = stream
            .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\nhi").as_bytes())
            .await;
    })
    .await;
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    let mut sender = client::http2(proxy.port).await;
    let answer = sender.send_request(client::request2("/")).await.unwrap();
    assert!(answer.into_body().collect().await.is_err());
    let answer = sender.send_request(client::request2("/")).await.unwrap();
    assert_eq!(client::read(answer).await, (200, "hi".to_owned()));
}

/// What the raw server does on its first connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Refusal {
    Reset,
    GoAway,
    Silence,
}

/// A raw HTTP/2 server that speaks just enough to refuse.
async fn refusing(how: Refusal) -> backend::Backend {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    backend::raw(move |number, mut stream| async move {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return;
            }
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let mut payload = vec![0; length];
            stream.read_exact(&mut payload).await.unwrap();
            let id = &head[5..9];
            match head[3] {
                // SETTINGS
                4 if head[4] & 1 == 0 => stream.write_all(&[0, 0, 0, 4, 1, 0, 0, 0, 0]).await.unwrap(),
                // DATA with END_STREAM
                // HEADERS with END_STREAM
                1 if head[4] & 1 == 1 && number == 0 => {}
                0 if head[4] & 1 == 1 && number == 0 && how == Refusal::Reset => {
                    let reset = [&[0, 0, 4, 3, 0], id, &[0, 0, 0, 7]].concat();
                    stream.write_all(&reset).await.unwrap();
                }
                0 if head[4] & 1 == 1 && number == 0 && how == Refusal::GoAway => {
                    stream.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await.unwrap();
                }
                // `:status: 200`, END_HEADERS and END_STREAM
                0 | 1 if head[4] & 1 == 1 && number > 0 => {
                    stream.write_all(&[&[0, 0, 1, 1, 5], id, &[0x88]].concat()).await.unwrap();
                }
                _ => {}
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_refused_stream_is_opened_again_with_its_body() {
    for how in [Refusal::Reset, Refusal::GoAway] {
        let backend = refusing(how).await;
        let proxy = h2c_proxy(&backend).await;
        let request = Request::post("/").header("host", "a").body(client::full("hello")).unwrap();
        let answer = client::http1(proxy.port).await.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200, "{how:?}");
        assert_eq!(backend.connections(), 2);
        assert_eq!(proxy.wait_records(1).await[0].bytes_in, 5);
    }
}

#[tokio::test]
async fn a_connection_that_answers_nothing_is_left() {
    let backend = refusing(Refusal::Silence).await;
    let mut proxy = h2c_proxy(&backend).await;
    proxy
        .change(|snapshot| {
            let mut rule = rule("app", "/", &["app"]);
            rule.timeouts.request = Some(Duration::from_millis(100));
            put_rule(snapshot, rule);
        })
        .await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(client::get(proxy.port, "/").await.0);
    }
    assert_eq!(statuses, [504, 504, 504, 200]);
}

#[tokio::test]
async fn an_idle_connection_is_ended_and_a_busy_one_is_not() {
    let backend = backend::serve(false, |_| async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        Response::new(backend::full("late"))
    })
    .await;
    let limits = lasthop_dataplane::Limits {
        idle_timeout: Duration::from_millis(500),
        header_timeout: Duration::from_millis(500),
        ..lasthop_dataplane::Limits::default()
    };
    let proxy = Proxy::with(1, limits, |snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    let idle = client::http2(proxy.port).await;
    let mut busy = client::http2(proxy.port).await;
    let answer = busy.send_request(client::request2("/")).await.unwrap();
    assert_eq!(client::read(answer).await, (200, "late".to_owned()));
    assert!(idle.is_closed() && !busy.is_closed());
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(busy.is_closed());
    assert_eq!(proxy.metric("lasthop_connections{side=\"downstream\"}"), 0.0);
}

/// A backend whose responses have no end, and how many of them it was told to stop.
async fn endless(http2: bool) -> (backend::Backend, Arc<AtomicUsize>) {
    struct Stopped(Arc<AtomicUsize>);
    impl Drop for Stopped {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let stopped = Arc::new(AtomicUsize::new(0));
    let noted = stopped.clone();
    let backend = backend::serve(http2, move |request: Request<Incoming>| {
        let stopped = Stopped(noted.clone());
        async move {
            if request.uri().path() == "/none" {
                return Response::new(backend::full(""));
            }
            let chunks = futures_util::stream::unfold(stopped, |stopped| async {
                Some((Ok(Frame::data(Bytes::from(vec![0; 16 * 1024]))), stopped))
            });
            Response::new(BodyExt::boxed(StreamBody::new(chunks)))
        }
    })
    .await;
    (backend, stopped)
}

/// A client that takes heads and no bodies, and pings all the time.
async fn unwilling(port: u16) -> h2::client::SendRequest<Bytes> {
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(0);
    let (sender, mut connection) = builder.handshake(client::connect(port).await).await.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    tokio::spawn(async move { drop(connection.await) });
    tokio::spawn(async move {
        while pings.ping(h2::Ping::opaque()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    sender
}

/// Nothing asks for a response's body while the client grants it no room; the time limits hold all the same.
#[tokio::test]
async fn a_client_that_does_not_read_holds_no_backend() {
    let limit = Some(Duration::from_millis(500));
    let none = Timeouts::default();
    for (http2, timeouts, reason) in [
        (true, Timeouts { request: limit, ..none }, "RequestTimeout"),
        (false, Timeouts { backend_request: limit, ..none }, "BackendTimeout"),
        (true, none, "ClientTimeout"),
        (false, none, "ClientTimeout"),
    ] {
        let (backend, stopped) = endless(http2).await;
        let limits =
            lasthop_dataplane::Limits { stream_idle_timeout: Duration::from_secs(1), ..Default::default() };
        let proxy = Proxy::with(1, limits, |snapshot| {
            let plaintext = BackendTls::Plaintext(PlaintextReason::NoPolicy);
            let protocol = if http2 { AppProtocol::H2c } else { AppProtocol::Unspecified };
            put_backend_with(snapshot, "app", protocol, plaintext, &[backend.address]);
            let mut rule = rule("app", "/", &["app"]);
            rule.timeouts = timeouts;
            put_rule(snapshot, rule);
        })
        .await;
        let mut sender = unwilling(proxy.port).await;
        let get = |path: &str| Request::get(format!("http://a{path}")).body(()).unwrap();
        let mut responses = Vec::new();
        for _ in 0..5 {
            responses.push(sender.send_request(get("/"), true).unwrap().0.await.unwrap());
        }
        for record in proxy.wait_records(5).await {
            assert_eq!((record.status, record.reason), (200, Some(reason)), "{http2}");
        }
        for response in responses {
            let end = tokio::time::timeout(Duration::from_secs(5), response.into_body().data()).await;
            assert!(matches!(end, Ok(Some(Err(error))) if error.is_reset()), "{reason}: the stream is reset");
        }
        for _ in 0..100 {
            if stopped.load(SeqCst) == 5 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(stopped.load(SeqCst), 5, "{reason} from a backend of HTTP/2: {http2}");
        // The connection goes on.
        let answer = sender.send_request(get("/none"), true).unwrap().0.await.unwrap();
        assert_eq!(answer.status(), 200);
        let side = if reason == "ClientTimeout" { "downstream" } else { "upstream" };
        let text = proxy.metrics();
        let counted = |line: &str| line.contains(&format!("reason=\"{reason}\"}} 5"));
        let of_side = |line: &&str| line.starts_with(&format!("lasthop_{side}_failures_total"));
        assert!(text.lines().filter(of_side).any(counted), "{text}");
    }
}

/// As long as it takes something, however little, and whatever else is buffered for it.
#[tokio::test]
async fn a_client_that_reads_slowly_is_served() {
    let (backend, stopped) = endless(true).await;
    let limits =
        lasthop_dataplane::Limits { stream_idle_timeout: Duration::from_secs(1), ..Default::default() };
    let proxy = Proxy::with(1, limits, |snapshot| {
        let plaintext = BackendTls::Plaintext(PlaintextReason::NoPolicy);
        put_backend_with(snapshot, "app", AppProtocol::H2c, plaintext, &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    let (mut sender, connection) = h2::client::handshake(client::connect(proxy.port).await).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let request = Request::get("http://a/").body(()).unwrap();
    let mut body = sender.send_request(request, true).unwrap().0.await.unwrap().into_body();
    let (mut taken, begun) = (0, std::time::Instant::now());
    while begun.elapsed() < Duration::from_secs(4) {
        let data = tokio::time::timeout(Duration::from_secs(5), body.data()).await.unwrap().unwrap().unwrap();
        taken += data.len();
        body.flow_control().release_capacity(data.len()).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(taken > 100_000 && stopped.load(SeqCst) == 0, "{taken} {:?}", proxy.records());
}
