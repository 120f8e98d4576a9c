//! TLS listeners that pass the client's TLS through.

use crate::{
    peers::{Peer, connect_in_pieces, hello, in_records, read_all, read_text},
    support::{backend, client, pki, pki::Ca, *},
    *,
};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A proxy with one passthrough listener, and one rule for these hosts.
async fn passing(stack: TlsStack, hosts: &[&str], peer: &Peer) -> Proxy {
    proxy(stack, 1, Limits::default(), |snapshot, port| {
        put_listener(snapshot, tls("tls", port, None, None));
        put_backend(snapshot, "app", &[peer.address]);
        put_l4_rule(snapshot, l4_rule(RouteKind::TLSRoute, "app", "tls", hosts, &[("app", 1)]));
    })
    .await
}

pub async fn the_backends_certificate_is_the_clients_to_verify(stack: TlsStack) {
    let ca = Ca::new();
    let peer = Peer::tls("hi", &ca.leaf(&["app.test"])).await;
    let proxy = passing(stack, &["*.test"], &peer).await;
    let mut stream = pki::connect(proxy.port, &ca, "app.test", &[]).await.unwrap();
    assert_eq!(read_text(&mut stream, 2).await, "hi");
    stream.write_all(b"secret").await.unwrap();
    assert_eq!(read_text(&mut stream, 6).await, "secret");
    stream.shutdown().await.unwrap();
    assert_eq!(read_text(&mut stream, 3).await, "bye");
    assert_eq!(peer.wait_ends(1).await, [Ok(())]);
    drop(stream);
    let record = &proxy.wait_records(1).await[0];
    assert_eq!((record.protocol, record.host.as_str(), record.reason), ("TLS", "app.test", None));
    assert_eq!(record.rule.as_deref(), Some("TLSRoute/default/app/0 via default/gw"));
    assert_eq!((record.endpoint, record.attempts, record.tls), (Some(peer.address), 1, None));
    assert!(record.bytes_in > 200 && record.bytes_out > 500, "{record:?}");
    let other = pki::connect(proxy.port, &Ca::new(), "app.test", &[]).await;
    assert!(other.is_err(), "the client knows another CA");
}

pub async fn a_hello_may_come_in_pieces_and_records(stack: TlsStack) {
    let ca = Ca::new();
    let peer = Peer::tls("hi", &ca.leaf(&["app.test"])).await;
    let proxy = passing(stack, &["app.test"], &peer).await;
    for (piece, record) in [(1, 16_384), (7, 100), (5_000, 1), (3, 50)] {
        let connected =
            connect_in_pieces(proxy.port, &ca, "app.test", piece, move |hello| in_records(hello, record))
                .await;
        let mut stream = connected.unwrap();
        assert_eq!(read_text(&mut stream, 2).await, "hi", "{piece} {record}");
    }
}

pub async fn whom_nobody_serves_is_told_so(stack: TlsStack) {
    let peer = Peer::plain("hi").await;
    let mut proxy = passing(stack, &["app.test"], &peer).await;
    let port = proxy.port;
    let send = async |bytes: Vec<u8>| {
        let mut stream = client::connect(port).await;
        stream.write_all(&bytes).await.unwrap();
        read_all(&mut stream).await.0
    };
    // The listener takes every host, the route does not.
    assert_eq!(send(hello(Some("other.test"))).await, b"");
    assert_eq!(send(hello(None)).await, b"");
    assert_eq!(send(b"GET / HTTP/1.1\r\n\r\n".to_vec()).await, b"");
    let mut broken = hello(Some("app.test"));
    let at = broken.windows(8).position(|bytes| bytes == b"app.test").unwrap();
    broken[at] = 0;
    assert_eq!(send(broken).await, [21, 3, 3, 0, 2, 2, 50]);
    // Only a listener for other hosts.
    proxy.change(|snapshot| put_listener(snapshot, tls("tls", port, Some("*.example"), None))).await;
    assert_eq!(send(hello(Some("app.test"))).await, b"");
    assert_eq!(send(hello(None)).await, b"");
    // Somebody who says nothing and goes is not worth a line.
    drop(client::connect(port).await);
    let records = proxy.wait_records(6).await;
    let reasons: Vec<_> = records.iter().map(|record| record.reason.unwrap_or("-")).collect();
    let expected =
        ["NoRoute", "NoRoute", "NotTls", "ProtocolViolation", "UnrecognizedName", "UnrecognizedName"];
    assert_eq!(reasons, expected);
    assert_eq!(records[0].host, "other.test");
    assert!(records.iter().all(|record| record.listener.as_deref() == Some("tls")), "{records:?}");
    assert_eq!(
        proxy.metric("lasthop_downstream_failures_total{listener=\"default/gw/tls\",reason=\"NotTls\"}"),
        1.0
    );
    assert_eq!(peer.connections(), 0);
    assert_eq!(proxy.records().len(), 6);
}

pub async fn a_hello_is_large_only_so_far(stack: TlsStack) {
    let peer = Peer::plain("hi").await;
    let limits = Limits { handshake_timeout: std::time::Duration::from_secs(1), ..Limits::default() };
    let proxy = proxy(stack, 1, limits, |snapshot, port| {
        put_listener(snapshot, tls("tls", port, None, None));
        put_backend(snapshot, "app", &[peer.address]);
        put_l4_rule(snapshot, l4_rule(RouteKind::TLSRoute, "app", "tls", &[], &[("app", 1)]));
    })
    .await;
    // A padding extension makes it as large as wanted.
    let padded = |padding: usize| {
        let mut hello = hello(Some("app.test"));
        let mut message = hello.split_off(5);
        // Legacy version and random, session id, suites, compression methods.
        let session = 4 + 34;
        let suites = session + 1 + usize::from(message[session]);
        let compression =
            suites + 2 + usize::from(u16::from_be_bytes([message[suites], message[suites + 1]]));
        let extensions = compression + 1 + usize::from(message[compression]);
        let length = message.len() - extensions - 2 + 4 + padding;
        message[extensions..extensions + 2].copy_from_slice(&(length as u16).to_be_bytes());
        message.extend([0, 21]);
        message.extend((padding as u16).to_be_bytes());
        message.resize(message.len() + padding, 0);
        let length = (message.len() - 4) as u32;
        message[1..4].copy_from_slice(&length.to_be_bytes()[1..]);
        in_records(&[&[0; 5][..], &message].concat(), 16_000)
    };
    let large = padded(64_000);
    let mut stream = client::connect(proxy.port).await;
    stream.write_all(&large).await.unwrap();
    assert_eq!(read_text(&mut stream, 2).await, "hi");
    let mut echoed = vec![0; large.len()];
    stream.read_exact(&mut echoed).await.unwrap();
    assert!(peer.bytes() == large && echoed == large, "the backend got all of it");
    drop(stream);
    // One that says it is larger is not waited for.
    let mut stream = client::connect(proxy.port).await;
    stream.write_all(&[22, 3, 1, 0, 4, 1, 1, 0, 1]).await.unwrap();
    assert_eq!(read_all(&mut stream).await.0, [21, 3, 3, 0, 2, 2, 50]);
    // One that never becomes whole neither.
    let mut stream = client::connect(proxy.port).await;
    stream.write_all(&large[..40_000]).await.unwrap();
    read_all(&mut stream).await.0.is_empty().then_some(()).unwrap();
    let reasons: Vec<_> = proxy.wait_records(3).await.iter().map(|record| record.reason).collect();
    assert!(
        reasons.contains(&Some("ClientHelloTooLarge")) && reasons.contains(&Some("HandshakeTimeout")),
        "{reasons:?}"
    );
}

pub async fn one_port_has_every_mode(stack: TlsStack) {
    let ca = Ca::new();
    let passed = Peer::tls("passed", &ca.leaf(&["pass.example.com"])).await;
    let ended = Peer::plain("ended.").await;
    let web = backend::fixed("web").await;
    let mut proxy = proxy(stack, 2, Limits::default(), |snapshot, port| {
        let leaf = ca.leaf(&["term.example.com", "*.example.com"]);
        put_listener(snapshot, tls("pass", port, Some("pass.example.com"), None));
        put_listener(snapshot, tls("term", port, Some("term.example.com"), Some(&leaf)));
        put_listener(snapshot, pki::https("http", port, Some("*.example.com"), &leaf));
        put_backend(snapshot, "passed", &[passed.address]);
        put_backend(snapshot, "ended", &[ended.address]);
        put_backend(snapshot, "web", &[web.address]);
        put_l4_rule(snapshot, l4_rule(RouteKind::TLSRoute, "passed", "pass", &[], &[("passed", 1)]));
        put_l4_rule(snapshot, l4_rule(RouteKind::TLSRoute, "ended", "term", &[], &[("ended", 1)]));
        put_rule(snapshot, rule("web", "/", &["web"]));
    })
    .await;
    let port = proxy.port;
    let get = async |name: &'static str, host: &'static str| {
        let stream = pki::connect(port, &ca, name, &["http/1.1"]).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get("/").header("host", host).body(client::empty()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    };
    for _ in 0..3 {
        let mut stream = pki::connect(port, &ca, "pass.example.com", &["h2"]).await.unwrap();
        assert_eq!(read_text(&mut stream, 6).await, "passed");
        let mut stream = pki::connect(port, &ca, "term.example.com", &["h2"]).await.unwrap();
        assert_eq!(read_text(&mut stream, 6).await, "ended.");
        assert_eq!(stream.get_ref().1.alpn_protocol(), None, "nobody knows what is spoken in it");
        assert_eq!(get("www.example.com", "www.example.com").await, (200, "web".into()));
    }
    assert_eq!(get("www.example.com", "pass.example.com").await.0, 421, "that host is another listener's");
    let unknown = pki::connect(port, &ca, "other.test", &[]).await.unwrap_err();
    assert_eq!(unknown.kind(), std::io::ErrorKind::UnexpectedEof, "{unknown}");

    // Without its HTTPS listener the port goes on, and back again.
    proxy.change(|snapshot| drop(snapshot.listeners.remove(&listener_key("http")))).await;
    pki::connect(port, &ca, "www.example.com", &[]).await.unwrap_err();
    let mut stream = pki::connect(port, &ca, "pass.example.com", &["h2"]).await.unwrap();
    assert_eq!(read_text(&mut stream, 6).await, "passed");
    proxy
        .change(|snapshot| {
            snapshot.listeners.remove(&listener_key("pass"));
            snapshot.listeners.remove(&listener_key("term"));
            let leaf = ca.leaf(&["*.example.com"]);
            put_listener(snapshot, pki::https("http", port, Some("*.example.com"), &leaf));
        })
        .await;
    assert_eq!(get("pass.example.com", "pass.example.com").await, (200, "web".into()));
}

/// A backend whose policy cannot be met, or is refused, still gets the client's own TLS, and nobody else's bytes.
pub async fn a_policy_of_the_backend_concerns_it_not(stack: TlsStack) {
    let (ca, stranger) = (Ca::new(), Ca::new());
    let peer = Peer::tls("hi", &ca.leaf(&["app.test"])).await;
    let refused = BackendTls::Refused(Refusal {
        reason: "InvalidCACertificateRef".into(),
        message: "test".into(),
        policy: "default/app".into(),
    });
    for hop in [refused, stranger.policy("app.test")] {
        let mut proxy = proxy(stack, 1, Limits::default(), |snapshot, port| {
            put_listener(snapshot, tls("pass", port, Some("app.test"), None));
            put_listener(snapshot, tls("end", port, Some("end.test"), Some(&ca.leaf(&["end.test"]))));
            put_hop(snapshot, "app", hop.clone(), &[]);
            for (name, host) in [("pass", "app.test"), ("end", "end.test")] {
                put_l4_rule(snapshot, l4_rule(RouteKind::TLSRoute, name, name, &[host], &[("app", 1)]));
            }
        })
        .await;
        // Endpoints come and go for both.
        assert!(pki::connect(proxy.port, &ca, "app.test", &[]).await.is_err());
        proxy.change(|snapshot| put_hop(snapshot, "app", hop.clone(), &[peer.address])).await;
        let mut stream = pki::connect(proxy.port, &ca, "app.test", &[]).await.unwrap();
        assert_eq!(read_text(&mut stream, 2).await, "hi");
        let before = peer.bytes();
        let mut ended = pki::connect(proxy.port, &ca, "end.test", &[]).await.unwrap();
        let _ = ended.write_all(b"secret").await;
        let got = read_text(&mut ended, 2).await;
        assert!(got.starts_with('<'), "{got}");
        assert_eq!(peer.bytes(), before, "nothing went to a backend that is not verified");
    }
}

/// A backend that is replaced while a connection waits for its name: the connection goes to what replaced it, as it is.
pub async fn a_policy_that_comes_meanwhile_concerns_it_not(stack: TlsStack) {
    let ca = Ca::new();
    let peer = Peer::tls("hi", &ca.leaf(&["app.test"])).await;
    // It hears the question and says nothing.
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let plaintext = BackendTls::Plaintext(PlaintextReason::NoPolicy);
    for before in [plaintext, Ca::new().policy("other.test")] {
        let resolver =
            ResolverOptions { servers: vec![silent.local_addr().unwrap()], ..ResolverOptions::default() };
        let limits = Limits { connect_timeout: std::time::Duration::from_secs(3), ..Limits::default() };
        let mut proxy = proxy_that_asks(resolver, stack, 1, limits, |snapshot, port| {
            put_listener(snapshot, tls("tls", port, None, None));
            put_hop(snapshot, "app", before, &[]);
            let (key, endpoints) = (service("app"), Vec::new());
            let set = EndpointSet { key: key.clone(), endpoints, hostname: Some("app.example".into()) };
            snapshot.endpoints.insert(key, Arc::new(set));
            put_l4_rule(snapshot, l4_rule(RouteKind::TLSRoute, "app", "tls", &["app.test"], &[("app", 1)]));
        })
        .await;
        let port = proxy.port;
        let client = async {
            let mut stream = pki::connect(port, &ca, "app.test", &[]).await?;
            Ok::<_, std::io::Error>(read_text(&mut stream, 2).await)
        };
        let meanwhile = async {
            while proxy.metric("lasthop_l4_backend_connections{") < 1.0 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            proxy.change(|snapshot| put_hop(snapshot, "app", ca.policy("app.test"), &[peer.address])).await;
        };
        let (got, ()) = tokio::join!(client, meanwhile);
        assert_eq!(got.unwrap(), "hi");
        let record = &proxy.wait_records(1).await[0];
        assert_eq!((record.endpoint, record.tls, record.reason), (Some(peer.address), None, None));
    }
}
