//! Proxies get what is theirs, and keep it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use lasthop_dataplane_api::Snapshot;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    Controller, Proxy, add, authority, backend, bound, certificate, endpoints, furnish, furnished, gateway,
    part, same, until,
};

#[tokio::test(flavor = "multi_thread")]
async fn proxies_get_their_own_gateway_and_nothing_else() {
    let authority = authority();
    let mut controller = Controller::start(&authority).await;
    let (a, b) = (gateway("a"), gateway("b"));
    let (key_a, anchors) = certificate("a.example.com");
    let (key_b, _) = certificate("b.example.com");
    let mut proxy_a = Proxy::start(controller.address, &authority, &a);
    let mut proxy_b = Proxy::start(controller.address, &authority, &b);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        (proxy_a.applied(), proxy_b.applied()),
        (0, 0),
        "nobody gets anything before the first update"
    );

    controller
        .set(|snapshot| {
            furnish(snapshot, &a, &key_a, &anchors);
            furnish(snapshot, &b, &key_b, &anchors);
            let mut only_a = Snapshot::default();
            add(&mut only_a, &a, "only-a", None);
            snapshot.http_rules.extend(only_a.http_rules);
            snapshot.backends.extend(only_a.backends);
            snapshot.endpoints.extend(only_a.endpoints);
        })
        .await;
    let (part_a, part_b) = (part(&controller.snapshot, &a), part(&controller.snapshot, &b));
    assert_eq!((part_a.endpoints.len(), part_b.endpoints.len()), (2, 1));
    proxy_a.has(&part_a).await;
    proxy_b.has(&part_b).await;
    // Equality of certificates compares the private keys, too.
    until("it is told", || proxy_a.metrics.is_connected()).await;
    assert_eq!(proxy_a.applied(), 1, "what belongs together comes together");

    // What changes for the one leaves the other alone; shared endpoints reach both.
    controller.set(|snapshot| add(snapshot, &a, "new", Some(&anchors))).await;
    proxy_a.has(&part(&controller.snapshot, &a)).await;
    let moved = endpoints("shop", 9);
    controller.set(|snapshot| drop(snapshot.endpoints.insert(moved.key.clone(), moved))).await;
    proxy_a.has(&part(&controller.snapshot, &a)).await;
    proxy_b.has(&part(&controller.snapshot, &b)).await;
    assert_eq!((proxy_a.applied(), proxy_b.applied()), (3, 2));

    // And all of it goes again.
    controller
        .set(|snapshot| *snapshot = Snapshot { version: snapshot.version, ..Snapshot::default() })
        .await;
    proxy_a.has(&Snapshot::default()).await;
    proxy_b.has(&Snapshot::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_keeps_what_it_has_and_comes_back() {
    let (authority, controller, a, anchors) = furnished().await;
    let mut proxy = Proxy::start(controller.address, &authority, &a);
    proxy.has(&controller.snapshot).await;
    let address = controller.address;

    let mut snapshot = controller.stop().await;
    until("the proxy notes it", || !proxy.metrics.is_connected()).await;
    assert!(same(&proxy.in_force.borrow().0, &snapshot), "it keeps what it has");

    // A controller that has yet to read its source takes nothing away.
    let mut controller = Controller::at(address, &authority, |options| options).await;
    until("it connects", || proxy.metrics.connects.get() == 2).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(proxy.applied(), 1);
    assert!(!proxy.metrics.is_connected(), "connected is who has been told what to serve");

    // What is the same is not sent again, nor applied.
    snapshot.version = 0;
    controller.set(|new| *new = snapshot.clone()).await;
    until("it is told", || proxy.metrics.is_connected()).await;
    assert_eq!(proxy.applied(), 1);
    controller.word().await;

    // What changed while it was away is.
    snapshot = controller.stop().await;
    until("the proxy notes it", || !proxy.metrics.is_connected()).await;
    let mut controller = Controller::at(address, &authority, |options| options).await;
    snapshot.http_rules.clear();
    add(&mut snapshot, &a, "other", Some(&anchors));
    controller.set(|new| *new = snapshot.clone()).await;
    proxy.has(&controller.snapshot).await;
    assert_eq!(proxy.applied(), 2);
    let last = proxy.updates.lock().unwrap().last().unwrap().clone();
    assert_eq!(last.listeners.0.len(), 0, "the listener did not change");
    assert_eq!(last.http_rules.0.len(), 2, "one is gone, one is new");
}

/// Passes bytes on and keeps what came from the server, after TLS was taken off it by nobody: a secret of another
/// Gateway is looked for where it would be readable, in what a proxy decoded.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_no_resource_names_any_more_is_taken_away() {
    let authority = authority();
    let mut controller = Controller::start(&authority).await;
    let a = gateway("a");
    let (old, anchors) = certificate("a.example.com");
    let (new, other_anchors) = certificate("a.example.com");
    controller.set(|snapshot| furnish(snapshot, &a, &old, &anchors)).await;
    let mut proxy = Proxy::start(controller.address, &authority, &a);
    proxy.has(&controller.snapshot).await;
    controller.set(|snapshot| furnish(snapshot, &a, &new, &other_anchors)).await;
    proxy.has(&controller.snapshot).await;
    // The old one is new again: it must come again, too.
    controller.set(|snapshot| furnish(snapshot, &a, &old, &anchors)).await;
    proxy.has(&controller.snapshot).await;
    // A backend without a policy needs no anchors.
    let plain = backend(&a, "shop", None);
    controller.set(|snapshot| drop(snapshot.backends.insert(plain.key.clone(), plain))).await;
    proxy.has(&controller.snapshot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_and_begin_anew_without_a_change() {
    let authority = authority();
    let mut controller = Controller::at("127.0.0.1:0".parse().unwrap(), &authority, |mut options| {
        options.session = Duration::from_millis(100);
        options
    })
    .await;
    let a = gateway("a");
    let (key, anchors) = certificate("a.example.com");
    controller.set(|snapshot| furnish(snapshot, &a, &key, &anchors)).await;
    let mut proxy = Proxy::start(controller.address, &authority, &a);
    proxy.has(&controller.snapshot).await;
    until("several sessions", || proxy.metrics.connects.get() >= 4).await;
    assert_eq!(proxy.applied(), 1);
    controller.set(|snapshot| add(snapshot, &a, "late", None)).await;
    proxy.has(&controller.snapshot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_token_and_bundle_are_read_anew() {
    let (first, second) = (authority(), authority());
    let mut controller = Controller::start(&second).await;
    let a = gateway("a");
    let (key, anchors) = certificate("a.example.com");
    controller.set(|snapshot| furnish(snapshot, &a, &key, &anchors)).await;
    let mut proxy = Proxy::with(controller.address, &first, &a, "made-up", bound(), Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(proxy.metrics.connects.get(), 0, "a server of another CA is not trusted");
    assert_eq!(controller.metrics.denied.with_label_values(&["token_refused"]).get(), 0);
    std::fs::write(proxy.files.path().join("ca.crt"), second.bundle()).unwrap();
    until("the token is refused", || {
        controller.metrics.denied.with_label_values(&["token_refused"]).get() > 0
    })
    .await;
    assert_eq!(proxy.applied(), 0);
    std::fs::write(proxy.files.path().join("token"), crate::support::account(&a).to_string()).unwrap();
    proxy.has(&controller.snapshot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_dies_silently_is_replaced() {
    // A way between the two that can be cut without a word.
    let (authority, mut controller, a, _) = furnished().await;
    let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = way.local_addr().unwrap();
    let to = controller.address;
    let ways = Arc::new(Mutex::new(Vec::new()));
    let kept = ways.clone();
    tokio::spawn(async move {
        while let Ok((from, _)) = way.accept().await {
            let to = TcpStream::connect(to).await.unwrap();
            kept.lock().unwrap().push(tokio::spawn(pass(from, to)));
        }
    });
    let mut proxy = Proxy::start(address, &authority, &a);
    proxy.has(&controller.snapshot).await;
    ways.lock().unwrap().drain(..).for_each(|way| way.abort());
    controller.set(|snapshot| add(snapshot, &a, "late", None)).await;
    proxy.has(&controller.snapshot).await;
}

async fn pass(from: TcpStream, to: TcpStream) {
    let (mut from_read, mut from_write) = from.into_split();
    let (mut to_read, mut to_write) = to.into_split();
    let up = async {
        let mut bytes = vec![0; 65536];
        while let Ok(n @ 1..) = from_read.read(&mut bytes).await {
            if to_write.write_all(&bytes[..n]).await.is_err() {
                break;
            }
        }
    };
    let down = async {
        let mut bytes = vec![0; 65536];
        while let Ok(n @ 1..) = to_read.read(&mut bytes).await {
            if from_write.write_all(&bytes[..n]).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(up, down);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_dropped_ends() {
    let authority = authority();
    let mut controller = Controller::start(&authority).await;
    let a = gateway("a");
    controller.set(|snapshot| add(snapshot, &a, "x", None)).await;
    let mut proxy = Proxy::start(controller.address, &authority, &a);
    proxy.has(&controller.snapshot).await;
    assert_eq!(controller.server.connected(&a), 1);
    drop(proxy);
    let server = controller.server.clone();
    until("it is gone", || server.connected(&a) == 0).await;
}
