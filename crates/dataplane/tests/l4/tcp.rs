//! TCP listeners.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use crate::{
    peers::{Peer, read_all, read_text, rest_of},
    support::{backend, client, *},
    *,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// A proxy with one TCP listener and these backends by weight.
async fn relaying(workers: usize, limits: Limits, backends: &[(&str, u32, &[SocketAddr])]) -> Proxy {
    proxy(stack(), workers, limits, |snapshot, port| {
        put_listener(snapshot, tcp("tcp", port));
        let weights: Vec<_> = backends.iter().map(|(name, weight, _)| (*name, *weight)).collect();
        for (name, _, at) in backends {
            put_backend(snapshot, name, at);
        }
        put_l4_rule(snapshot, l4_rule(RouteKind::TCPRoute, "app", "tcp", &[], &weights));
    })
    .await
}

#[tokio::test]
async fn both_directions_flow_and_end_by_themselves() {
    let peer = Peer::plain("hi").await;
    let proxy = relaying(1, Limits::default(), &[("app", 1, &[peer.address])]).await;
    let mut stream = client::connect(proxy.port).await;
    assert_eq!(read_text(&mut stream, 2).await, "hi", "the backend speaks first");
    let (mut reader, mut writer) = stream.into_split();
    let sent: Vec<u8> = (0..8_000_000_u32).map(|i| (i % 251) as u8).collect();
    let copy = sent.clone();
    let writing = tokio::spawn(async move {
        writer.write_all(&copy).await.unwrap();
        writer.shutdown().await.unwrap();
        writer
    });
    // A slow reader holds the backend back, and loses nothing.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let got = rest_of(&mut reader).await.unwrap();
    writing.await.unwrap();
    assert!(got.strip_suffix(b"bye") == Some(&sent[..]), "{}", got.len());
    assert_eq!(peer.wait_ends(1).await, [Ok(())]);
    let record = &proxy.wait_records(1).await[0];
    assert_eq!((record.bytes_in, record.bytes_out), (8_000_000, 8_000_005));
    assert_eq!((record.protocol, record.reason, record.status), ("TCP", None, 0));
    assert_eq!(record.rule.as_deref(), Some("TCPRoute/default/app/0 via default/gw"));
    assert_eq!((record.endpoint, record.attempts), (Some(peer.address), 1));
    assert_eq!(proxy.metric("lasthop_connections{side=\"upstream\"}"), 0.0);
    assert_eq!(proxy.metric("lasthop_connections{side=\"downstream\"}"), 0.0);
    assert_eq!(
        proxy.metric(
            "lasthop_l4_backend_bytes_total{backend=\"default/app:80 via default/gw\",direction=\"out\"}"
        ),
        8_000_005.0
    );
}

fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn a_reset_is_passed_on_both_ways_after_what_came_before_it() {
    let peer = Peer::plain("hi").await;
    let proxy = relaying(1, Limits::default(), &[("app", 1, &[peer.address])]).await;
    let mut stream = client::connect(proxy.port).await;
    stream.write_all(b"last words").await.unwrap();
    assert_eq!(read_text(&mut stream, 12).await, "hilast words");
    reset(&stream);
    drop(stream);
    assert_eq!(peer.wait_ends(1).await, [Err(io::ErrorKind::ConnectionReset)]);
    assert_eq!(peer.bytes(), b"last words");
    assert_eq!(proxy.wait_records(1).await[0].reason, Some("ClientClosed"));

    let rude = backend::raw(|_, mut stream| async move {
        stream.write_all(b"last words").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        reset(&stream);
    })
    .await;
    let proxy = relaying(1, Limits::default(), &[("app", 1, &[rude.address])]).await;
    let (got, end) = read_all(&mut client::connect(proxy.port).await).await;
    assert_eq!(got, b"last words");
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(proxy.wait_records(1).await[0].reason, Some("UpstreamReset"));
}

#[tokio::test]
async fn what_a_backend_says_before_it_hangs_up_arrives() {
    // It neither reads what comes nor waits for an end.
    let curt = backend::raw(|_, mut stream| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(b"554 go away").await.unwrap();
    })
    .await;
    let proxy = relaying(1, Limits::default(), &[("app", 1, &[curt.address])]).await;
    let mut stream = client::connect(proxy.port).await;
    stream.write_all(&vec![b'x'; 200_000]).await.unwrap();
    assert_eq!(read_text(&mut stream, 11).await, "554 go away");
}

#[tokio::test]
async fn weights_hold_within_five_percent_over_10_000_connections() {
    static COUNTS: [AtomicUsize; 3] = [AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0)];
    let mut addresses = Vec::new();
    for count in &COUNTS {
        let backend = backend::raw(move |_, _| async move {
            count.fetch_add(1, SeqCst);
        });
        addresses.push(backend.await.address);
    }
    let backends: [(&str, u32, &[SocketAddr]); 3] =
        [("a", 1, &addresses[..1]), ("b", 3, &addresses[1..2]), ("c", 0, &addresses[2..])];
    let proxy = relaying(2, Limits::default(), &backends).await;
    let port = proxy.port;
    let clients = (0..20).map(|_| {
        tokio::spawn(async move {
            for _ in 0..500 {
                let mut stream = client::connect(port).await;
                let (got, end) = read_all(&mut stream).await;
                assert!(got.is_empty() && end.is_ok(), "{end:?}");
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let [a, b, c] = [0, 1, 2].map(|i| COUNTS[i].load(SeqCst));
    assert_eq!((a + b, c), (10_000, 0));
    assert!((2_375..=2_625).contains(&a), "{a} of 10,000 instead of 2,500 within 5 %");
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_replaced_before_the_client_notices() {
    let peer = Peer::plain("hi").await;
    let down = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let proxy = relaying(1, Limits::default(), &[("app", 1, &[peer.address, down])]).await;
    for _ in 0..20 {
        assert_eq!(read_text(&mut client::connect(proxy.port).await, 2).await, "hi");
    }
    let records = proxy.wait_records(20).await;
    assert!(records.iter().all(|record| record.endpoint == Some(peer.address)), "{records:?}");
    assert!(records.iter().any(|record| record.attempts == 2), "{records:?}");
}

#[tokio::test]
async fn each_failure_has_its_reason_and_ends_in_a_reset() {
    let down = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut proxy = relaying(1, Limits::default(), &[("app", 1, &[down])]).await;
    let port = proxy.port;
    let refused = async || {
        // The reset may come while the client still connects.
        let end = match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(mut stream) => {
                let (got, end) = read_all(&mut stream).await;
                assert_eq!(got, b"");
                end
            }
            Err(error) => Err(error),
        };
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    };
    refused().await;
    proxy.change(|snapshot| put_backend(snapshot, "app", &[])).await;
    refused().await;
    proxy
        .change(|snapshot| {
            let refusal = Refusal { reason: "Invalid".into(), message: "no CA".into(), policy: "a/b".into() };
            put_hop(snapshot, "app", BackendTls::Refused(refusal), &[down]);
        })
        .await;
    refused().await;
    proxy
        .change(|snapshot| {
            put_l4_rule(snapshot, l4_rule(RouteKind::TCPRoute, "app", "tcp", &[], &[("app", 0)]));
        })
        .await;
    refused().await;
    proxy.change(|snapshot| snapshot.l4_rules.clear()).await;
    refused().await;
    let reasons: Vec<_> = proxy.wait_records(5).await.iter().map(|record| record.reason.unwrap()).collect();
    assert_eq!(reasons, ["ConnectFailed", "NoEndpoint", "PolicyRefused", "InvalidBackend", "NoRoute"]);
    let upstream =
        "lasthop_upstream_failures_total{backend=\"default/app:80 via default/gw\",reason=\"ConnectFailed\"}";
    assert_eq!(proxy.metric(upstream), 1.0);
    assert_eq!(
        proxy.metric("lasthop_downstream_failures_total{listener=\"default/gw/tcp\",reason=\"NoRoute\"}"),
        1.0
    );
}

#[tokio::test]
async fn a_connection_that_stands_still_ends() {
    let peer = Peer::plain("hi").await;
    let limits = Limits { l4_idle_timeout: Duration::from_millis(600), ..Limits::default() };
    let proxy = relaying(1, limits, &[("app", 1, &[peer.address])]).await;
    let mut stream = client::connect(proxy.port).await;
    assert_eq!(read_text(&mut stream, 2).await, "hi");
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stream.write_all(b"still here").await.unwrap();
        assert_eq!(read_text(&mut stream, 10).await, "still here");
    }
    let started = std::time::Instant::now();
    assert!(read_all(&mut stream).await.1.is_err());
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(proxy.wait_records(1).await[0].reason, Some("IdleTimeout"));
}

#[tokio::test]
async fn what_is_under_way_goes_on_when_its_route_and_listener_go_and_is_waited_for() {
    let peer = Peer::plain("hi").await;
    let mut proxy = relaying(2, Limits::default(), &[("app", 1, &[peer.address])]).await;
    let mut stream = client::connect(proxy.port).await;
    assert_eq!(read_text(&mut stream, 2).await, "hi");
    proxy
        .change(|snapshot| {
            snapshot.l4_rules.clear();
            snapshot.backends.clear();
            snapshot.endpoints.clear();
            snapshot.listeners.clear();
        })
        .await;
    assert!(TcpStream::connect(("127.0.0.1", proxy.port)).await.is_err(), "the listener is gone");
    stream.write_all(b"still here").await.unwrap();
    assert_eq!(read_text(&mut stream, 10).await, "still here");
    let dataplane = proxy.dataplane.clone();
    let draining = tokio::spawn(async move { dataplane.drain(Duration::from_secs(20)).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!draining.is_finished());
    stream.write_all(b"and now").await.unwrap();
    assert_eq!(read_text(&mut stream, 7).await, "and now");
    stream.shutdown().await.unwrap();
    assert_eq!(read_text(&mut stream, 3).await, "bye");
    tokio::time::timeout(Duration::from_secs(5), draining).await.unwrap().unwrap();
}

#[tokio::test]
async fn addresses_are_bound_alone_and_a_port_in_use_fails_its_listener_alone() {
    let peers = [Peer::plain("one").await, Peer::plain("two").await];
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free_port();
    let mut proxy = Proxy::empty(2, Limits::default());
    let report = proxy
        .change(|snapshot| {
            for (name, peer, address) in [("one", &peers[0], "127.0.0.1"), ("two", &peers[1], "127.0.0.2")] {
                let addresses = vec![address.parse().unwrap()];
                put_listener(snapshot, Listener { addresses, ..tcp(name, port) });
                put_backend(snapshot, name, &[peer.address]);
                put_l4_rule(snapshot, l4_rule(RouteKind::TCPRoute, name, name, &[], &[(name, 1)]));
            }
            let addresses = vec!["127.0.0.1".parse().unwrap()];
            let port = taken.local_addr().unwrap().port();
            put_listener(snapshot, Listener { addresses, ..tcp("taken", port) });
        })
        .await;
    for (key, state) in &report.listeners {
        match &*key.name {
            "taken" => assert!(
                matches!(state, ListenerState::Failed { reason, .. } if &**reason == "PortUnavailable"),
                "{state:?}"
            ),
            _ => assert!(matches!(state, ListenerState::Bound(_)), "{state:?}"),
        }
    }
    for (address, name) in [("127.0.0.1", "one"), ("127.0.0.2", "two")] {
        let mut stream = TcpStream::connect((address, port)).await.unwrap();
        assert_eq!(read_text(&mut stream, 3).await, name);
    }
}
