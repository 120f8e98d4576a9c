//! Who gets nothing.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use lasthop_xds::Authority;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use crate::support::{Controller, Proxy, account, add, authority, bound, gateway, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_account_gets_nothing_and_is_counted() {
    let authority = authority();
    let mut controller = Controller::start(&authority).await;
    let (a, b) = (gateway("a"), gateway("b"));
    controller.set(|snapshot| add(snapshot, &b, "x", None)).await;
    let denied = |reason: &str| controller.metrics.denied.with_label_values(&[reason]).get();
    for (token, reason) in [
        (account(&a).to_string(), "other_account"),
        ("made-up".to_owned(), "token_refused"),
        ("later".to_owned(), "review_unavailable"),
    ] {
        let proxy = Proxy::with(controller.address, &authority, &b, &token, bound(), Duration::ZERO);
        until(reason, || denied(reason) >= 2).await;
        assert_eq!(proxy.applied(), 0);
        assert!(!proxy.metrics.is_connected());
    }
    assert_eq!(controller.server.connected(&b), 0);
    let mut right = Proxy::start(controller.address, &authority, &b);
    right.has(&controller.snapshot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_token_file_is_not_even_shown() {
    let authority = authority();
    let mut controller = Controller::start(&authority).await;
    let a = gateway("a");
    controller.set(|snapshot| add(snapshot, &a, "x", None)).await;
    let mut proxy = Proxy::with(controller.address, &authority, &a, "", bound(), Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((proxy.applied(), proxy.metrics.connects.get()), (0, 0));
    std::fs::write(proxy.files.path().join("token"), account(&a).to_string()).unwrap();
    proxy.has(&controller.snapshot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_nothing_is_cut_off() {
    let authority = authority();
    let mut controller = Controller::at("127.0.0.1:0".parse().unwrap(), &authority, |mut options| {
        options.proof_timeout = Duration::from_millis(300);
        options
    })
    .await;
    let a = gateway("a");
    controller.set(|snapshot| add(snapshot, &a, "x", None)).await;
    let mut proxy = Proxy::start(controller.address, &authority, &a);
    proxy.has(&controller.snapshot).await;
    let mut silent = TcpStream::connect(controller.address).await.unwrap();
    let cut = tokio::time::timeout(crate::support::LONG, silent.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(cut, Ok(0) | Err(_)), "{cut:?}");
    // One that goes as far as HTTP/2 and says nothing there.
    let mut stream = greet(&controller, &authority).await;
    let read_all = async { while let Ok(1..) = stream.read(&mut [0; 1024]).await {} };
    // Far less than what an unanswered ping would take.
    tokio::time::timeout(Duration::from_secs(8), read_all).await.unwrap();
    // The proxy is still there.
    controller.set(|snapshot| add(snapshot, &a, "late", None)).await;
    proxy.has(&controller.snapshot).await;
    assert_eq!(proxy.metrics.connects.get(), 1);
}

/// What is taken in before a token was looked at is held in memory.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_shown_nothing_may_send_no_more_than_http_2_begins_with() {
    const WINDOW: u32 = 65_535;
    let authority = authority();
    let controller = Controller::start(&authority).await;
    let mut stream = greet(&controller, &authority).await;
    let (mut of_a_stream, mut more) = (None, 0);
    // Until the server has nothing more to say by itself.
    let moment = Duration::from_millis(500);
    let mut head = [0; 9];
    while let Ok(read) = tokio::time::timeout(moment, stream.read_exact(&mut head)).await {
        read.unwrap();
        let mut body = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
        stream.read_exact(&mut body).await.unwrap();
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        match (head[3], head[4]) {
            // SETTINGS, RFC 9113, 6.5.
            (4, 0) => {
                let mut initial = body.chunks(6).filter(|setting| setting[..2] == [0, 4]);
                of_a_stream = Some(initial.next().map_or(WINDOW, |setting| number(&setting[2..])));
            }
            // WINDOW_UPDATE, 6.9.
            (8, _) => more += number(&body),
            _ => {}
        }
    }
    assert_eq!((of_a_stream, more), (Some(WINDOW), 0));
}

/// Connects and says what HTTP/2 begins with.
async fn greet(controller: &Controller, authority: &Authority) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    let (anchors, _) = lasthop_tls_verify::TrustAnchors::from_pem(authority.bundle().as_bytes()).unwrap();
    roots.add(anchors.certificates()[0].clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(controller.address).await.unwrap();
    let name = lasthop_xds::SERVER_NAME.try_into().unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_serves_new_connections() {
    let (old, new) = (authority(), authority());
    let mut controller = Controller::start(&old).await;
    let a = gateway("a");
    controller.set(|snapshot| add(snapshot, &a, "x", None)).await;
    let mut before = Proxy::start(controller.address, &old, &a);
    before.has(&controller.snapshot).await;
    controller.tls.replace(&new.issue(SystemTime::now()).unwrap()).unwrap();
    let mut after = Proxy::start(controller.address, &new, &a);
    after.has(&controller.snapshot).await;
    controller.set(|snapshot| add(snapshot, &a, "late", None)).await;
    before.has(&controller.snapshot).await;
    assert_eq!(before.metrics.connects.get(), 1);
    let stale = Proxy::start(controller.address, &old, &a);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(stale.applied(), 0, "a bundle without the new CA trusts nobody");
}
