//! gRPC: deadlines, native errors, GOAWAY and refused streams, flow control, mirrors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail this way")]

mod support;

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use lasthop_dataplane::Limits;
use lasthop_dataplane_api::*;
use support::{backend, client, *};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

type Frames = mpsc::UnboundedSender<Frame<Bytes>>;

/// A body that ends when the sender is dropped.
fn channel() -> (Frames, BoxBody<Bytes, Infallible>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|frame| (Ok(frame), receiver))
    });
    (sender, BodyExt::boxed(StreamBody::new(frames)))
}

fn ok() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    trailers
}

fn grpc_response(body: backend::Body) -> Response<backend::Body> {
    Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}

/// Echoes each message, and ends well when the client has ended.
async fn echo(request: Request<Incoming>) -> Response<backend::Body> {
    assert_eq!(request.headers()["te"], "trailers");
    let (sender, body) = channel();
    tokio::spawn(async move {
        let mut incoming = request.into_body();
        while let Some(Ok(frame)) = incoming.frame().await {
            let _ = sender.send(frame);
        }
        let _ = sender.send(Frame::trailers(ok()));
    });
    grpc_response(body)
}

fn grpc_rule(name: &str, prefix: &str, backends: &[&str]) -> HttpRule {
    let mut rule = rule(name, prefix, backends);
    rule.key.route.kind = RouteKind::GRPCRoute;
    rule
}

async fn proxy_to(address: std::net::SocketAddr, change: impl FnOnce(&mut HttpRule)) -> Proxy {
    Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[address]);
        let mut rule = grpc_rule("app", "/", &["app"]);
        change(&mut rule);
        put_rule(snapshot, rule);
    })
    .await
}

fn call(path: &str, body: client::Body) -> Request<client::Body> {
    Request::post(format!("http://example.com{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap()
}

/// How a call ended: the status, wherever it stood, and how many bytes came before.
async fn outcome(response: Response<Incoming>) -> (Option<String>, usize) {
    let text = |headers: &HeaderMap| Some(headers.get("grpc-status")?.to_str().unwrap().to_owned());
    let head = text(response.headers());
    let Ok(body) = response.into_body().collect().await else { return (None, 0) };
    let status = head.or_else(|| text(body.trailers()?));
    (status, body.to_bytes().len())
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it takes too long")
}

#[tokio::test]
async fn messages_go_both_ways_and_half_closing_ends_the_call() {
    let backend = backend::serve(true, echo).await;
    let proxy = proxy_to(backend.address, |_| {}).await;
    let mut sender = client::http2(proxy.port).await;
    let (messages, body) = channel();
    let response = soon(sender.send_request(call("/a/B", body))).await.unwrap();
    let mut incoming = response.into_body();
    for text in ["one", "two", "three"] {
        messages.send(Frame::data(Bytes::from_static(text.as_bytes()))).unwrap();
        let frame = soon(incoming.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), text);
    }
    drop(messages);
    let frame = soon(incoming.frame()).await.unwrap().unwrap();
    assert_eq!(frame.into_trailers().unwrap()["grpc-status"], "0");
    assert!(proxy.wait_records(1).await[0].reason.is_none());
}

/// A backend that notes when its stream is given up.
async fn silent(answers: bool) -> (backend::Backend, Arc<AtomicUsize>) {
    let ended = Arc::new(AtomicUsize::new(0));
    let noted = ended.clone();
    let backend = backend::serve(true, move |request: Request<Incoming>| {
        let ended = noted.clone();
        async move {
            let (sender, body) = channel();
            let reader = tokio::spawn(async move {
                let mut incoming = request.into_body();
                while let Some(Ok(_)) = incoming.frame().await {}
                ended.fetch_add(1, Ordering::SeqCst);
                drop(sender);
            });
            if !answers {
                let _ = reader.await;
            }
            grpc_response(body)
        }
    })
    .await;
    (backend, ended)
}

#[tokio::test]
async fn the_clients_deadline_ends_the_call_and_resets_the_backends_stream() {
    for answers in [false, true] {
        let (backend, ended) = silent(answers).await;
        let proxy = proxy_to(backend.address, |_| {}).await;
        let mut sender = client::http2(proxy.port).await;
        let (messages, body) = channel();
        messages.send(Frame::data(Bytes::from_static(b"m"))).unwrap();
        let mut call = call("/a/B", body);
        call.headers_mut().insert("grpc-timeout", "300m".parse().unwrap());
        let begun = Instant::now();
        let response = soon(sender.send_request(call)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers().contains_key("grpc-status"), !answers, "trailers only, or at the end");
        assert_eq!(soon(outcome(response)).await.0.as_deref(), Some("4"));
        assert!((250..5000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
        // The client has not ended its half, and the backend's stream is gone all the same.
        soon(async {
            while ended.load(Ordering::SeqCst) == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        drop(messages);
        let record = &proxy.wait_records(1).await[0];
        assert_eq!((record.status, record.reason), (200, Some("RequestTimeout")));
    }
}

/// Not to the backend, and not to a mirror.
#[tokio::test]
async fn a_call_past_its_deadline_goes_nowhere() {
    let (backend, copy) = (backend::serve(true, echo).await, backend::serve(true, echo).await);
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_backend(snapshot, "copy", &[copy.address]);
        let mut rule = grpc_rule("app", "/", &["app"]);
        let target = BackendTarget::Backend(backend_key("copy"));
        rule.filters.push(HttpFilter::Mirror(Mirror { target, fraction: Fraction::ALL }));
        put_rule(snapshot, rule);
    })
    .await;
    let mut call = call("/a/B", client::full("m"));
    call.headers_mut().insert("grpc-timeout", "1n".parse().unwrap());
    let response = soon(client::http2(proxy.port).await.send_request(call)).await.unwrap();
    assert_eq!(soon(outcome(response)).await.0.as_deref(), Some("4"));
    let record = &proxy.wait_records(1).await[0];
    assert_eq!((record.reason, record.attempts), (Some("RequestTimeout"), 0));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((backend.requests(), copy.requests()), (0, 0));
}

/// A proxy for which a stream stands still after a second.
async fn impatient(address: std::net::SocketAddr, limits: Limits) -> Proxy {
    let limits = Limits { stream_idle_timeout: Duration::from_secs(1), ..limits };
    Proxy::with(1, limits, |snapshot| {
        put_backend(snapshot, "app", &[address]);
        put_rule(snapshot, grpc_rule("app", "/", &["app"]));
    })
    .await
}

/// Answers `/s/Count` at once, reads to the end and tells how many messages came; `/s/Late` takes its time for the head
/// and again for the rest; `/s/Hang` answers nothing; all else is echoed.
async fn counting() -> backend::Backend {
    backend::serve(true, |request: Request<Incoming>| async {
        let path = request.uri().path().to_owned();
        let (sender, body) = channel();
        match path.as_str() {
            "/s/Count" => drop(tokio::spawn(async move {
                let (mut incoming, mut bytes) = (request.into_body(), 0);
                while let Some(Ok(frame)) = incoming.frame().await {
                    bytes += frame.into_data().map_or(0, |data| data.len());
                }
                let _ = sender.send(Frame::data(Bytes::from(vec![b'x'; bytes])));
                let _ = sender.send(Frame::trailers(ok()));
            })),
            "/s/Late" => {
                tokio::time::sleep(Duration::from_millis(700)).await;
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(700)).await;
                    let _ = sender.send(Frame::trailers(ok()));
                });
            }
            "/s/Hang" => std::future::pending().await,
            _ => return echo(request).await,
        }
        grpc_response(body)
    })
    .await
}

#[tokio::test]
async fn a_stream_moves_while_either_side_sends() {
    let backend = counting().await;
    let proxy = impatient(backend.address, Limits::default()).await;
    let mut sender = client::http2(proxy.port).await;
    let (messages, body) = channel();
    let response = soon(sender.send_request(call("/s/Count", body))).await.unwrap();
    let ended = tokio::spawn(outcome(response));
    for _ in 0..8 {
        messages.send(Frame::data(Bytes::from_static(b"m"))).unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    drop(messages);
    assert_eq!(soon(ended).await.unwrap(), (Some("0".to_owned()), 8), "{:?}", proxy.records());
    // The head is a movement, too.
    let response = soon(sender.send_request(call("/s/Late", client::full("m")))).await.unwrap();
    assert_eq!(soon(outcome(response)).await, (Some("0".to_owned()), 0), "{:?}", proxy.records());
    // And when neither does, it ends.
    let (messages, body) = channel();
    messages.send(Frame::data(Bytes::from_static(b"m"))).unwrap();
    let begun = Instant::now();
    let response = soon(sender.send_request(call("/s/Count", body))).await.unwrap();
    assert_eq!(soon(outcome(response)).await.0.as_deref(), Some("4"));
    assert!((800..3000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    drop(messages);
}

#[tokio::test]
async fn what_other_streams_do_is_no_movement() {
    let backend = counting().await;
    let proxy = impatient(backend.address, Limits::default()).await;
    let mut sender = client::http2(proxy.port).await;
    let (messages, body) = channel();
    let response = soon(sender.send_request(call("/s/Echo", body))).await.unwrap();
    let busy = tokio::spawn(async move {
        let mut incoming = response.into_body();
        loop {
            messages.send(Frame::data(Bytes::from_static(b"m"))).unwrap();
            incoming.frame().await.unwrap().unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let begun = Instant::now();
    let response = soon(sender.send_request(call("/s/Hang", client::full("m")))).await.unwrap();
    assert_eq!(soon(outcome(response)).await.0.as_deref(), Some("4"));
    assert!((800..3000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert!(!busy.is_finished());
    busy.abort();
}

#[tokio::test]
async fn a_body_over_its_limit_exhausts_a_resource() {
    let backend = counting().await;
    let proxy = impatient(backend.address, Limits { body_bytes: Some(1000), ..Limits::default() }).await;
    let mut sender = client::http2(proxy.port).await;
    // By its length, on its way before the response, and after the response has begun.
    for (path, pieces) in [("/s/Hang", None), ("/s/Hang", Some(11)), ("/s/Count", Some(11))] {
        let (messages, mut body) = channel();
        match pieces {
            None => body = client::full(vec![b'x'; 1001]),
            Some(count) => {
                (0..count).for_each(|_| messages.send(Frame::data(Bytes::from(vec![b'x'; 100]))).unwrap())
            }
        }
        let response = soon(sender.send_request(call(path, body))).await.unwrap();
        assert_eq!(soon(outcome(response)).await, (Some("8".to_owned()), 0), "{path} {pieces:?}");
        drop(messages);
    }
    for record in proxy.wait_records(3).await {
        assert_eq!((record.status, record.reason), (200, Some("BodyTooLarge")));
    }
}

/// A backend without a call's server behind it: unavailable so often, in a head of its own, then it answers.
async fn unavailable(times: usize) -> backend::Backend {
    let count = Arc::new(AtomicUsize::new(0));
    backend::serve(true, move |request: Request<Incoming>| {
        let failed = count.fetch_add(1, Ordering::SeqCst) < times;
        async move {
            if failed {
                let mut response = Response::new(backend::full(""));
                let kind = request.headers()["content-type"].clone();
                response.headers_mut().insert("content-type", kind);
                response.headers_mut().insert("grpc-status", "14".parse().unwrap());
                return response;
            }
            echo(request).await
        }
    })
    .await
}

#[tokio::test]
async fn a_call_for_which_nobody_was_available_is_repeated_if_the_rule_repeats() {
    for (attempts, kind, times, status, made) in [
        (2, "application/grpc", 2, "0", 3),
        (2, "application/grpc", 3, "14", 3),
        (0, "application/grpc", 1, "14", 1),
        // No call: its codes are those of HTTP.
        (2, "text/plain", 1, "14", 1),
    ] {
        let backend = unavailable(times).await;
        let proxy = Proxy::start(|snapshot| {
            let plaintext = BackendTls::Plaintext(PlaintextReason::NoPolicy);
            put_backend_with(snapshot, "app", AppProtocol::H2c, plaintext, &[backend.address]);
            let mut rule = rule("app", "/", &["app"]);
            let backoff = Some(Duration::from_millis(5));
            rule.retry = Some(Retry { attempts, codes: vec![503], backoff });
            put_rule(snapshot, rule);
        })
        .await;
        let mut call = call("/a/B", client::full("message"));
        call.headers_mut().insert("content-type", kind.parse().unwrap());
        let response = soon(client::http2(proxy.port).await.send_request(call)).await.unwrap();
        assert_eq!(soon(outcome(response)).await.0.as_deref(), Some(status), "{attempts} {kind} {times}");
        assert_eq!(proxy.wait_records(1).await[0].attempts, made, "{attempts} {kind} {times}");
    }
}

/// What the backend may have begun is not sent again unasked, and the other streams' connection is kept.
#[tokio::test]
async fn a_reset_stream_ends_alone() {
    let backend = backend::raw(|_, stream| async move {
        let mut server = RawServer::new(stream).await;
        let mut requests = 0;
        while let Some(stream) = server.next_whole().await {
            requests += 1;
            match requests {
                // RST_STREAM with INTERNAL_ERROR
                2..=5 => server.write(3, 0, stream, &[0, 0, 0, 2]).await,
                _ => server.headers(stream, true).await,
            }
        }
    })
    .await;
    let h2c = |snapshot: &mut Snapshot, retry: Option<Retry>| {
        let plaintext = BackendTls::Plaintext(PlaintextReason::NoPolicy);
        put_backend_with(snapshot, "app", AppProtocol::H2c, plaintext, &[backend.address]);
        let mut rule = rule("app", "/", &["app"]);
        rule.retry = retry;
        put_rule(snapshot, rule);
    };
    let proxy = Proxy::start(|snapshot| h2c(snapshot, None)).await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(soon(client::get(proxy.port, "/")).await.0);
    }
    assert_eq!(statuses, [200, 502, 502, 502, 502, 200]);
    assert_eq!(backend.connections(), 1);
    let records = proxy.wait_records(6).await;
    assert!(records.iter().all(|record| record.attempts == 1), "{records:?}");
    assert_eq!(records[1].reason, Some("UpstreamReset"));
    // Asked to, the rule repeats what is harmless.
    let retry = Retry { attempts: 4, codes: Vec::new(), backoff: Some(Duration::from_millis(5)) };
    let proxy = Proxy::start(|snapshot| h2c(snapshot, Some(retry))).await;
    for (method, status, attempts) in [("GET", 200, 1), ("POST", 502, 1), ("GET", 200, 4)] {
        let request = Request::builder().method(method).uri("/").header("host", "a");
        let request = request.body(client::empty()).unwrap();
        let answer = soon(client::http1(proxy.port).await.send_request(request)).await.unwrap();
        assert_eq!(answer.status(), status, "{method}");
        assert_eq!(proxy.wait_records(1).await[0].attempts, attempts, "{method}");
        proxy.log.0.lock().unwrap().clear();
    }
    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn a_call_that_the_client_cancels_is_cancelled_at_the_backend() {
    for answers in [false, true] {
        let (backend, ended) = silent(answers).await;
        let proxy = proxy_to(backend.address, |_| {}).await;
        let mut sender = client::http2(proxy.port).await;
        let (messages, body) = channel();
        messages.send(Frame::data(Bytes::from_static(b"m"))).unwrap();
        let response = tokio::spawn(sender.send_request(call("/a/B", body)));
        soon(async {
            while backend.requests() == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        if answers {
            drop(soon(response).await.unwrap().unwrap());
        } else {
            response.abort();
        }
        drop(messages);
        soon(async {
            while ended.load(Ordering::SeqCst) == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        assert_eq!(proxy.wait_records(1).await[0].reason, Some("ClientClosed"));
    }
}

#[tokio::test]
async fn our_errors_are_grpcs_own() {
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "empty", &[]);
        put_backend(snapshot, "closed", &[([127, 0, 0, 1], free_port()).into()]);
        put_rule(snapshot, grpc_rule("empty", "/s.Empty", &["empty"]));
        put_rule(snapshot, grpc_rule("closed", "/s.Closed", &["closed"]));
        let mut invalid = grpc_rule("invalid", "/s.Invalid", &["empty"]);
        invalid.backends[0].target = BackendTarget::Invalid(InvalidBackend {
            reason: "BackendNotFound".into(),
            reference: "Service default/none".into(),
        });
        put_rule(snapshot, invalid);
        put_rule(snapshot, grpc_rule("none", "/s.None", &[]));
        let mut filter = grpc_rule("filter", "/s.Filter", &["empty"]);
        filter.filters.push(HttpFilter::Invalid { message: "no".into() });
        put_rule(snapshot, filter);
        let http = rule("http", "/s.Http", &["empty"]);
        put_rule(snapshot, http);
    })
    .await;
    let mut sender = client::http2(proxy.port).await;
    for (path, code) in [
        ("/s.Empty/M", "14"),
        ("/s.Closed/M", "14"),
        ("/s.Invalid/M", "14"),
        ("/s.None/M", "14"),
        ("/s.Filter/M", "13"),
        ("/s.Http/M", "14"),
        ("/s.Else/M", "12"),
    ] {
        let response = soon(sender.send_request(call(path, client::full("m")))).await.unwrap();
        assert_eq!((response.status().as_u16(), path), (200, path));
        assert_eq!(response.headers()["content-type"], "application/grpc");
        assert_eq!(response.headers()["grpc-status"], code, "{path}");
        assert_eq!(outcome(response).await, (Some(code.to_owned()), 0));
    }
    // Others get what HTTP says.
    let mut plain = call("/s.Empty/M", client::empty());
    plain.headers_mut().insert("content-type", "application/json".parse().unwrap());
    assert_eq!(soon(sender.send_request(plain)).await.unwrap().status(), 503);
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_a_status() {
    let backend = backend::raw(|_, stream| async move {
        let mut server = RawServer::new(stream).await;
        let stream = server.next_call().await;
        server.headers(stream, false).await;
        server.write(0, 0, stream, b"12345").await;
        // RST_STREAM with INTERNAL_ERROR
        server.write(3, 0, stream, &[0, 0, 0, 2]).await;
        server.rest().await;
    })
    .await;
    let proxy = proxy_to(backend.address, |_| {}).await;
    let mut sender = client::http2(proxy.port).await;
    let response = soon(sender.send_request(call("/a/B", client::full("m")))).await.unwrap();
    assert_eq!(soon(outcome(response)).await, (Some("14".to_owned()), 5));
    assert_eq!(proxy.wait_records(1).await[0].reason, Some("UpstreamReset"));
}

/// Just enough of HTTP/2's server side to misbehave.
struct RawServer {
    stream: TcpStream,
}

impl RawServer {
    async fn new(mut stream: TcpStream) -> Self {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        let mut server = Self { stream };
        server.write(4, 0, 0, &[]).await;
        server
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        let _ = self.stream.write_all(&frame).await;
    }

    /// The number of the next stream whose request is complete; `None` when the connection ends.
    async fn next_whole(&mut self) -> Option<u32> {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await.ok()?;
            let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            match head[3] {
                4 if head[4] & 1 == 0 => self.write(4, 1, 0, &[]).await,
                6 if head[4] & 1 == 0 => self.write(6, 1, 0, &payload).await,
                0 | 1 if head[4] & 1 == 1 => return Some(id),
                _ => {}
            }
        }
    }

    async fn next_call(&mut self) -> u32 {
        self.next_whole().await.unwrap()
    }

    /// `:status: 200`
    async fn headers(&mut self, stream: u32, end: bool) {
        self.write(1, 4 | u8::from(end), stream, &[0x88]).await;
    }

    async fn go_away(&mut self, last: u32, code: u32) {
        self.write(7, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat()).await;
    }

    async fn rest(&mut self) {
        while self.next_whole().await.is_some() {}
    }
}

/// Three calls are under way when the backend says GOAWAY: the one it has begun ends there, the others elsewhere.
#[tokio::test]
async fn goaway_loses_no_call() {
    // NO_ERROR, and ENHANCE_YOUR_CALM as of a server that was pinged too often.
    for code in [0, 11] {
        let served = Arc::new(Mutex::new(Vec::new()));
        let noted = served.clone();
        let backend = backend::raw(move |number, stream| {
            let served = noted.clone();
            async move {
                let mut server = RawServer::new(stream).await;
                if number == 0 {
                    let first = server.next_call().await;
                    let (_, _) = (server.next_call().await, server.next_call().await);
                    server.go_away(first, code).await;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    served.lock().unwrap().push((number, first));
                    server.headers(first, true).await;
                    server.rest().await;
                    return;
                }
                while let Some(stream) = server.next_whole().await {
                    served.lock().unwrap().push((number, stream));
                    server.headers(stream, true).await;
                }
            }
        })
        .await;
        let proxy = proxy_to(backend.address, |_| {}).await;
        let sender = client::http2(proxy.port).await;
        let calls: Vec<_> = (0..3)
            .map(|_| {
                let mut sender = sender.clone();
                tokio::spawn(async move {
                    let response = sender.send_request(call("/a/B", client::full("message"))).await.unwrap();
                    response.headers().get("grpc-status").is_none() && response.status() == 200
                })
            })
            .collect();
        for call in calls {
            assert!(soon(call).await.unwrap(), "a call was lost: {:?}", proxy.records());
        }
        let mut served = served.lock().unwrap().clone();
        served.sort_unstable();
        assert_eq!(served.len(), 3, "one call was served twice: {served:?}");
        assert_eq!(served.iter().filter(|(number, _)| *number == 0).count(), 1);
        assert_eq!(backend.connections(), 2);
    }
}

/// A backend that takes few streams at a time gets more connections, and nobody is refused.
#[tokio::test]
async fn a_backends_limit_of_streams_is_kept() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let most = Arc::new(AtomicUsize::new(0));
    let noted = most.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (most, now) = (noted.clone(), Arc::new(AtomicUsize::new(0)));
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |_: Request<Incoming>| {
                    let (most, now) = (most.clone(), now.clone());
                    async move {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(300)).await;
                        now.fetch_sub(1, Ordering::SeqCst);
                        Ok::<_, Infallible>(grpc_response(backend::full("x")))
                    }
                });
                let _ = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
                    .max_concurrent_streams(4)
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    let proxy = proxy_to(address, |_| {}).await;
    let sender = client::http2(proxy.port).await;
    for round in 0..3 {
        let calls: Vec<_> = (0..60)
            .map(|_| {
                let mut sender = sender.clone();
                tokio::spawn(async move {
                    outcome(sender.send_request(call("/a/B", client::full("m"))).await.unwrap()).await
                })
            })
            .collect();
        for call in calls {
            assert_eq!(soon(call).await.unwrap(), (None, 1), "round {round}: {:?}", proxy.records());
        }
    }
    assert_eq!(most.load(Ordering::SeqCst), 4);
}

/// Neither direction is buffered beyond its windows when its reader is slow.
#[tokio::test]
async fn a_slow_reader_holds_its_writer_up() {
    const CHUNK: usize = 64 * 1024;
    const CHUNKS: usize = 512;
    /// Both hops' windows and buffers, with room to spare.
    const MOST: usize = 4 * 1024 * 1024;
    let chunks = |produced: Arc<AtomicUsize>| {
        let stream = futures_util::stream::unfold(0, move |at| {
            let produced = produced.clone();
            async move {
                produced.fetch_add(CHUNK, Ordering::SeqCst);
                (at < CHUNKS).then(|| (Ok(Frame::data(Bytes::from(vec![0; CHUNK]))), at + 1))
            }
        });
        BodyExt::boxed(StreamBody::new(stream))
    };
    let (down, up) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let go = Arc::new(AtomicBool::new(false));
    let (produced, may_go) = (down.clone(), go.clone());
    let backend = backend::serve(true, move |request: Request<Incoming>| {
        let (produced, go) = (produced.clone(), may_go.clone());
        async move {
            if request.uri().path() == "/s/Down" {
                return grpc_response(chunks(produced));
            }
            let (sender, body) = channel();
            tokio::spawn(async move {
                while !go.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                let read = request.into_body().collect().await.unwrap().to_bytes().len();
                let _ = sender.send(Frame::data(Bytes::from(read.to_string())));
            });
            grpc_response(body)
        }
    })
    .await;
    let proxy = proxy_to(backend.address, |_| {}).await;
    let mut sender = client::http2(proxy.port).await;
    let response = soon(sender.send_request(call("/s/Down", client::empty()))).await.unwrap();
    let mut other = client::http2(proxy.port).await;
    let upload = soon(other.send_request(call("/s/Up", chunks(up.clone())))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (direction, produced) in [("down", &down), ("up", &up)] {
        let produced = produced.load(Ordering::SeqCst);
        assert!((CHUNK..MOST).contains(&produced), "{direction}: {produced} bytes are on their way");
    }
    go.store(true, Ordering::SeqCst);
    assert_eq!(soon(outcome(response)).await.1, CHUNK * CHUNKS);
    let read = soon(upload.into_body().collect()).await.unwrap().to_bytes();
    assert_eq!(read, (CHUNK * CHUNKS).to_string());
}

/// What a mirror was sent.
#[tokio::test]
async fn calls_and_streams_are_mirrored_over_http2() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let mirror = backend::serve(true, move |request: Request<Incoming>| {
        let seen = noted.clone();
        async move {
            let (path, version) = (request.uri().path().to_owned(), request.version());
            let mut incoming = request.into_body();
            while let Some(Ok(frame)) = incoming.frame().await {
                if let Ok(data) = frame.into_data() {
                    let text = String::from_utf8(data.to_vec()).unwrap();
                    if text.is_empty() {
                        continue;
                    }
                    seen.lock().unwrap().push((path.clone(), version, text));
                }
            }
            seen.lock().unwrap().push((path, version, "end".to_owned()));
            grpc_response(backend::full("not for the client"))
        }
    })
    .await;
    let backend = backend::serve(true, echo).await;
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_backend(snapshot, "copy", &[mirror.address]);
        let mut rule = grpc_rule("app", "/", &["app"]);
        let target = BackendTarget::Backend(backend_key("copy"));
        rule.filters.push(HttpFilter::Mirror(Mirror { target, fraction: Fraction::ALL }));
        put_rule(snapshot, rule);
    })
    .await;
    let mut sender = client::http2(proxy.port).await;
    let response = soon(sender.send_request(call("/s/Unary", client::full("once")))).await.unwrap();
    assert_eq!(soon(outcome(response)).await, (Some("0".to_owned()), 4));

    let (messages, body) = channel();
    let response = soon(sender.send_request(call("/s/Stream", body))).await.unwrap();
    let mut incoming = response.into_body();
    for text in ["one", "two"] {
        messages.send(Frame::data(Bytes::from_static(text.as_bytes()))).unwrap();
        assert_eq!(soon(incoming.frame()).await.unwrap().unwrap().into_data().unwrap(), text);
        // The copy does not wait for the end of the stream.
        soon(async {
            while !seen.lock().unwrap().iter().any(|(_, _, seen)| seen == text) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
    drop(messages);
    assert_eq!(soon(incoming.collect()).await.unwrap().trailers().unwrap()["grpc-status"], "0");
    soon(async {
        while seen.lock().unwrap().iter().filter(|(_, _, text)| text == "end").count() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let all: Vec<_> = seen.lock().unwrap().iter().map(|(path, _, text)| format!("{path} {text}")).collect();
    assert_eq!(all, ["/s/Unary once", "/s/Unary end", "/s/Stream one", "/s/Stream two", "/s/Stream end"]);
    assert!(seen.lock().unwrap().iter().all(|(_, version, _)| *version == http::Version::HTTP_2));
}

/// An HTTPRoute may carry gRPC, too: a call cannot be carried by HTTP/1.1.
#[tokio::test]
async fn an_http_rule_carries_calls_over_http2() {
    let backend = backend::serve(true, echo).await;
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    let mut sender = client::http2(proxy.port).await;
    let response = soon(sender.send_request(call("/s/Unary", client::full("once")))).await.unwrap();
    assert_eq!(soon(outcome(response)).await, (Some("0".to_owned()), 4));
}
