//! TLS on both sides; the same for each stack.

use std::sync::Arc;

use crate::support::{backend, client, pki, *};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lasthop_dataplane_api::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn says(text: &'static str, leaf: &pki::Leaf, alpn: &[&str]) -> backend::Backend {
    pki::serve(leaf, alpn, move |request| async move {
        Response::new(backend::full(format!("{text} {:?}", request.version())))
    })
    .await
}

async fn proxy_to(tls: BackendTls, kind: RouteKind, addresses: &[std::net::SocketAddr]) -> Proxy {
    Proxy::start(|snapshot| {
        put_backend_with(snapshot, "app", AppProtocol::Unspecified, tls, addresses);
        let mut rule = rule("app", "/", &["app"]);
        rule.key.route.kind = kind;
        put_rule(snapshot, rule);
    })
    .await
}

#[tokio::test]
async fn a_verified_backend_is_spoken_to_and_its_session_resumed() {
    let ca = pki::Ca::new();
    let backend = pki::serve(&ca.leaf(&["app.internal"]), &["http/1.1"], |_| async {
        // Each request needs a connection of its own.
        Response::builder().header("connection", "close").body(backend::full("hi")).unwrap()
    })
    .await;
    let proxy = proxy_to(ca.policy("app.internal"), RouteKind::HTTPRoute, &[backend.address]).await;
    for _ in 0..3 {
        assert_eq!(client::get(proxy.port, "/").await, (200, "hi".to_owned()));
    }
    let records = proxy.wait_records(3).await;
    assert!(records.iter().all(|record| record.tls == Some("1.3") && !record.reused), "{records:?}");
    assert!(!records[0].resumed);
    assert!(records[2].resumed, "{records:?}");
    let line = "lasthop_tls_handshakes_total{side=\"upstream\",result=\"ok\",resumed=\"true\"}";
    assert!(proxy.metric(line) >= 1.0, "{}", proxy.metrics());
}

#[tokio::test]
async fn a_backend_that_does_not_prove_itself_gets_nothing() {
    let ca = pki::Ca::new();
    let wrong_name = says("x", &ca.leaf(&["other.internal"]), &[]).await;
    let unknown_ca = says("x", &pki::Ca::new().leaf(&["app.internal"]), &[]).await;
    let plaintext = backend::raw(|_, mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
        assert!(!String::from_utf8_lossy(&all).contains("GET"));
    })
    .await;
    for (backend, reason) in
        [(&wrong_name, "NameMismatch"), (&unknown_ca, "UntrustedChain"), (&plaintext, "NotTls")]
    {
        let proxy = proxy_to(ca.policy("app.internal"), RouteKind::HTTPRoute, &[backend.address]).await;
        assert_eq!(client::get(proxy.port, "/").await, (502, "bad gateway\n".to_owned()), "{reason}");
        assert_eq!(proxy.wait_records(1).await[0].reason, Some(reason));
        assert_eq!(backend.requests(), 0);
        let line = format!(
            "lasthop_upstream_failures_total{{backend=\"default/app:80 via default/gw\",reason=\"{reason}\"}}"
        );
        assert_eq!(proxy.metric(&line), 1.0, "{}", proxy.metrics());
    }
}

#[tokio::test]
async fn an_endpoint_that_does_not_prove_itself_is_stepped_around() {
    let ca = pki::Ca::new();
    let good = says("good", &ca.leaf(&["app.internal"]), &[]).await;
    let bad = says("bad", &ca.leaf(&["other.internal"]), &[]).await;
    let proxy = proxy_to(ca.policy("app.internal"), RouteKind::HTTPRoute, &[good.address, bad.address]).await;
    for _ in 0..10 {
        assert_eq!(client::get(proxy.port, "/").await.0, 200);
    }
    assert_eq!(bad.requests(), 0);
}

#[tokio::test]
async fn grpc_routes_need_http2_and_others_do_not_ask_for_it() {
    let ca = pki::Ca::new();
    let leaf = ca.leaf(&["app.internal"]);
    let both = says("both", &leaf, &["h2", "http/1.1"]).await;
    let old = says("old", &leaf, &["http/1.1"]).await;
    let silent = says("silent", &leaf, &[]).await;
    let cases = [
        (&both, RouteKind::HTTPRoute, 200, "both HTTP/1.1", None),
        (&both, RouteKind::GRPCRoute, 200, "both HTTP/2.0", None),
        (&silent, RouteKind::HTTPRoute, 200, "silent HTTP/1.1", None),
        (&old, RouteKind::GRPCRoute, 502, "bad gateway\n", Some("AlpnMismatch")),
        (&silent, RouteKind::GRPCRoute, 502, "bad gateway\n", Some("AlpnMismatch")),
    ];
    for (backend, kind, status, text, reason) in cases {
        let proxy = proxy_to(ca.policy("app.internal"), kind, &[backend.address]).await;
        assert_eq!(client::get(proxy.port, "/").await, (status, text.to_owned()), "{kind} {text}");
        assert_eq!(proxy.wait_records(1).await[0].reason, reason, "{kind} {text}");
    }
}

#[tokio::test]
async fn a_policys_own_protocols_decide() {
    let ca = pki::Ca::new();
    let backend = says("x", &ca.leaf(&["app.internal"]), &["h2", "http/1.1"]).await;
    for (alpn, text) in [(["http/1.1", "h2"], "x HTTP/2.0"), (["http/1.1", "http/1.1"], "x HTTP/1.1")] {
        let mut settings = ca.settings("app.internal");
        settings.alpn = alpn.iter().map(|&name| Arc::from(name)).collect();
        settings.alpn.dedup();
        let tls = BackendTls::Policy(Arc::new(UpstreamTlsPolicy::new("default/p", settings)));
        let proxy = proxy_to(tls, RouteKind::HTTPRoute, &[backend.address]).await;
        assert_eq!(client::get(proxy.port, "/").await, (200, text.to_owned()));
        assert_eq!(client::get(proxy.port, "/").await, (200, text.to_owned()));
        assert!(proxy.wait_records(2).await[1].reused);
    }
}

#[tokio::test]
async fn a_changed_policy_never_rides_on_an_old_connection_or_session() {
    let ca = pki::Ca::new();
    let other = pki::Ca::new();
    let backend = says("x", &ca.leaf(&["app.internal"]), &[]).await;
    let mut proxy = proxy_to(ca.policy("app.internal"), RouteKind::HTTPRoute, &[backend.address]).await;
    assert_eq!(client::get(proxy.port, "/").await.0, 200);
    assert_eq!(proxy.metric("lasthop_upstream_idle_connections"), 1.0);
    let address = [backend.address];
    let put = |snapshot: &mut Snapshot, tls| {
        put_backend_with(snapshot, "app", AppProtocol::Unspecified, tls, &address);
    };
    proxy.change(|snapshot| put(snapshot, other.policy("app.internal"))).await;
    assert_eq!(proxy.metric("lasthop_upstream_idle_connections"), 0.0, "the old connection is closed");
    assert_eq!(client::get(proxy.port, "/").await.0, 502);
    proxy.change(|snapshot| put(snapshot, ca.policy("other.internal"))).await;
    assert_eq!(client::get(proxy.port, "/").await.0, 502);
    proxy.change(|snapshot| put(snapshot, ca.policy("app.internal"))).await;
    assert_eq!(client::get(proxy.port, "/").await.0, 200);
    let records = proxy.wait_records(4).await;
    let seen: Vec<_> = records.iter().map(|record| (record.reason, record.reused, record.resumed)).collect();
    assert_eq!(
        seen,
        [
            (None, false, false),
            (Some("UntrustedChain"), false, false),
            (Some("NameMismatch"), false, false),
            (None, false, false)
        ]
    );
    // The policy goes, and with it the protection: that is what was asked for, on a connection of its own.
    proxy.change(|snapshot| put(snapshot, BackendTls::Plaintext(PlaintextReason::NoPolicy))).await;
    assert_eq!(client::get(proxy.port, "/").await.0, 502, "the backend speaks no plaintext");
}

async fn https_proxy() -> (Proxy, pki::Ca, u16, backend::Backend) {
    let ca = pki::Ca::new();
    let port = free_port();
    let app = backend::echo().await;
    let address = app.address;
    let proxy = Proxy::start(|snapshot| {
        put_listener(
            snapshot,
            pki::https("one", port, Some("one.example.com"), &ca.leaf(&["one.example.com"])),
        );
        put_listener(snapshot, pki::https("wild", port, Some("*.example.com"), &ca.leaf(&["*.example.com"])));
        put_backend(snapshot, "app", &[address]);
        let mut rule = rule("app", "/", &["app"]);
        rule.attachments = ["one", "wild"]
            .map(|name| Attachment { listener: listener_key(name), hosts: Vec::new() })
            .to_vec();
        put_rule(snapshot, rule);
    })
    .await;
    (proxy, ca, port, app)
}

#[tokio::test]
async fn clients_are_served_by_the_listener_their_sni_chooses() {
    let (proxy, ca, port, _app) = https_proxy().await;
    for (sni, alpn, protocol, listener) in [
        ("one.example.com", &["http/1.1"][..], "HTTP/1.1", "one"),
        ("two.example.com", &[][..], "HTTP/1.1", "wild"),
        ("one.example.com", &["h2", "http/1.1"][..], "HTTP/2", "one"),
    ] {
        let stream = pki::connect(port, &ca, sni, alpn).await.unwrap();
        let io = TokioIo::new(stream);
        let (status, text) = if protocol == "HTTP/2" {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            let request = Request::get(format!("https://{sni}/")).body(client::empty()).unwrap();
            client::read(sender.send_request(request).await.unwrap()).await
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            let request = Request::get("/").header("host", sni).body(client::empty()).unwrap();
            client::read(sender.send_request(request).await.unwrap()).await
        };
        assert_eq!(status, 200, "{sni}");
        assert!(text.contains("x-forwarded-proto: https\n"), "{text}");
        assert!(text.contains(&format!("host: {sni}\n")), "{text}");
        let record = proxy.wait_records(1).await.pop().unwrap();
        assert_eq!((record.protocol, record.listener.as_deref()), (protocol, Some(listener)));
        proxy.log.0.lock().unwrap().clear();
    }
    assert!(pki::connect(port, &ca, "other.test", &[]).await.is_err(), "no listener takes this name");
}

#[tokio::test]
async fn a_host_of_another_listener_is_misdirected() {
    let (proxy, ca, port, _app) = https_proxy().await;
    for (sni, host, status) in [
        ("one.example.com", "one.example.com", 200),
        ("one.example.com", "ONE.example.com.", 200),
        ("one.example.com", "two.example.com", 421),
        ("two.example.com", "one.example.com", 421),
        ("two.example.com", "three.example.com", 200),
        ("two.example.com", "other.test", 404),
    ] {
        let stream = pki::connect(port, &ca, sni, &["http/1.1"]).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("/").header("host", host).body(client::empty()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), status, "{sni} {host}");
        drop(answer.into_body().collect().await);
    }
    drop(proxy);
}

/// Whoever reads the HTTP status connects anew, and whoever reads gRPC's tries again.
#[tokio::test]
async fn a_misdirected_call_is_told_so_either_way() {
    let (proxy, ca, port, _app) = https_proxy().await;
    let stream = pki::connect(port, &ca, "one.example.com", &["h2"]).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for kind in ["application/grpc", "application/grpc-web+proto"] {
        let request = Request::post("https://two.example.com/a.B/C").header("content-type", kind);
        let answer = sender.send_request(request.body(client::full("m")).unwrap()).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["grpc-status"]),
            (421, &"14".parse().unwrap())
        );
        assert!(kind.starts_with(answer.headers()["content-type"].to_str().unwrap()));
        assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
    assert_eq!(proxy.wait_records(1).await[0].reason, Some("Misdirected"));
}

#[tokio::test]
async fn curl_gets_http2_over_tls() {
    let (_proxy, ca, port, _app) = https_proxy().await;
    let mut pem = std::env::temp_dir();
    pem.push(format!("lasthop-tls-test-{}-{port}.pem", std::process::id()));
    std::fs::write(&pem, &ca.pem).unwrap();
    let output = tokio::process::Command::new("curl")
        .args(["-sS", "--max-time", "5", "--http2", "-o", "-", "-w", "\n%{http_version} %{http_code}"])
        .arg("--cacert")
        .arg(&pem)
        .args(["--resolve", &format!("one.example.com:{port}:127.0.0.1"), "-d", "hello"])
        .arg(format!("https://one.example.com:{port}/form"))
        .output()
        .await
        .unwrap();
    std::fs::remove_file(&pem).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("POST /form HTTP/1.1\n"), "{text} {}", String::from_utf8_lossy(&output.stderr));
    assert!(text.ends_with("hello\n2 200"), "{text}");
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_clients() {
    let (mut proxy, ca, port, _app) = https_proxy().await;
    let shown = |stream: &tokio_rustls::client::TlsStream<tokio::net::TcpStream>| {
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let before = shown(&pki::connect(port, &ca, "one.example.com", &[]).await.unwrap());
    let leaf = ca.leaf(&["one.example.com"]);
    let report = proxy
        .change(|snapshot| put_listener(snapshot, pki::https("one", port, Some("one.example.com"), &leaf)))
        .await;
    assert!(matches!(&report.listeners[0].1, ListenerState::Bound(_)), "{report:?}");
    let after = shown(&pki::connect(port, &ca, "one.example.com", &[]).await.unwrap());
    assert_ne!(before, after);
    assert_eq!(after, leaf.der);
}

/// The certificate was checked for one name, but a virtual server chosen by SNI is another one.
#[tokio::test]
async fn connections_belong_to_their_sni() {
    let ca = pki::Ca::new();
    let backend = says("x", &ca.leaf(&["app.internal"]), &[]).await;
    let mut settings = ca.settings("app.internal");
    settings.sni = Sni::RequestHost;
    let tls = BackendTls::Policy(Arc::new(UpstreamTlsPolicy::new("default/p", settings)));
    let mut proxy = proxy_to(tls, RouteKind::HTTPRoute, &[backend.address]).await;
    for host in ["a.test", "b.test", "a.test", "b.test"] {
        let request = Request::get("/").header("host", host).body(client::empty()).unwrap();
        let answer = client::http1(proxy.port).await.send_request(request).await.unwrap();
        assert_eq!(client::read(answer).await.0, 200);
    }
    assert_eq!(backend.connections(), 2);
    let reused: Vec<_> = proxy.wait_records(4).await.iter().map(|record| record.reused).collect();
    assert_eq!(reused, [false, false, true, true]);
    assert_eq!(proxy.metric("lasthop_upstream_idle_connections"), 2.0);
    proxy.change(|snapshot| snapshot.endpoints.clear()).await;
    assert_eq!(proxy.metric("lasthop_upstream_idle_connections"), 0.0);
}

#[tokio::test]
async fn handshakes_have_a_time_limit() {
    let ca = pki::Ca::new();
    let silent = backend::raw(|_, stream| async move {
        tokio::time::sleep(std::time::Duration::from_secs(20)).await;
        drop(stream);
    })
    .await;
    let limits = lasthop_dataplane::Limits {
        connect_timeout: std::time::Duration::from_millis(300),
        handshake_timeout: std::time::Duration::from_millis(300),
        ..lasthop_dataplane::Limits::default()
    };
    let port = free_port();
    let proxy = Proxy::with(1, limits, |snapshot| {
        put_listener(snapshot, pki::https("https", port, None, &ca.leaf(&["a.test"])));
        let tls = ca.policy("app.internal");
        put_backend_with(snapshot, "app", AppProtocol::Unspecified, tls, &[silent.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    assert_eq!(client::get(proxy.port, "/").await, (502, "bad gateway\n".to_owned()));
    assert_eq!(proxy.wait_records(1).await[0].reason, Some("HandshakeTimeout"));

    let started = std::time::Instant::now();
    let mut rest = Vec::new();
    let _ = client::connect(port).await.read_to_end(&mut rest).await;
    assert!((200..2000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    let line =
        "lasthop_tls_handshakes_total{side=\"downstream\",result=\"HandshakeTimeout\",resumed=\"false\"}";
    // The socket closes a moment before it is counted.
    for _ in 0..100 {
        if proxy.metric(line) == 1.0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{}", proxy.metrics());
}
