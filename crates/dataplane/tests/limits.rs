//! Limits on what clients send, and on how many there are.
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
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use lasthop_dataplane::Limits;
use lasthop_dataplane_api::*;
use support::{backend, client, *};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn proxy_to(backend: &backend::Backend, limits: Limits, protocol: AppProtocol) -> Proxy {
    let address = backend.address;
    Proxy::with(1, limits, |snapshot| {
        let plaintext = BackendTls::Plaintext(PlaintextReason::NoPolicy);
        put_backend_with(snapshot, "app", protocol, plaintext, &[address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await
}

/// A backend that says how much came, and counts the bodies that came whole.
async fn measuring(http2: bool) -> (backend::Backend, Arc<AtomicUsize>) {
    let whole = Arc::new(AtomicUsize::new(0));
    let counted = whole.clone();
    let backend = backend::serve(http2, move |request: Request<Incoming>| {
        let counted = counted.clone();
        async move {
            match request.into_body().collect().await {
                Ok(body) => {
                    counted.fetch_add(1, SeqCst);
                    Response::new(backend::full(body.to_bytes().len().to_string()))
                }
                Err(_) => Response::new(backend::full("broken")),
            }
        }
    })
    .await;
    (backend, whole)
}

fn small_bodies() -> Limits {
    Limits { body_bytes: Some(1000), ..Limits::default() }
}

/// A body that comes in pieces of 100 bytes, without a length.
fn pieces(count: usize) -> client::Body {
    let pieces =
        futures_util::stream::iter((0..count).map(|_| Ok(Frame::data(Bytes::from(vec![b'x'; 100])))));
    BodyExt::boxed(StreamBody::new(pieces))
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_at_once() {
    let (backend, _) = measuring(false).await;
    let proxy = proxy_to(&backend, small_bodies(), AppProtocol::Unspecified).await;
    // Not a byte of the body has to come, and the client is not asked for it.
    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1001\r\n\r\n";
    let answer = client::raw(proxy.port, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("<closed>"), "{answer}");
    assert_eq!(backend.connections(), 0);
    let record = &proxy.wait_records(1).await[0];
    assert_eq!((record.status, record.reason, record.bytes_in), (413, Some("BodyTooLarge"), 0));
    let failures = "lasthop_downstream_failures_total{listener=\"default/gw/http\",reason=\"BodyTooLarge\"}";
    assert_eq!(proxy.metric(failures), 1.0, "{}", proxy.metrics());

    let body = "y".repeat(1000);
    let exact =
        format!("POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n{body}");
    let answer = client::raw(proxy.port, exact.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\n\r\n1000"), "{answer}");
}

#[tokio::test]
async fn a_client_that_reads_only_after_all_was_sent_gets_its_answer() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (backend, _) = measuring(false).await;
    let proxy = proxy_to(&backend, small_bodies(), AppProtocol::Unspecified).await;
    // More than the sockets' buffers hold: a connection that is just closed is reset by what comes then.
    let piece = vec![b'x'; 1 << 20];
    for framing in ["content-length: 8388608", "transfer-encoding: chunked"] {
        let mut stream = client::connect(proxy.port).await;
        stream
            .write_all(format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        for _ in 0..8 {
            if framing.starts_with("transfer") {
                stream.write_all(b"100000\r\n").await.unwrap();
            }
            stream.write_all(&piece).await.unwrap();
            if framing.starts_with("transfer") {
                stream.write_all(b"\r\n").await.unwrap();
            }
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{framing}: {answer}");
    }
}

#[tokio::test]
async fn a_body_that_grows_over_the_limit_never_reaches_a_backend_whole() {
    for (http2, protocol) in [(false, AppProtocol::Unspecified), (true, AppProtocol::H2c)] {
        let (backend, whole) = measuring(http2).await;
        let mut proxy = proxy_to(&backend, small_bodies(), protocol).await;
        // Attempts would be in vain.
        proxy
            .change(|snapshot| {
                let mut rule = rule("app", "/", &["app"]);
                rule.retry = Some(Retry { attempts: 2, codes: Vec::new(), backoff: None });
                put_rule(snapshot, rule);
            })
            .await;
        let chunk = format!("64\r\n{}\r\n", "x".repeat(100));
        let chunked = |count| {
            let chunks = chunk.repeat(count);
            format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
        };
        let answer = client::raw(proxy.port, chunked(11).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("<closed>"), "{answer}");

        let mut sender = client::http2(proxy.port).await;
        let post = |count| Request::post("http://a/").body(pieces(count)).unwrap();
        let answer = sender.send_request(post(11)).await.unwrap();
        assert_eq!(client::read(answer).await, (413, "content too large\n".to_owned()));
        assert_eq!(whole.load(SeqCst), 0, "to a backend of {protocol:?}");
        for record in proxy.wait_records(2).await {
            assert_eq!((record.status, record.reason), (413, Some("BodyTooLarge")), "{protocol:?}");
            assert_eq!(record.attempts, 1);
        }
        assert_eq!(proxy.metric("lasthop_upstream_failures_total"), 0.0, "it is not the backend's fault");

        let declared = Request::post("http://a/").body(client::full("x".repeat(1001))).unwrap();
        assert_eq!(client::read(sender.send_request(declared).await.unwrap()).await.0, 413);
        // The connection of the others goes on.
        let answer = sender.send_request(post(10)).await.unwrap();
        assert_eq!(client::read(answer).await, (200, "1000".to_owned()));
        let answer = client::raw(proxy.port, chunked(10).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("1000"), "{answer}");
        assert_eq!(whole.load(SeqCst), 2);
        if http2 {
            assert_eq!(backend.connections(), 1, "nor is the backend's connection at fault");
        }
    }
}

#[tokio::test]
async fn a_response_that_had_begun_is_cut_when_the_request_grows_too_large() {
    for (http2, protocol) in [(false, AppProtocol::Unspecified), (true, AppProtocol::H2c)] {
        let whole = Arc::new(AtomicUsize::new(0));
        let counted = whole.clone();
        let backend = backend::serve(http2, move |request: Request<Incoming>| {
            let counted = counted.clone();
            tokio::spawn(async move {
                if request.into_body().collect().await.is_ok() {
                    counted.fetch_add(1, SeqCst);
                }
            });
            let begun = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"begun")))]);
            let frames = futures_util::StreamExt::chain(begun, futures_util::stream::pending());
            async move { Response::new(BodyExt::boxed(StreamBody::new(frames))) }
        })
        .await;
        let proxy = proxy_to(&backend, small_bodies(), protocol).await;
        let chunk = format!("64\r\n{}\r\n", "x".repeat(100));
        let mut stream = client::connect(proxy.port).await;
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunk}");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.windows(5).any(|window| window == b"begun") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "{protocol:?}");
        }
        stream.write_all(chunk.repeat(10).as_bytes()).await.unwrap();
        let end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer));
        // Closed or reset, either way before the last chunk.
        let _ = end.await.unwrap_or_else(|_| panic!("the response goes on, from a backend of {protocol:?}"));
        assert!(answer.starts_with(b"HTTP/1.1 200 ") && !answer.ends_with(b"0\r\n\r\n"));

        let (send, mut receive) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
        let frames = futures_util::stream::poll_fn(move |cx| {
            receive.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data))))
        });
        let request = Request::post("http://a/").body(BodyExt::boxed(StreamBody::new(frames))).unwrap();
        let piece = Bytes::from(vec![b'x'; 100]);
        send.send(piece.clone()).unwrap();
        let mut sender = client::http2(proxy.port).await;
        let mut body = sender.send_request(request).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "begun");
        (0..10).for_each(|_| send.send(piece.clone()).unwrap());
        let end = tokio::time::timeout(Duration::from_secs(5), body.frame()).await;
        assert!(matches!(end, Ok(Some(Err(_)))), "{end:?} from a backend of {protocol:?}");

        assert_eq!(whole.load(SeqCst), 0, "{protocol:?}");
        for record in proxy.wait_records(2).await {
            assert_eq!((record.status, record.reason), (200, Some("BodyTooLarge")), "{protocol:?}");
        }
    }
}

/// A raw backend that answers with the number of the request's fields, in a header of as many fields and bytes as asked.
async fn wordy(fields: usize, bytes: usize) -> backend::Backend {
    backend::raw(move |_, mut stream| async move {
        let mut request = Vec::new();
        while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
            if !request.ends_with(b"\r\n\r\n") {
                continue;
            }
            let got = request.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"x-")).count();
            let text = format!("{got} fields");
            let more: String =
                (0..fields).map(|n| format!("y-{n}: {}\r\n", "b".repeat(bytes / fields))).collect();
            let answer = format!("HTTP/1.1 200 OK\r\n{more}content-length: {}\r\n\r\n{text}", text.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            request.clear();
        }
    })
    .await
}

/// The statuses of a request with so many fields of so many bytes together, over HTTP/1.1 and HTTP/2.
async fn with_header(proxy: &Proxy, fields: usize, bytes: usize) -> [u16; 2] {
    let field = |n: usize| (format!("x-{n}"), "a".repeat(bytes / fields));
    let lines: String = (0..fields).map(field).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let text = format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{lines}\r\n");
    let answer = client::raw(proxy.port, text.as_bytes()).await;
    let http1 = answer.split(' ').nth(1).unwrap_or_else(|| panic!("{answer}")).parse().unwrap();

    let io = hyper_util::rt::TokioIo::new(client::connect(proxy.port).await);
    let mut http2 = hyper::client::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
    let (mut sender, connection) = http2.max_header_list_size(1 << 20).handshake(io).await.unwrap();
    tokio::spawn(connection);
    let mut request = client::request2("/");
    for (name, value) in (0..fields).map(field) {
        request.headers_mut().append(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    let answer = sender.send_request(request).await.unwrap();
    [http1, client::read(answer).await.0]
}

#[tokio::test]
async fn header_limits_can_be_lowered() {
    let backend = wordy(1, 1).await;
    let limits = Limits { header_fields: 10, header_bytes: 2000, ..Limits::default() };
    let proxy = proxy_to(&backend, limits, AppProtocol::Unspecified).await;
    assert_eq!(with_header(&proxy, 5, 1000).await, [200, 200]);
    assert_eq!(with_header(&proxy, 20, 500).await, [431, 431], "too many");
    assert_eq!(with_header(&proxy, 2, 2100).await, [431, 431], "too long");
    let records = proxy.wait_records(6).await;
    let refused = records.iter().filter(|record| record.reason == Some("HeadersTooLarge")).count();
    assert_eq!(refused, 4, "{records:?}");

    for (fields, bytes) in [(20, 200), (2, 4000)] {
        let backend = wordy(fields, bytes).await;
        let limits = Limits { header_fields: 10, header_bytes: 2000, ..Limits::default() };
        let proxy = proxy_to(&backend, limits, AppProtocol::Unspecified).await;
        assert_eq!(client::get(proxy.port, "/").await.0, 502, "a response's header of {fields}, {bytes}");
    }
}

#[tokio::test]
async fn header_limits_can_be_raised() {
    let backend = wordy(250, 150_000).await;
    let limits = Limits { header_fields: 300, header_bytes: 200_000, ..Limits::default() };
    let proxy = proxy_to(&backend, limits, AppProtocol::Unspecified).await;
    assert_eq!(with_header(&proxy, 250, 100_000).await, [200, 200]);
    assert_eq!(with_header(&proxy, 1, 190_000).await, [200, 200]);
    assert_eq!(with_header(&proxy, 320, 5000).await, [431, 431]);
    assert_eq!(with_header(&proxy, 1, 210_000).await, [431, 431]);
    // More than a header map can hold: refused, whatever is set.
    let limits = Limits { header_fields: 1_000_000, header_bytes: 10_000_000, ..Limits::default() };
    let proxy = proxy_to(&wordy(1, 1).await, limits, AppProtocol::Unspecified).await;
    assert_eq!(with_header(&proxy, 2000, 2000).await, [200, 200]);
    let lines: String = (0..40_000).map(|n| format!("x{n}: 1\r\n")).collect();
    let text = format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{lines}\r\n");
    let answer = client::raw(proxy.port, text.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{}", &answer[..answer.len().min(100)]);
}

#[tokio::test]
async fn at_the_limit_of_connections_new_ones_wait() {
    for workers in [1, 3] {
        let backend = backend::fixed("hi").await;
        let limits = Limits { connections: Some(3), ..Limits::default() };
        let proxy = Proxy::with(workers, limits, |snapshot| {
            put_backend(snapshot, "app", &[backend.address]);
            put_rule(snapshot, rule("app", "/", &["app"]));
        })
        .await;
        let mut served = Vec::new();
        for _ in 0..3 {
            let mut sender = client::http1(proxy.port).await;
            let answer = sender.send_request(client::request("/")).await.unwrap();
            assert_eq!(client::read(answer).await.0, 200);
            served.push(sender);
        }
        // The kernel takes them, we do not.
        let port = proxy.port;
        let waiting: Vec<_> =
            (0..5).map(|_| tokio::spawn(async move { client::get(port, "/").await })).collect();
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert!(waiting.iter().all(|task| !task.is_finished()), "{workers} workers");
        assert_eq!(proxy.dataplane.loads().iter().sum::<usize>(), 3);
        for sender in &mut served {
            let answer = sender.send_request(client::request("/")).await.unwrap();
            assert_eq!(client::read(answer).await.0, 200, "those that are served go on");
        }
        drop(served);
        for task in waiting {
            assert_eq!(task.await.unwrap().0, 200);
        }
    }
}
