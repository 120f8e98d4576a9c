//! HTTP/1.1 on both sides, in plaintext.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail this way")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use lasthop_dataplane::Limits;
use lasthop_dataplane_api::*;
use support::{backend, client, *};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn proxy_to(backend: &backend::Backend) -> Proxy {
    let address = backend.address;
    Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await
}

#[tokio::test]
async fn a_request_reaches_the_backend_and_its_answer_comes_back() {
    let backend = backend::echo().await;
    let proxy = proxy_to(&backend).await;
    let request = Request::post("/path?q=1")
        .header("host", "example.com")
        .header("x-mine", "yes")
        .body(client::full("hello"))
        .unwrap();
    let mut sender = client::http1(proxy.port).await;
    let (status, text) = client::read(sender.send_request(request).await.unwrap()).await;
    assert_eq!(status, 200);
    assert!(text.starts_with("POST /path?q=1 HTTP/1.1\n"), "{text}");
    assert!(text.contains("host: example.com\n"), "{text}");
    assert!(text.contains("x-mine: yes\n"), "{text}");
    assert!(text.contains("x-forwarded-for: 127.0.0.1\n"), "{text}");
    assert!(text.contains("x-forwarded-proto: http\n"), "{text}");
    assert!(text.ends_with("\n\nhello"), "{text}");

    let record = &proxy.wait_records(1).await[0];
    assert_eq!((record.status, record.reason), (200, None));
    assert_eq!(
        (record.method.as_str(), record.path.as_str(), record.protocol),
        ("POST", "/path", "HTTP/1.1")
    );
    assert_eq!(record.rule.as_deref(), Some("HTTPRoute/default/app/0 via default/gw"));
    assert_eq!(record.listener.as_deref(), Some("http"));
    assert_eq!(record.endpoint, Some(backend.address));
    assert_eq!((record.attempts, record.reused, record.tls), (1, false, None));
    assert_eq!((record.bytes_in, record.bytes_out), (5, text.len() as u64));
}

#[tokio::test]
async fn a_backend_connection_serves_many_requests() {
    let backend = backend::fixed("hi").await;
    let proxy = proxy_to(&backend).await;
    for _ in 0..20 {
        assert_eq!(client::get(proxy.port, "/").await, (200, "hi".to_owned()));
    }
    assert_eq!(backend.connections(), 1);
    assert_eq!(proxy.metric("lasthop_upstream_reused_total"), 19.0);
    assert_eq!(proxy.metric("lasthop_upstream_idle_connections"), 1.0);
    assert_eq!(
        proxy.metric(
            "lasthop_requests_total{gateway=\"default/gw\",listener=\"default/gw/http\",route=\"HTTPRoute/default/app\",backend=\"default/app:80\",code=\"2xx\"}"
        ),
        20.0,
        "{}",
        proxy.metrics()
    );
}

#[tokio::test]
async fn our_own_answers_have_a_status_and_no_reason() {
    let gone = free_port();
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "empty", &[]);
        put_rule(snapshot, rule("empty", "/empty", &["empty"]));
        put_backend(snapshot, "gone", &[([127, 0, 0, 1], gone).into()]);
        put_rule(snapshot, rule("gone", "/gone", &["gone"]));
        put_rule(snapshot, rule("none", "/none", &[]));
        let refusal = Refusal {
            reason: "InvalidCACertificateRef".into(),
            message: "no such ConfigMap".into(),
            policy: "default/p".into(),
        };
        let spy: std::net::SocketAddr = ([127, 0, 0, 1], gone).into();
        put_backend_with(snapshot, "refused", AppProtocol::Unspecified, BackendTls::Refused(refusal), &[spy]);
        put_rule(snapshot, rule("refused", "/refused", &["refused"]));
    })
    .await;
    let answers = [
        ("/other", 404, "not found\n", "NoRoute"),
        ("/empty", 503, "service unavailable\n", "NoEndpoint"),
        ("/gone", 502, "bad gateway\n", "ConnectFailed"),
        ("/none", 500, "internal server error\n", "InvalidBackend"),
        ("/refused", 502, "bad gateway\n", "PolicyRefused"),
    ];
    for (path, status, text, _) in answers {
        assert_eq!(client::get(proxy.port, path).await, (status, text.to_owned()), "{path}");
    }
    let records = proxy.wait_records(answers.len()).await;
    for (record, (path, status, _, reason)) in records.iter().zip(answers) {
        assert_eq!((record.path.as_str(), record.status, record.reason), (path, status, Some(reason)));
    }
    let metrics = proxy.metrics();
    for (_, _, _, reason) in answers {
        assert!(metrics.contains(&format!("reason=\"{reason}\"}} 1")), "{reason}: {metrics}");
    }
}

#[tokio::test]
async fn a_dead_endpoint_is_stepped_around() {
    let backend = backend::fixed("alive").await;
    let dead: Vec<std::net::SocketAddr> = (0..2).map(|_| ([127, 0, 0, 1], free_port()).into()).collect();
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[dead[0], backend.address, dead[1]]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    for _ in 0..30 {
        assert_eq!(client::get(proxy.port, "/").await, (200, "alive".to_owned()));
    }
    let failures = proxy.metric("lasthop_upstream_failures_total{backend");
    assert!(failures <= 2.0, "each dead endpoint is tried once at most: {failures}");
}

#[tokio::test]
async fn an_idle_connection_that_the_backend_closed_costs_no_request() {
    // Each connection answers one request and closes without saying so before.
    let backend = backend::raw(|_, mut stream| async move {
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    })
    .await;
    let proxy = proxy_to(&backend).await;
    for i in 0..40 {
        assert_eq!(client::get(proxy.port, "/").await, (200, "hi".to_owned()), "request {i}");
        tokio::time::sleep(Duration::from_millis(i % 10)).await;
    }
}

#[tokio::test]
async fn a_reset_in_place_of_an_answer_repeats_only_what_is_idempotent() {
    // The first request of a connection is answered, the second one makes it close unanswered.
    let behave = |_: usize, mut stream: tokio::net::TcpStream| async move {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
        let _ = stream.read(&mut buffer).await;
    };
    let backend = backend::raw(behave).await;
    let proxy = proxy_to(&backend).await;
    assert_eq!(client::get(proxy.port, "/").await.0, 200);
    assert_eq!(client::get(proxy.port, "/").await.0, 200, "a GET is sent again");
    let post = Request::post("/").header("host", "a").body(client::full("x")).unwrap();
    let answer = client::http1(proxy.port).await.send_request(post).await.unwrap();
    assert_eq!(client::read(answer).await, (502, "bad gateway\n".to_owned()), "a POST is not");
    let records = proxy.wait_records(3).await;
    assert_eq!(records[2].reason, Some("UpstreamReset"));
    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn what_breaks_the_limits_is_refused_and_the_connection_closed() {
    let backend = backend::echo().await;
    let proxy = proxy_to(&backend).await;
    let large = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(40_000));
    let many: String = (0..110).map(|i| format!("x{i}: y\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n");
    for (name, request) in [("bytes", large), ("fields", many)] {
        let answer = client::raw(proxy.port, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{name}: {answer}");
        assert!(answer.ends_with("<closed>"), "{name}: {answer}");
    }
    for bad in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nbad name: x\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let answer = client::raw(proxy.port, bad.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bad:?}: {answer}");
        assert!(answer.ends_with("<closed>"), "{bad:?}: {answer}");
    }
    assert_eq!(backend.requests(), 0);
    let records = proxy.wait_records(6).await;
    let reasons: Vec<_> = records.iter().map(|record| (record.status, record.reason)).collect();
    assert_eq!(reasons[..2], [(431, Some("HeadersTooLarge")); 2]);
    assert_eq!(reasons[2..], [(400, Some("BadRequest")); 4]);
    let count = |reason: &str| {
        let line =
            format!("lasthop_downstream_failures_total{{listener=\"default/gw/http\",reason=\"{reason}\"}}");
        proxy.metric(&line)
    };
    assert_eq!((count("HeadersTooLarge"), count("BadRequest")), (2.0, 4.0), "{}", proxy.metrics());
}

/// RFC 9112 §6.3: the length is not believed, and the connection is not used again.
#[tokio::test]
async fn a_request_with_two_lengths_reaches_the_backend_with_one() {
    let backend = backend::echo().await;
    let proxy = proxy_to(&backend).await;
    let both = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let answer = client::raw(proxy.port, both.as_bytes()).await;
    assert!(
        answer.contains("transfer-encoding: chunked\n") && !answer.contains("content-length: 3"),
        "{answer}"
    );
    assert!(answer.ends_with("<closed>") && backend.requests() == 1, "{answer}");
}

#[tokio::test]
async fn expectations_trailers_and_chunks_pass_through() {
    let backend = backend::serve(false, |request: Request<hyper::body::Incoming>| async move {
        let body = request.into_body().collect().await.unwrap();
        let trailer = body.trailers().and_then(|trailers| trailers.get("x-sum")).cloned();
        let text = format!("{:?} {:?}", body.to_bytes(), trailer);
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-done", "yes".parse().unwrap());
        let frames = [
            Ok(Frame::data(Bytes::from(text))),
            Ok::<_, std::convert::Infallible>(Frame::trailers(trailers)),
        ];
        Response::builder()
            .header("trailer", "x-done")
            .body(StreamBody::new(futures_util::stream::iter(frames)).boxed())
            .unwrap()
    })
    .await;
    let proxy = proxy_to(&backend).await;

    let mut stream = client::connect(proxy.port).await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\nte: trailers\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 4096];
    let n = stream.read(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..n], b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\n") || !answer.contains("\r\n0\r\n") {
        let n = stream.read(&mut buffer).await.unwrap();
        assert!(n > 0, "{answer}");
        answer += &String::from_utf8_lossy(&buffer[..n]);
    }
    assert!(answer.contains("b\"abc\" Some(\"6\")"), "{answer}");
    assert!(answer.ends_with("0\r\nx-done: yes\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_slow_reader_holds_the_backend_back() {
    const CHUNK: usize = 64 * 1024;
    let produced = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = produced.clone();
    let backend = backend::serve(false, move |_| {
        let counter = counter.clone();
        async move {
            let chunks = futures_util::stream::unfold(0, move |i| {
                let counter = counter.clone();
                async move {
                    (i < 2000).then(|| {
                        counter.fetch_add(CHUNK, std::sync::atomic::Ordering::SeqCst);
                        (
                            Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(vec![b'x'; CHUNK]))),
                            i + 1,
                        )
                    })
                }
            });
            Response::new(BodyExt::boxed(StreamBody::new(chunks)))
        }
    })
    .await;
    let proxy = proxy_to(&backend).await;
    let answer = client::http1(proxy.port).await.send_request(client::request("/")).await.unwrap();
    let mut body = answer.into_body();
    let mut read = 0;
    // Let everything that buffers fill up.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let ahead = produced.load(std::sync::atomic::Ordering::SeqCst);
    assert!(ahead < 32 << 20, "{ahead} bytes went into buffers");
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().into_data().map_or(0, |data| data.len());
    }
    assert_eq!(read, 2000 * CHUNK);
}

#[tokio::test]
async fn a_client_that_takes_too_long_is_let_go() {
    let backend = backend::fixed("hi").await;
    let limits = Limits {
        header_timeout: Duration::from_millis(400),
        idle_timeout: Duration::from_millis(800),
        ..Limits::default()
    };
    let proxy = Proxy::with(1, limits, |snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    let started = std::time::Instant::now();
    let mut stream = client::connect(proxy.port).await;
    stream.write_all(b"GET / HT").await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!((350..1000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());

    let mut stream = client::connect(proxy.port).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let started = std::time::Instant::now();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"hi"));
    assert!((700..1500).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());

    let mut stream = client::connect(proxy.port).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\n").await.unwrap();
    let started = std::time::Instant::now();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(started.elapsed().as_millis() < 1500, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_request() {
    let backend = backend::serve(false, |_| async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Response::new(backend::full(""))
    })
    .await;
    let proxy = proxy_to(&backend).await;
    let mut stream = client::connect(proxy.port).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(stream);
    let record = &proxy.wait_records(1).await[0];
    assert_eq!((record.status, record.reason), (499, Some("ClientClosed")));
}

#[tokio::test]
async fn a_backend_that_breaks_off_breaks_off_the_response() {
    let backend = backend::raw(|_, mut stream| async move {
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhi").await.unwrap();
    })
    .await;
    let proxy = proxy_to(&backend).await;
    let answer = client::http1(proxy.port).await.send_request(client::request("/")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.into_body().collect().await.is_err(), "never a short body that looks whole");
    let record = &proxy.wait_records(1).await[0];
    assert_eq!((record.status, record.reason, record.bytes_out), (200, Some("UpstreamReset"), 2));
}

#[tokio::test]
async fn nonsense_from_a_backend_is_a_bad_gateway() {
    let backend = backend::raw(|_, mut stream| async move {
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await;
        let _ = stream.read(&mut buffer).await;
    })
    .await;
    let proxy = proxy_to(&backend).await;
    assert_eq!(client::get(proxy.port, "/").await, (502, "bad gateway\n".to_owned()));
    assert_eq!(proxy.wait_records(1).await[0].reason, Some("UpstreamProtocol"));
}

#[tokio::test]
async fn a_slow_backend_holds_the_client_back() {
    let backend = backend::raw(|_, mut stream| async move {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let mut buffer = vec![0; 1 << 16];
        let mut total = 0;
        while total < 100 << 20 {
            total += stream.read(&mut buffer).await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    })
    .await;
    let proxy = proxy_to(&backend).await;
    let mut stream = client::connect(proxy.port).await;
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", 100 << 20);
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(200), stream.write(&chunk)).await {
        sent += written.unwrap();
        assert!(sent < 32 << 20, "{sent} bytes went into buffers");
    }
    while sent < 100 << 20 {
        sent += stream.write(&chunk[..chunk.len().min((100 << 20) - sent)]).await.unwrap();
    }
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    drop(stream);
    assert_eq!(proxy.wait_records(1).await[0].bytes_in, 100 << 20);
}
