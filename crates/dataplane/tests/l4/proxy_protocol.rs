//! The PROXY protocol, both ways.

use std::time::Duration;

use crate::{
    peers::{Peer, read_all, read_text},
    support::{backend, client, pki::Ca, *},
    *,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\xdc\x04\x01\xbb";

fn proxied(listener: Listener) -> Listener {
    Listener { proxy_protocol: true, ..listener }
}

#[tokio::test]
async fn listeners_of_http_learn_the_clients_address_from_it() {
    let echo = backend::echo().await;
    let proxy = proxy(stack(), 1, Limits::default(), |snapshot, port| {
        put_listener(snapshot, proxied(listener("http", port, None)));
        put_backend(snapshot, "app", &[echo.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    let request = b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
    for header in [V1, V2] {
        let answer = client::raw(proxy.port, &[header, request].concat()).await;
        assert!(answer.contains("x-forwarded-for: 192.0.2.7\n"), "{answer}");
        // In two pieces, too.
        let mut stream = client::connect(proxy.port).await;
        stream.write_all(&header[..9]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.write_all(&[&header[9..], request].concat()).await.unwrap();
        let answer = String::from_utf8(read_all(&mut stream).await.0).unwrap();
        assert!(answer.contains("x-forwarded-for: 192.0.2.7\n"), "{answer}");
    }
    // The proxy in front speaks for itself: its health check.
    let local = [b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", &request[..]].concat();
    assert!(client::raw(proxy.port, &local).await.contains("x-forwarded-for: 127.0.0.1\n"));
    assert!(proxy.records().iter().all(|record| record.reason.is_none()));
    // Without it nobody is served.
    let (got, _) = {
        let mut stream = client::connect(proxy.port).await;
        stream.write_all(request).await.unwrap();
        read_all(&mut stream).await
    };
    assert_eq!(got, b"");
    let record = proxy.wait_records(6).await.pop().unwrap();
    assert_eq!((record.reason, record.listener.as_deref()), (Some("ProxyProtocol"), Some("http")));
    assert_eq!(echo.requests(), 5);
}

#[tokio::test]
async fn tls_and_tcp_listeners_take_it_and_backends_get_it_before_tls() {
    let (front, ca) = (Ca::new(), Ca::new());
    let leaf = ca.leaf(&["app.internal"]);
    // Takes the header off, then hands the rest to a TLS backend.
    let peer = Peer::tls("hi", &leaf).await;
    let behind = peer.address;
    let (told, mut headers) = tokio::sync::mpsc::unbounded_channel();
    let unwrapping = backend::raw(move |_, mut stream| {
        let told = told.clone();
        async move {
            let mut header = [0; 28];
            stream.read_exact(&mut header).await.unwrap();
            told.send(header.to_vec()).unwrap();
            let mut behind = tokio::net::TcpStream::connect(behind).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
        }
    })
    .await;
    let proxy = proxy(stack(), 1, Limits::default(), |snapshot, port| {
        put_listener(snapshot, proxied(tls("tls", port, None, Some(&front.leaf(&["app.test"])))));
        put_hop(snapshot, "app", ca.policy("app.internal"), &[unwrapping.address]);
        let key = backend_key("app");
        let backend = Backend { proxy_protocol: true, ..Backend::clone(&snapshot.backends[&key]) };
        snapshot.backends.insert(key, Arc::new(backend));
        put_l4_rule(snapshot, l4_rule(RouteKind::TLSRoute, "app", "tls", &[], &[("app", 1)]));
    })
    .await;
    let mut socket = client::connect(proxy.port).await;
    let local = socket.local_addr().unwrap();
    socket.write_all(V2).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(peers::trusting(&front)));
    let name = rustls::pki_types::ServerName::try_from("app.test").unwrap();
    let mut stream = connector.connect(name, socket).await.unwrap();
    assert_eq!(read_text(&mut stream, 2).await, "hi");
    let header = headers.recv().await.unwrap();
    assert_eq!(header[..20], V2[..20], "the client's address");
    assert_eq!(header[20..24], [127, 0, 0, 1], "the address it came to");
    assert_eq!(header[24..26], 56324_u16.to_be_bytes());
    assert_eq!(header[26..28], proxy.port.to_be_bytes());
    drop(stream);
    let record = &proxy.wait_records(1).await[0];
    assert_eq!(record.client.map(|client| client.to_string()).as_deref(), Some("192.0.2.7:56324"));
    assert_ne!(record.client, Some(local));
}

#[tokio::test]
async fn a_backend_of_http_gets_it_on_connections_that_serve_one_client_each() {
    let (told, mut headers) = tokio::sync::mpsc::unbounded_channel();
    let backend = backend::raw(move |_, mut stream| {
        let told = told.clone();
        async move {
            let mut header = [0; 28];
            stream.read_exact(&mut header).await.unwrap();
            told.send(header.to_vec()).unwrap();
            // It would be kept alive.
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
            let mut request = Vec::new();
            while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
                if request.ends_with(b"\r\n\r\n") {
                    stream.write_all(answer).await.unwrap();
                    request.clear();
                }
            }
        }
    })
    .await;
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        let key = backend_key("app");
        let proxied = Backend { proxy_protocol: true, ..Backend::clone(&snapshot.backends[&key]) };
        snapshot.backends.insert(key, Arc::new(proxied));
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    let ask = b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
    let mut stream = client::connect(proxy.port).await;
    let local = stream.local_addr().unwrap();
    for _ in 0..3 {
        stream.write_all(ask).await.unwrap();
        let mut answer = [0; 512];
        let n = stream.read(&mut answer).await.unwrap();
        assert!(answer[..n].ends_with(b"hi"));
        let header = headers.recv().await.unwrap();
        assert_eq!(header[16..20], [127, 0, 0, 1]);
        assert_eq!(header[24..26], local.port().to_be_bytes());
        assert_eq!(header[26..28], proxy.port.to_be_bytes());
    }
    assert_eq!(backend.connections(), 3);
    let records = proxy.wait_records(3).await;
    assert!(records.iter().all(|record| !record.reused && record.reason.is_none()), "{records:?}");
    // Nothing of them stays open.
    for _ in 0..100 {
        if proxy.metric("lasthop_connections{side=\"upstream\"}") == 0.0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{}", proxy.metrics());
}
