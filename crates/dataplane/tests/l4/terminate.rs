//! TLS that ends at the gateway and begins anew behind it.

use std::time::{Duration, SystemTime};

use crate::{
    peers::{Peer, read_text, rest_of},
    support::{client, pki, pki::Ca, *},
    *,
};
use lasthop_tls_verify::TrustAnchors;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A proxy that terminates TLS for `app.test` with a leaf of the CA, and has a backend behind it.
async fn terminating(stack: TlsStack, ca: &Ca, tls_of_backend: BackendTls, peers: &[&Peer]) -> Proxy {
    proxy(stack, 1, Limits::default(), |snapshot, port| {
        put_listener(snapshot, tls("tls", port, Some("app.test"), Some(&ca.leaf(&["app.test"]))));
        let addresses: Vec<_> = peers.iter().map(|peer| peer.address).collect();
        put_hop(snapshot, "app", tls_of_backend, &addresses);
        put_l4_rule(snapshot, l4_rule(RouteKind::TLSRoute, "app", "tls", &["app.test"], &[("app", 1)]));
    })
    .await
}

fn plaintext() -> BackendTls {
    BackendTls::Plaintext(PlaintextReason::NoPolicy)
}

pub async fn what_is_in_tls_goes_to_a_plaintext_backend(stack: TlsStack) {
    let ca = Ca::new();
    let peer = Peer::plain("hi").await;
    let proxy = terminating(stack, &ca, plaintext(), &[&peer]).await;
    let mut stream = pki::connect(proxy.port, &ca, "app.test", &[]).await.unwrap();
    assert_eq!(read_text(&mut stream, 2).await, "hi", "the backend speaks first");
    // More than any buffer holds.
    let sent: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let copy = sent.clone();
    let writing = tokio::spawn(async move {
        writer.write_all(&copy).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let got = rest_of(&mut reader).await.unwrap();
    writing.await.unwrap();
    assert!(got.strip_suffix(b"bye") == Some(&sent[..]), "{}", got.len());
    drop(reader);
    let record = &proxy.wait_records(1).await[0];
    assert_eq!((record.bytes_in, record.bytes_out), (3_000_000, 3_000_005));
    assert_eq!((record.protocol, record.host.as_str(), record.reason), ("TLS", "app.test", None));
    assert_eq!(proxy.metric("lasthop_tls_handshakes_total{side=\"downstream\",result=\"ok\""), 1.0);
    assert_eq!(
        proxy.metric("lasthop_l4_listener_bytes_total{listener=\"default/gw/tls\",direction=\"in\"}"),
        3e6
    );
    assert_eq!(proxy.metric("lasthop_l4_listener_connections{listener=\"default/gw/tls\"}"), 0.0);
    assert_eq!(
        proxy.metric("lasthop_l4_backend_connections_total{backend=\"default/app:80 via default/gw\"}"),
        1.0
    );
}

/// What a client gets that says `secret` to a terminating proxy: all bytes until the end.
async fn whisper(proxy: &Proxy, ca: &Ca) -> String {
    let mut stream = pki::connect(proxy.port, ca, "app.test", &[]).await.unwrap();
    let _ = stream.write_all(b"secret").await;
    let _ = stream.shutdown().await;
    let mut all = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut all)).await;
    String::from_utf8_lossy(&all).into_owned()
}

pub async fn a_backend_proves_itself_or_gets_nothing(stack: TlsStack) {
    let (front, ca) = (Ca::new(), Ca::new());
    let expired = SystemTime::now() - Duration::from_secs(60);
    for (leaf, reason) in [
        (Some(ca.leaf(&["app.internal"])), None),
        (Some(ca.leaf(&["other.internal"])), Some("NameMismatch")),
        (Some(Ca::new().leaf(&["app.internal"])), Some("UntrustedChain")),
        (Some(ca.leaf_until(&["app.internal"], expired)), Some("Expired")),
        (None, Some("NotTls")),
    ] {
        let peer = match &leaf {
            Some(leaf) => Peer::tls("hi", leaf).await,
            None => Peer::plain("hi").await,
        };
        let proxy = terminating(stack, &front, ca.policy("app.internal"), &[&peer]).await;
        let got = whisper(&proxy, &front).await;
        let record = proxy.wait_records(1).await.remove(0);
        assert_eq!(record.reason, reason, "{record:?}");
        match reason {
            None => {
                assert_eq!(got, "hisecretbye");
                assert_eq!(record.tls, Some("1.3"));
                assert_eq!(peer.bytes(), b"secret");
                assert_eq!(peer.seen.lock().unwrap().names, [Some("app.internal".to_owned())]);
            }
            Some(reason) => {
                assert_eq!(got, "", "{reason}");
                assert!(!peer.bytes().windows(6).any(|bytes| bytes == b"secret"), "{reason}");
                let line =
                    "lasthop_upstream_failures_total{backend=\"default/app:80 via default/gw\",reason=";
                assert_eq!(proxy.metric(&format!("{line}\"{reason}\"}}")), 1.0, "{}", proxy.metrics());
            }
        }
    }
    // A policy that cannot be honoured: nobody is even connected to.
    let peer = Peer::plain("hi").await;
    let refusal =
        Refusal { reason: "Invalid".into(), message: "no CA".into(), policy: "default/policy".into() };
    let proxy = terminating(stack, &front, BackendTls::Refused(refusal), &[&peer]).await;
    assert_eq!(whisper(&proxy, &front).await, "");
    assert_eq!(proxy.wait_records(1).await[0].reason, Some("PolicyRefused"));
    assert_eq!(peer.connections(), 0);

    // Of two endpoints the one that proves itself serves everybody.
    let right = Peer::tls("hi", &ca.leaf(&["app.internal"])).await;
    let wrong = Peer::tls("no", &ca.leaf(&["other.internal"])).await;
    let proxy = terminating(stack, &front, ca.policy("app.internal"), &[&right, &wrong]).await;
    for _ in 0..20 {
        assert_eq!(whisper(&proxy, &front).await, "hisecretbye");
    }
    assert_eq!(wrong.bytes(), b"");
}

pub async fn a_backend_that_asks_for_a_certificate_gets_it_or_refuses(stack: TlsStack) {
    let (front, ca, clients) = (Ca::new(), Ca::new(), Ca::new());
    let peer = Peer::mutual("hi", &ca.leaf(&["app.internal"]), &clients).await;
    let proxy = terminating(stack, &front, ca.policy("app.internal"), &[&peer]).await;
    assert_eq!(whisper(&proxy, &front).await, "");
    assert_eq!(proxy.wait_records(1).await[0].reason, Some("ClientCertRefused"));
    assert_eq!(peer.bytes(), b"");
    let mut settings = ca.settings("app.internal");
    settings.client_certificate = Some(clients.leaf(&["gateway"]).certified());
    let policy = BackendTls::Policy(Arc::new(UpstreamTlsPolicy::new("default/policy", settings)));
    let proxy = terminating(stack, &front, policy, &[&peer]).await;
    assert_eq!(whisper(&proxy, &front).await, "hisecretbye");
}

/// Only requests carry a bearer token: a connection is not handed on without one.
pub async fn a_policy_with_a_token_takes_no_connections(stack: TlsStack) {
    let (front, ca) = (Ca::new(), Ca::new());
    let peer = Peer::tls("hi", &ca.leaf(&["app.internal"])).await;
    let mut settings = ca.settings("app.internal");
    settings.bearer_token = Some("shop".into());
    let policy = BackendTls::Policy(Arc::new(UpstreamTlsPolicy::new("default/policy", settings)));
    let proxy = terminating(stack, &front, policy, &[&peer]).await;
    let mut stream = pki::connect(proxy.port, &front, "app.test", &[]).await.unwrap();
    let mut got = Vec::new();
    // It ends with a reset.
    let _ = stream.read_to_end(&mut got).await;
    assert!(got.is_empty(), "{got:?}");
    assert_eq!(proxy.wait_records(1).await[0].reason, Some("PolicyRefused"));
    assert!(peer.bytes().is_empty());
}

pub async fn each_direction_ends_by_itself(stack: TlsStack) {
    let (front, ca) = (Ca::new(), Ca::new());
    for policy in [plaintext(), ca.policy("app.internal")] {
        let peer = match policy {
            BackendTls::Policy(_) => Peer::tls("hi", &ca.leaf(&["app.internal"])).await,
            _ => Peer::plain("hi").await,
        };
        let proxy = terminating(stack, &front, policy, &[&peer]).await;
        // The client's close_notify ends its direction; the backend still says bye, and ends the other one.
        assert_eq!(whisper(&proxy, &front).await, "hisecretbye");
        assert_eq!(peer.wait_ends(1).await, [Ok(())]);
        assert_eq!(proxy.wait_records(1).await[0].reason, None);
    }
}

pub async fn a_cut_is_no_proper_end(stack: TlsStack) {
    let (front, ca) = (Ca::new(), Ca::new());
    let peer = Peer::tls("hi", &ca.leaf(&["app.internal"])).await;
    let proxy = terminating(stack, &front, ca.policy("app.internal"), &[&peer]).await;
    let mut stream = pki::connect(proxy.port, &front, "app.test", &[]).await.unwrap();
    assert_eq!(read_text(&mut stream, 2).await, "hi");
    stream.write_all(b"half").await.unwrap();
    assert_eq!(read_text(&mut stream, 4).await, "half");
    // A FIN without close_notify.
    stream.get_mut().0.shutdown().await.unwrap();
    assert!(peer.wait_ends(1).await[0].is_err(), "the backend must not take it for an end");
    assert_eq!(proxy.wait_records(1).await[0].reason, Some("Truncated"));
}

pub async fn the_clients_server_name_goes_on_if_the_policy_says_so(stack: TlsStack) {
    let (front, ca) = (Ca::new(), Ca::new());
    let peer = Peer::tls("hi", &ca.leaf(&["app.internal"])).await;
    let mut settings = ca.settings("app.internal");
    settings.sni = Sni::RequestHost;
    let policy = BackendTls::Policy(Arc::new(UpstreamTlsPolicy::new("default/policy", settings)));
    let proxy = terminating(stack, &front, policy, &[&peer]).await;
    assert_eq!(whisper(&proxy, &front).await, "hisecretbye");
    assert_eq!(peer.seen.lock().unwrap().names, [Some("app.test".to_owned())]);
}

pub async fn trust_that_shrinks_ends_what_is_under_way(stack: TlsStack) {
    let (front, ca, other) = (Ca::new(), Ca::new(), Ca::new());
    let peer = Peer::tls("hi", &ca.leaf(&["app.internal"])).await;
    let trusting = |cas: &[&Ca]| {
        let mut settings = cas[0].settings("app.internal");
        let certificates = cas.iter().map(|ca| ca.der.clone()).collect();
        settings.peer.anchors = Arc::new(TrustAnchors::from_der(certificates).unwrap().0);
        BackendTls::Policy(Arc::new(UpstreamTlsPolicy::new("default/policy", settings)))
    };
    let mut proxy = terminating(stack, &front, trusting(&[&ca]), &[&peer]).await;
    let mut stream = pki::connect(proxy.port, &front, "app.test", &[]).await.unwrap();
    assert_eq!(read_text(&mut stream, 2).await, "hi");
    // More trust: it goes on.
    proxy.change(|snapshot| put_hop(snapshot, "app", trusting(&[&ca, &other]), &[peer.address])).await;
    stream.write_all(b"more").await.unwrap();
    assert_eq!(read_text(&mut stream, 4).await, "more");
    // Less: it ends within 5 s.
    let started = std::time::Instant::now();
    proxy.change(|snapshot| put_hop(snapshot, "app", trusting(&[&other]), &[peer.address])).await;
    let mut rest = [0; 1];
    let read = tokio::time::timeout(Duration::from_secs(8), stream.read(&mut rest)).await.unwrap();
    assert!(!matches!(read, Ok(1..)), "{read:?}");
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    assert_eq!(proxy.wait_records(1).await[0].reason, Some("TrustRevoked"));
}

pub async fn tls_begins_at_the_gateway_for_tcp_routes(stack: TlsStack) {
    let ca = Ca::new();
    let right = Peer::tls("hi", &ca.leaf(&["app.internal"])).await;
    let wrong = Peer::tls("no", &ca.leaf(&["other.internal"])).await;
    for (peer, answer) in [(&right, "hi"), (&wrong, "")] {
        let proxy = proxy(stack, 1, Limits::default(), |snapshot, port| {
            put_listener(snapshot, tcp("tcp", port));
            put_hop(snapshot, "app", ca.policy("app.internal"), &[peer.address]);
            put_l4_rule(snapshot, l4_rule(RouteKind::TCPRoute, "app", "tcp", &[], &[("app", 1)]));
        })
        .await;
        let mut stream = client::connect(proxy.port).await;
        let _ = stream.write_all(b"secret").await;
        let _ = stream.shutdown().await;
        let got = rest_of(&mut stream).await.unwrap_or_default();
        assert!(String::from_utf8(got).unwrap().starts_with(answer));
        let record = proxy.wait_records(1).await.remove(0);
        match answer {
            "" => assert_eq!(record.reason, Some("NameMismatch")),
            _ => assert_eq!((record.reason, record.tls, record.protocol), (None, Some("1.3"), "TCP")),
        }
    }
    assert_eq!((right.bytes(), wrong.bytes()), (b"secret".to_vec(), Vec::new()));
}

pub async fn a_listener_that_cannot_be_set_up_leaves_the_others_alone(stack: TlsStack) {
    let ca = Ca::new();
    let peer = Peer::plain("hi").await;
    let mut proxy = terminating(stack, &ca, plaintext(), &[&peer]).await;
    let port = proxy.port;
    let broken = |leaf| Listener {
        tls: Some(ListenerTls { certificates: leaf, client_validation: None }),
        ..tls("broken", port, Some("broken.test"), None)
    };
    let state = |report: &Report| {
        report.listeners.iter().find(|(key, _)| &*key.name == "broken").map(|(_, state)| state.clone())
    };
    let report = proxy.change(|snapshot| put_listener(snapshot, broken(Vec::new()))).await;
    assert!(
        matches!(state(&report), Some(ListenerState::Failed { reason, .. }) if &*reason == "Invalid"),
        "{report:?}"
    );
    assert!(pki::connect(port, &ca, "broken.test", &[]).await.is_err());
    let mut stream = pki::connect(port, &ca, "app.test", &[]).await.unwrap();
    assert_eq!(read_text(&mut stream, 2).await, "hi");
    let leaf = ca.leaf(&["broken.test"]).certified();
    let report = proxy.change(|snapshot| put_listener(snapshot, broken(vec![leaf]))).await;
    assert!(matches!(state(&report), Some(ListenerState::Bound(_))), "{report:?}");
}
