//! Upgrades: a tunnel only after the backend's 101, bytes both ways.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail this way")]

mod support;

use http::Response;
use hyper_util::rt::TokioIo;
use lasthop_dataplane_api::*;
use support::{backend, client, pki, *};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n";

/// Switches to an echo in capital letters.
async fn upgrading(request: http::Request<hyper::body::Incoming>) -> Response<backend::Body> {
    assert_eq!(request.headers()["upgrade"], "websocket");
    assert_eq!(request.headers()["connection"], "upgrade");
    tokio::spawn(async move {
        let mut io = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
        let mut buffer = [0; 1024];
        loop {
            let n = io.read(&mut buffer).await.unwrap();
            if n == 0 {
                io.write_all(b"END").await.unwrap();
                return io.shutdown().await.unwrap();
            }
            io.write_all(&buffer[..n].to_ascii_uppercase()).await.unwrap();
        }
    });
    Response::builder()
        .status(101)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .body(backend::full(""))
        .unwrap()
}

async fn head(stream: &mut tokio::net::TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(text).unwrap()
}

async fn check(proxy: &Proxy) {
    tokio::time::timeout(std::time::Duration::from_secs(10), converse(proxy)).await.unwrap();
}

async fn converse(proxy: &Proxy) {
    let mut stream = client::connect(proxy.port).await;
    // The first bytes may come together with the request.
    stream.write_all(&[UPGRADE, b"early"].concat()).await.unwrap();
    let head = head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("upgrade: websocket\r\n"), "{head}");
    let mut buffer = [0; 5];
    stream.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"EARLY");
    stream.write_all(b"later").await.unwrap();
    stream.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"LATER");
    // Each direction ends for itself.
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"END");
    let record = &proxy.wait_records(1).await[0];
    assert_eq!((record.status, record.reason, record.bytes_in, record.bytes_out), (101, None, 10, 13));
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways() {
    let backend = backend::serve(false, upgrading).await;
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    check(&proxy).await;
}

#[tokio::test]
async fn a_tunnel_goes_through_tls_to_the_backend() {
    let ca = pki::Ca::new();
    // It would take HTTP/2 if it were offered.
    let backend = pki::serve(&ca.leaf(&["app.internal"]), &["h2", "http/1.1"], upgrading).await;
    let proxy = Proxy::start(|snapshot| {
        let tls = ca.policy("app.internal");
        put_backend_with(snapshot, "app", AppProtocol::WebSocketTls, tls, &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    check(&proxy).await;
    assert_eq!(proxy.records()[0].tls, Some("1.3"));
}

#[tokio::test]
async fn without_the_backends_101_there_is_no_tunnel() {
    let backend = backend::fixed("no").await;
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    let smuggled = [UPGRADE, b"GET /second HTTP/1.1\r\nhost: a\r\n\r\n"].concat();
    let answer = client::raw(proxy.port, &smuggled).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let records = proxy.records();
    assert!(records.iter().all(|record| record.status == 200), "the second one is a request: {records:?}");
}

#[tokio::test]
async fn a_101_that_nobody_asked_for_is_refused() {
    let backend = backend::raw(|_, mut stream| async move {
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
        let _ = stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello")
            .await;
        let _ = stream.read(&mut buffer).await;
    })
    .await;
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    assert_eq!(client::get(proxy.port, "/").await, (502, "bad gateway\n".to_owned()));
}
