//! Time limits, repeated attempts, mirrors.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail this way")]

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use lasthop_dataplane_api::*;
use support::{backend, client, *};

async fn proxy_with(addresses: &[std::net::SocketAddr], change: impl Fn(&mut HttpRule)) -> Proxy {
    Proxy::start(|snapshot| {
        put_backend(snapshot, "app", addresses);
        let mut rule = rule("app", "/", &["app"]);
        change(&mut rule);
        put_rule(snapshot, rule);
    })
    .await
}

/// Answers 503 so often, then 200 with the request's body.
async fn flaky(failures: usize) -> backend::Backend {
    let count = Arc::new(AtomicUsize::new(0));
    backend::serve(false, move |request: Request<Incoming>| {
        let failed = count.fetch_add(1, Ordering::SeqCst) < failures;
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let status = if failed { 503 } else { 200 };
            Response::builder().status(status).body(backend::full(body)).unwrap()
        }
    })
    .await
}

fn retry(attempts: u32) -> Option<Retry> {
    Some(Retry { attempts, codes: vec![503], backoff: Some(Duration::from_millis(10)) })
}

async fn post(proxy: &Proxy, body: Vec<u8>) -> (u16, usize) {
    let request = Request::post("/").header("host", "a").body(client::full(body)).unwrap();
    let answer = client::http1(proxy.port).await.send_request(request).await.unwrap();
    let (status, text) = client::read(answer).await;
    (status, text.len())
}

#[tokio::test]
async fn a_failed_attempt_is_repeated_with_its_body() {
    let backend = flaky(2).await;
    let proxy = proxy_with(&[backend.address], |rule| rule.retry = retry(3)).await;
    assert_eq!(post(&proxy, vec![b'x'; 60_000]).await, (200, 60_000));
    let record = &proxy.wait_records(1).await[0];
    assert_eq!((record.attempts, record.bytes_in), (3, 60_000));
}

#[tokio::test]
async fn attempts_end_and_large_bodies_are_not_kept() {
    let backend = flaky(usize::MAX).await;
    let proxy = proxy_with(&[backend.address], |rule| rule.retry = retry(2)).await;
    assert_eq!(post(&proxy, b"x".to_vec()).await.0, 503);
    assert_eq!(post(&proxy, vec![b'x'; 200_000]).await, (503, 200_000));
    let attempts: Vec<_> = proxy.wait_records(2).await.iter().map(|record| record.attempts).collect();
    assert_eq!(attempts, [3, 1]);
}

#[tokio::test]
async fn other_codes_and_no_attempts_are_not_repeated() {
    for (codes, attempts) in [(vec![500], 3), (vec![503], 0)] {
        let backend = flaky(1).await;
        let proxy = proxy_with(&[backend.address], |rule| {
            rule.retry = Some(Retry { attempts, codes: codes.clone(), backoff: None });
        })
        .await;
        assert_eq!(post(&proxy, b"x".to_vec()).await.0, 503);
        assert_eq!(proxy.wait_records(1).await[0].attempts, 1);
    }
}

async fn slow() -> backend::Backend {
    backend::serve(false, |request: Request<Incoming>| async move {
        if request.uri().path() == "/body" {
            let stream = futures_util::stream::unfold(0, |i| async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let frame = hyper::body::Frame::data(bytes::Bytes::from_static(b"x"));
                (i < 50).then_some((Ok::<_, std::convert::Infallible>(frame), i + 1))
            });
            return Response::new(BodyExt::boxed(http_body_util::StreamBody::new(stream)));
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        Response::new(backend::full("late"))
    })
    .await
}

#[tokio::test]
async fn time_limits_are_kept() {
    let backend = slow().await;
    let limit = Some(Duration::from_millis(200));
    for (timeouts, reason) in [
        (Timeouts { request: limit, backend_request: None }, "RequestTimeout"),
        (Timeouts { request: None, backend_request: limit }, "BackendTimeout"),
    ] {
        let proxy = proxy_with(&[backend.address], |rule| rule.timeouts = timeouts).await;
        let started = Instant::now();
        assert_eq!(client::get(proxy.port, "/").await, (504, "gateway timeout\n".to_owned()));
        assert!((150..1000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
        assert_eq!(proxy.wait_records(1).await[0].reason, Some(reason));
        let answer = client::http1(proxy.port).await.send_request(client::request("/body")).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.into_body().collect().await.is_err(), "the response's end counts, too");
        assert_eq!(proxy.wait_records(2).await[1].reason, Some(reason));
    }
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_repeated_within_the_whole_limit() {
    let backend = slow().await;
    let proxy = proxy_with(&[backend.address], |rule| {
        rule.retry = retry(5);
        rule.timeouts = Timeouts {
            request: Some(Duration::from_millis(700)),
            backend_request: Some(Duration::from_millis(200)),
        };
    })
    .await;
    let started = Instant::now();
    assert_eq!(client::get(proxy.port, "/").await.0, 504);
    assert!((600..1200).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    let record = &proxy.wait_records(1).await[0];
    assert_eq!(record.reason, Some("RequestTimeout"));
    assert!(record.attempts >= 3, "{record:?}");
}

#[tokio::test]
async fn nothing_that_moves_for_too_long_is_a_timeout() {
    let backend = slow().await;
    let limits = lasthop_dataplane::Limits {
        stream_idle_timeout: Duration::from_millis(500),
        ..lasthop_dataplane::Limits::default()
    };
    let proxy = Proxy::with(1, limits, |snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    assert_eq!(client::get(proxy.port, "/").await.0, 504);
    assert_eq!(proxy.wait_records(1).await[0].reason, Some("BackendTimeout"));
    let answer = client::http1(proxy.port).await.send_request(client::request("/body")).await.unwrap();
    assert!(answer.into_body().collect().await.is_ok(), "it moves every 100 ms");
}

#[tokio::test]
async fn mirrors_get_a_copy_and_delay_nothing() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let mirror = backend::serve(false, move |request: Request<Incoming>| {
        let log = log.clone();
        async move {
            let path = request.uri().path().to_owned();
            let marked = request.headers().contains_key("x-marked");
            let body = request.into_body().collect().await.map(|body| body.to_bytes().len());
            log.lock().unwrap().push((path, marked, body.ok()));
            tokio::time::sleep(Duration::from_secs(10)).await;
            Response::new(backend::full("never seen"))
        }
    })
    .await;
    let backend = backend::echo().await;
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_backend(snapshot, "mirror", &[mirror.address]);
        let mut rule = rule("app", "/", &["app"]);
        rule.filters = vec![
            HttpFilter::RequestHeaders(HeaderModifier {
                set: vec![HeaderValue { name: "x-marked".into(), value: "1".into() }],
                ..HeaderModifier::default()
            }),
            HttpFilter::Mirror(Mirror {
                target: BackendTarget::Backend(backend_key("mirror")),
                fraction: Fraction::ALL,
            }),
            HttpFilter::Mirror(Mirror {
                target: BackendTarget::Backend(backend_key("mirror")),
                fraction: Fraction { numerator: 0, denominator: 100 },
            }),
        ];
        put_rule(snapshot, rule);
    })
    .await;
    let started = Instant::now();
    assert_eq!(client::get(proxy.port, "/get").await.0, 200);
    assert_eq!(post(&proxy, b"12345".to_vec()).await.0, 200);
    assert!(started.elapsed() < Duration::from_secs(2));
    for _ in 0..100 {
        if seen.lock().unwrap().len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, [("/".to_owned(), true, Some(5)), ("/get".to_owned(), true, Some(0))]);
}

#[tokio::test]
async fn connecting_has_a_time_limit() {
    // A queue of one that is full: the kernel answers no further connection.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let _first = std::net::TcpStream::connect(address).unwrap();
    let limits = lasthop_dataplane::Limits {
        connect_timeout: Duration::from_millis(300),
        ..lasthop_dataplane::Limits::default()
    };
    let proxy = Proxy::with(1, limits, |snapshot| {
        put_backend(snapshot, "app", &[address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    assert_eq!(client::get(proxy.port, "/").await, (504, "gateway timeout\n".to_owned()));
    assert_eq!(proxy.wait_records(1).await[0].reason, Some("ConnectTimeout"));
}

/// Reads whole requests and resets the connection each time.
async fn resetting() -> (backend::Backend, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let noted = requests.clone();
    let backend = backend::raw(move |_, mut stream| {
        let requests = noted.clone();
        async move {
            use tokio::io::AsyncReadExt;
            let mut text = Vec::new();
            while !text.windows(4).any(|window| window == b"\r\n\r\n") {
                if stream.read_buf(&mut text).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            requests.fetch_add(1, Ordering::SeqCst);
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    })
    .await;
    (backend, requests)
}

#[tokio::test]
async fn what_may_have_been_processed_is_not_sent_twice() {
    let (backend, requests) = resetting().await;
    let proxy = proxy_with(&[backend.address], |rule| rule.retry = retry(3)).await;
    assert_eq!(post(&proxy, b"order".to_vec()).await.0, 502);
    assert_eq!(requests.load(Ordering::SeqCst), 1, "a POST");
    assert_eq!(client::get(proxy.port, "/").await.0, 502);
    assert_eq!(requests.load(Ordering::SeqCst), 1 + 4, "a GET does no harm");
}

#[tokio::test]
async fn a_backends_time_limit_is_no_reason_to_send_a_post_again() {
    let backend = slow().await;
    let proxy = proxy_with(&[backend.address], |rule| {
        rule.retry = retry(3);
        rule.timeouts.backend_request = Some(Duration::from_millis(200));
    })
    .await;
    assert_eq!(post(&proxy, b"order".to_vec()).await.0, 504);
    assert_eq!(proxy.wait_records(1).await[0].attempts, 1);
}

#[tokio::test]
async fn another_endpoint_is_tried_unless_the_rule_turns_that_off() {
    let good = backend::fixed("good").await;
    let closed = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    for (retry, all) in [(None, true), (retry(1), true), (retry(0), false)] {
        // Each time the endpoint is a new one, which nobody knows to be down.
        let mut statuses = Vec::new();
        for _ in 0..12 {
            let proxy = proxy_with(&[good.address, closed], |rule| rule.retry = retry.clone()).await;
            statuses.push(post(&proxy, b"order".to_vec()).await.0);
        }
        assert_eq!(statuses.iter().all(|status| *status == 200), all, "{retry:?}: {statuses:?}");
    }
}
