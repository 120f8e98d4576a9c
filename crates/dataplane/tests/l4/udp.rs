//! UDP listeners.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::{support::*, *};
use tokio::net::UdpSocket;

/// A backend that answers each datagram with its name and the datagram.
struct Answering {
    address: SocketAddr,
    /// Whom it heard of.
    seen: Arc<Mutex<BTreeSet<SocketAddr>>>,
    datagrams: Arc<AtomicUsize>,
}

async fn answering(name: &'static str) -> Answering {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let backend = Answering { address, seen: Arc::default(), datagrams: Arc::default() };
    let (seen, datagrams) = (backend.seen.clone(), backend.datagrams.clone());
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            seen.lock().unwrap().insert(from);
            datagrams.fetch_add(1, SeqCst);
            let answer = [name.as_bytes(), &buffer[..length]].concat();
            // One of the longest has no room for the name.
            let _ = socket.send_to(&answer[answer.len().saturating_sub(65_507)..], from).await;
        }
    });
    backend
}

fn udp(name: &str, port: u16) -> Listener {
    Listener { protocol: ListenerProtocol::UDP, ..listener(name, port, None) }
}

/// A port that is free for UDP.
fn free_udp_port() -> u16 {
    std::net::UdpSocket::bind("[::]:0").unwrap().local_addr().unwrap().port()
}

async fn relaying(workers: usize, limits: Limits, backends: &[(&str, u32, &[SocketAddr])]) -> Proxy {
    let port = free_udp_port();
    let mut proxy = proxy(stack(), workers, limits, |snapshot, _| {
        put_listener(snapshot, udp("udp", port));
        let weights: Vec<_> = backends.iter().map(|(name, weight, _)| (*name, *weight)).collect();
        for (name, _, at) in backends {
            put_backend(snapshot, name, at);
        }
        put_l4_rule(snapshot, l4_rule(RouteKind::UDPRoute, "app", "udp", &[], &weights));
    })
    .await;
    proxy.port = port;
    proxy
}

/// A client's socket that takes answers from this address only.
async fn client(address: [u8; 4], port: u16) -> UdpSocket {
    let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    socket.connect((IpAddr::V4(address.into()), port)).await.unwrap();
    socket
}

const HERE: [u8; 4] = [127, 0, 0, 1];

async fn ask(client: &UdpSocket, question: &[u8]) -> Option<Vec<u8>> {
    let _ = client.send(question).await;
    let mut answer = vec![0; 65_536];
    let received = tokio::time::timeout(Duration::from_secs(1), client.recv(&mut answer)).await;
    let length = received.ok()?.ok()?;
    answer.truncate(length);
    Some(answer)
}

#[tokio::test]
async fn datagrams_of_any_size_go_there_and_back_from_the_address_that_was_asked() {
    let backend = answering("a:").await;
    let limits = Limits { udp_idle_timeout: Duration::from_millis(600), ..Limits::default() };
    let proxy = relaying(1, limits, &[("app", 1, &[backend.address])]).await;
    for address in [HERE, [127, 0, 0, 2], [127, 9, 8, 7]] {
        let client = client(address, proxy.port).await;
        assert_eq!(ask(&client, b"hello").await.as_deref(), Some(&b"a:hello"[..]), "{address:?}");
        assert_eq!(ask(&client, b"").await.as_deref(), Some(&b"a:"[..]));
        let long: Vec<u8> = (0..65_507_u32).map(|i| (i % 251) as u8).collect();
        assert!(ask(&client, &long).await.as_deref() == Some(&long[..]));
    }
    if let Ok(client) = UdpSocket::bind("[::1]:0").await {
        client.connect(("::1", proxy.port)).await.unwrap();
        assert_eq!(ask(&client, b"six").await.as_deref(), Some(&b"a:six"[..]));
    }
    let record = proxy.wait_records(3).await.remove(0);
    assert_eq!((record.protocol, record.reason, record.status, record.attempts), ("UDP", None, 0, 1));
    assert_eq!((record.bytes_in, record.bytes_out), (65_512, 65_516));
    assert_eq!(record.rule.as_deref(), Some("UDPRoute/default/app/0 via default/gw"));
    assert_eq!(record.endpoint, Some(backend.address));
}

#[tokio::test]
async fn a_client_has_one_session_with_whichever_worker() {
    let backend = answering("a:").await;
    let proxy = relaying(4, Limits::default(), &[("app", 1, &[backend.address])]).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(client(HERE, proxy.port).await);
    }
    for _ in 0..20 {
        for client in &clients {
            assert_eq!(ask(client, b"hello").await.as_deref(), Some(&b"a:hello"[..]));
        }
    }
    assert_eq!(backend.seen.lock().unwrap().len(), 50);
    assert_eq!(proxy.metric("lasthop_l4_listener_connections{listener=\"default/gw/udp\"}"), 50.0);
    assert_eq!(proxy.metric("lasthop_l4_listener_connections_total{listener=\"default/gw/udp\"}"), 50.0);
    assert_eq!(
        proxy.metric("lasthop_l4_listener_bytes_total{listener=\"default/gw/udp\",direction=\"out\"}"),
        7000.0
    );
}

#[tokio::test]
async fn weights_hold_between_sessions() {
    let backends = [answering("a").await, answering("b").await, answering("c").await];
    let at: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let proxy =
        relaying(2, Limits::default(), &[("a", 1, &at[..1]), ("b", 3, &at[1..2]), ("c", 0, &at[2..])]).await;
    for _ in 0..1_000 {
        let client = client(HERE, proxy.port).await;
        let first = ask(&client, b"").await.unwrap();
        assert_eq!(ask(&client, b"").await.unwrap(), first, "a session stays with its backend");
    }
    let [a, b, c] = [0, 1, 2].map(|i: usize| backends[i].seen.lock().unwrap().len());
    // A port that comes back to another client within a minute is the same client to us.
    assert!(a + b > 900 && c == 0, "{a} {b} {c}");
    assert!((0.19..=0.31).contains(&(a as f64 / (a + b) as f64)), "{a} of {} instead of a quarter", a + b);
}

#[tokio::test]
async fn a_session_ends_when_it_idles_and_says_if_nobody_answered() {
    let mute = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let limits = Limits { udp_idle_timeout: Duration::from_millis(500), ..Limits::default() };
    let proxy = relaying(1, limits, &[("app", 1, &[mute.local_addr().unwrap()])]).await;
    let client = client(HERE, proxy.port).await;
    assert_eq!(ask(&client, b"anybody?").await, None);
    let record = &proxy.wait_records(1).await[0];
    assert_eq!((record.reason, record.bytes_in, record.bytes_out), (Some("IdleTimeout"), 8, 0));
    assert_eq!(
        proxy.metric("lasthop_downstream_failures_total{listener=\"default/gw/udp\",reason=\"IdleTimeout\"}"),
        1.0
    );
    assert_eq!(proxy.metric("lasthop_l4_listener_connections{listener=\"default/gw/udp\"}"), 0.0);
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_left_for_another() {
    let backend = answering("a:").await;
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = relaying(1, Limits::default(), &[("app", 1, &[backend.address, closed])]).await;
    let mut lost = 0;
    for _ in 0..20 {
        let client = client(HERE, proxy.port).await;
        // The first may go nowhere: the machine says so only afterwards.
        if ask(&client, b"1").await.is_none() {
            lost += 1;
            assert_eq!(ask(&client, b"2").await.as_deref(), Some(&b"a:2"[..]));
        }
    }
    assert!(lost <= 3, "{lost} met the closed one, which should be stepped around");
    if lost > 0 {
        let record = &proxy.wait_records(1).await[0];
        assert_eq!((record.reason, record.endpoint), (Some("ConnectFailed"), Some(closed)));
    }
}

#[tokio::test]
async fn datagrams_that_nobody_may_have_are_dropped_and_counted() {
    let backend = answering("a:").await;
    let mut proxy = relaying(1, Limits::default(), &[("app", 1, &[backend.address])]).await;
    let port = proxy.port;
    let dropped = async || assert_eq!(ask(&client(HERE, port).await, b"secret").await, None);
    let ca = pki::Ca::new();
    let refusal = Refusal { reason: "Invalid".into(), message: "UDP".into(), policy: "a/b".into() };
    for tls in [BackendTls::Refused(refusal), ca.policy("app.internal")] {
        proxy.change(|snapshot| put_hop(snapshot, "app", tls, &[backend.address])).await;
        dropped().await;
    }
    proxy.change(|snapshot| put_backend(snapshot, "app", &[])).await;
    dropped().await;
    proxy.change(|snapshot| snapshot.l4_rules.clear()).await;
    dropped().await;
    assert_eq!(backend.datagrams.load(SeqCst), 0);
    let reasons: Vec<_> = proxy.wait_records(4).await.iter().map(|record| record.reason.unwrap()).collect();
    assert_eq!(reasons, ["PolicyRefused", "PolicyRefused", "NoEndpoint", "NoRoute"]);
    let line =
        "lasthop_upstream_failures_total{backend=\"default/app:80 via default/gw\",reason=\"PolicyRefused\"}";
    assert_eq!(proxy.metric(line), 2.0);
    assert_eq!(proxy.metric("lasthop_l4_listener_connections_total{listener=\"default/gw/udp\"}"), 0.0);
}

#[tokio::test]
async fn a_client_that_keeps_sending_follows_the_configuration() {
    let backends = [answering("a").await, answering("b").await];
    let mut proxy = relaying(2, Limits::default(), &[("app", 1, &[backends[0].address])]).await;
    let client = client(HERE, proxy.port).await;
    assert_eq!(ask(&client, b"").await.as_deref(), Some(&b"a"[..]));
    // Something else changes: the session stays.
    proxy.change(|snapshot| put_backend(snapshot, "other", &[])).await;
    assert_eq!(ask(&client, b"").await.as_deref(), Some(&b"a"[..]));
    assert_eq!(backends[0].seen.lock().unwrap().len(), 1);
    proxy.change(|snapshot| put_backend(snapshot, "app", &[backends[1].address])).await;
    assert_eq!(ask(&client, b"").await.as_deref(), Some(&b"b"[..]), "the endpoint is gone");
    proxy
        .change(|snapshot| {
            put_backend(snapshot, "two", &[backends[0].address]);
            put_l4_rule(snapshot, l4_rule(RouteKind::UDPRoute, "app", "udp", &[], &[("two", 1), ("app", 0)]));
        })
        .await;
    assert_eq!(ask(&client, b"").await.as_deref(), Some(&b"a"[..]), "the route leads elsewhere");
    // The listener goes, and comes back at once.
    let port = proxy.port;
    proxy.change(|snapshot| drop(snapshot.listeners.remove(&listener_key("udp")))).await;
    assert_eq!(ask(&client, b"").await, None);
    proxy.change(|snapshot| put_listener(snapshot, udp("udp", port))).await;
    assert_eq!(ask(&client, b"").await.as_deref(), Some(&b"a"[..]));
    let records = proxy.wait_records(3).await;
    assert!(records.iter().all(|record| record.reason.is_none()), "{records:?}");
}

/// One datagram from each of many addresses.
fn flood(first: [u8; 4], count: u32, port: u16) {
    for i in 0..count {
        let source = Ipv4Addr::from(u32::from_be_bytes(first) + i);
        let socket = std::net::UdpSocket::bind((source, 0)).unwrap();
        socket.send_to(b"flood", (Ipv4Addr::LOCALHOST, port)).unwrap();
    }
}

const OPEN: &str = "lasthop_l4_listener_connections{listener=\"default/gw/udp\"}";
const REFUSED: &str =
    "lasthop_downstream_failures_total{listener=\"default/gw/udp\",reason=\"TooManySessions\"}";

#[tokio::test]
async fn a_flood_from_many_addresses_finds_a_bound_and_leaves_others_alone() {
    let backend = answering("a:").await;
    let limits = Limits { udp_sessions: 64, ..Limits::default() };
    let proxy = relaying(2, limits, &[("app", 1, &[backend.address])]).await;
    let served = async |client: &UdpSocket| ask(client, b"hi").await.as_deref() == Some(&b"a:hi"[..]);
    let mut regulars = Vec::new();
    for _ in 0..4 {
        let regular = client(HERE, proxy.port).await;
        assert!(served(&regular).await && served(&regular).await);
        regulars.push(regular);
    }
    for round in 0..6 {
        flood([127, 1, round, 1], 250, proxy.port);
        for regular in &regulars {
            assert!(served(regular).await);
        }
        assert!(proxy.metric(OPEN) <= 64.0, "{}", proxy.metric(OPEN));
        // Those who were answered make room for somebody new; how soon they are is the backend's affair.
        let newcomer = client(HERE, proxy.port).await;
        let mut has_room = false;
        for _ in 0..5 {
            has_room = has_room || served(&newcomer).await;
        }
        assert!(has_room, "in round {round}");
    }
    assert!(proxy.metric(OPEN) >= 32.0, "{}", proxy.metric(OPEN));
}

#[tokio::test]
async fn clients_that_nobody_answers_are_refused_at_the_bound_for_a_moment() {
    let mute = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let limits = Limits { udp_sessions: 64, ..Limits::default() };
    let proxy = relaying(1, limits, &[("app", 1, &[mute.local_addr().unwrap()])]).await;
    flood([127, 1, 0, 1], 1_000, proxy.port);
    let refused = async |least: f64| {
        for _ in 0..100 {
            if proxy.metric(REFUSED) >= least {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    };
    assert!(refused(100.0).await, "{}", proxy.metrics());
    assert!(proxy.metric(OPEN) <= 64.0, "{}", proxy.metric(OPEN));
    let logged = proxy.records().iter().filter(|record| record.reason == Some("TooManySessions")).count();
    assert!((1..100).contains(&logged), "{logged} lines for {} datagrams", proxy.metric(REFUSED));
    // After a moment the next one has room again.
    tokio::time::sleep(Duration::from_millis(800)).await;
    let before = proxy.metric(REFUSED);
    let total = "lasthop_l4_listener_connections_total{listener=\"default/gw/udp\"}";
    let sessions = proxy.metric(total);
    assert_eq!(ask(&client(HERE, proxy.port).await, b"hi").await, None);
    assert_eq!((proxy.metric(REFUSED), proxy.metric(total)), (before, sessions + 1.0));
    assert!(proxy.metric(OPEN) <= 64.0, "{}", proxy.metric(OPEN));
}

/// Of a listener that is flooded by clients who insist, none is ever idle enough to go.
#[tokio::test]
async fn a_flood_of_one_listener_leaves_room_for_clients_of_another() {
    let backend = answering("a:").await;
    let mute = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let limits = Limits { udp_sessions: 32, ..Limits::default() };
    let mut proxy = relaying(1, limits, &[("app", 1, &[mute.local_addr().unwrap()])]).await;
    let other = free_udp_port();
    proxy
        .change(|snapshot| {
            put_listener(snapshot, udp("other", other));
            put_backend(snapshot, "two", &[backend.address]);
            put_l4_rule(snapshot, l4_rule(RouteKind::UDPRoute, "two", "other", &[], &[("two", 1)]));
        })
        .await;
    let sockets: Vec<_> = (0..64).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let flood = || {
        for socket in sockets.iter().cycle().take(sockets.len() * 3) {
            socket.send_to(b"flood", (Ipv4Addr::LOCALHOST, proxy.port)).unwrap();
        }
    };
    flood();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(proxy.metric(OPEN), 32.0);
    let served = async |client: &UdpSocket| ask(client, b"hi").await.as_deref() == Some(&b"a:hi"[..]);
    let mut regulars = Vec::new();
    for number in 0..8 {
        let regular = client(HERE, other).await;
        assert!(served(&regular).await && served(&regular).await, "client {number}");
        regulars.push(regular);
        flood();
    }
    // The flood does not take back what they have.
    let total = "lasthop_l4_listener_connections_total{listener=\"default/gw/other\"}";
    for regular in &regulars {
        assert!(served(regular).await);
        flood();
    }
    assert_eq!((proxy.metric(total), proxy.metric(OPEN)), (8.0, 24.0));
}

#[tokio::test]
async fn nothing_is_lost_while_the_configuration_changes() {
    let backends = [answering("a").await, answering("b").await];
    let mut proxy = relaying(2, Limits::default(), &[("app", 1, &[backends[0].address])]).await;
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let port = proxy.port;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, served) = (stop.clone(), served.clone());
            tokio::spawn(async move {
                let client = client(HERE, port).await;
                while !stop.load(SeqCst) {
                    assert!(ask(&client, b"?").await.is_some(), "after {served:?}");
                    served.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    for round in 0..40_usize {
        tokio::time::sleep(Duration::from_millis(20)).await;
        proxy
            .change(|snapshot| {
                put_backend(snapshot, "app", &[backends[round % 2].address]);
                let mut rule = l4_rule(RouteKind::UDPRoute, "app", "udp", &[], &[("app", 1)]);
                rule.created = round as i64;
                put_l4_rule(snapshot, rule);
                put_listener(snapshot, udp("other", free_udp_port()));
            })
            .await;
    }
    stop.store(true, SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    assert!(served.load(SeqCst) > 500, "{served:?}");
    assert!(proxy.records().iter().all(|record| record.reason.is_none()));
}

#[tokio::test]
async fn a_drain_serves_those_it_has_and_nobody_new() {
    let backend = answering("a:").await;
    let proxy = relaying(1, Limits::default(), &[("app", 1, &[backend.address])]).await;
    let known = client(HERE, proxy.port).await;
    assert!(ask(&known, b"1").await.is_some());
    let started = Instant::now();
    let dataplane = proxy.dataplane.clone();
    let draining = tokio::spawn(async move { dataplane.drain(Duration::from_secs(20)).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ask(&client(HERE, proxy.port).await, b"2").await, None);
    assert_eq!(ask(&known, b"3").await.as_deref(), Some(&b"a:3"[..]));
    tokio::time::timeout(Duration::from_secs(10), draining).await.unwrap().unwrap();
    assert!(started.elapsed() >= Duration::from_secs(5), "{:?}", started.elapsed());
    let reasons: Vec<_> = proxy.wait_records(2).await.iter().map(|record| record.reason).collect();
    assert_eq!(reasons, [Some("Overloaded"), None]);
}

#[tokio::test]
async fn tcp_and_udp_share_a_port_number_and_one_in_use_fails_alone() {
    let backend = answering("a:").await;
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = free_udp_port();
    let mut proxy = Proxy::empty(1, Limits::default());
    let report = proxy
        .change(|snapshot| {
            put_listener(snapshot, udp("udp", port));
            put_listener(snapshot, tcp("tcp", port));
            let addresses = vec!["127.0.0.1".parse().unwrap()];
            put_listener(
                snapshot,
                Listener { addresses, ..udp("taken", taken.local_addr().unwrap().port()) },
            );
            put_listener(snapshot, Listener { proxy_protocol: true, ..udp("proxied", free_udp_port()) });
            put_backend(snapshot, "app", &[backend.address]);
            put_l4_rule(snapshot, l4_rule(RouteKind::UDPRoute, "app", "udp", &[], &[("app", 1)]));
        })
        .await;
    for (key, state) in &report.listeners {
        let reason = match state {
            ListenerState::Bound(_) => "",
            ListenerState::Failed { reason, .. } => &**reason,
        };
        let expected = match &*key.name {
            "taken" => "PortUnavailable",
            "proxied" => "Invalid",
            _ => "",
        };
        assert_eq!(reason, expected, "{key} {state:?}");
    }
    assert_eq!(ask(&client(HERE, port).await, b"1").await.as_deref(), Some(&b"a:1"[..]));
}
