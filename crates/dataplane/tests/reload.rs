//! Changes while requests are served; ports; drain; workers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail this way")]

mod support;

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;
use lasthop_dataplane::Limits;
use lasthop_dataplane_api::*;
use support::{backend, client, *};

async fn delayed(text: &'static str) -> backend::Backend {
    backend::serve(false, move |request: Request<Incoming>| async move {
        if request.uri().path() == "/slow" {
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        Response::new(backend::full(text))
    })
    .await
}

#[tokio::test]
async fn a_request_under_way_ends_under_what_it_began_with() {
    let (old, new) = (delayed("old").await, delayed("new").await);
    let mut proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "old", &[old.address]);
        put_rule(snapshot, rule("app", "/", &["old"]));
    })
    .await;
    let port = proxy.port;
    let under_way = tokio::spawn(async move { client::get(port, "/slow").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let report = proxy
        .change(|snapshot| {
            snapshot.backends.clear();
            snapshot.endpoints.clear();
            put_backend(snapshot, "new", &[new.address]);
            put_rule(snapshot, rule("app", "/", &["new"]));
        })
        .await;
    assert!(report.listeners.is_empty(), "no listener changed: {report:?}");
    assert_eq!(client::get(port, "/").await, (200, "new".to_owned()));
    assert_eq!(under_way.await.unwrap(), (200, "old".to_owned()));
    assert_eq!(proxy.metric("lasthop_upstream_idle_connections"), 1.0, "the old pool is gone");
    assert!(!proxy.metrics().contains("default/old:80"), "and so are its series");
}

#[tokio::test]
async fn no_request_fails_while_routes_and_endpoints_change() {
    let backends = [delayed("a").await, delayed("b").await];
    let mut proxy = Proxy::with(2, Limits::default(), |snapshot| {
        put_backend(snapshot, "app", &[backends[0].address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    let port = proxy.port;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let stop = stop.clone();
            tokio::spawn(async move {
                let (mut sender, mut n) = (client::http1(port).await, 0);
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    sender.ready().await.unwrap();
                    let answer = sender.send_request(client::request("/")).await.unwrap();
                    assert_eq!(client::read(answer).await.0, 200);
                    n += 1;
                }
                n
            })
        })
        .collect();
    for i in 0..60 {
        proxy
            .change(|snapshot| {
                put_backend(snapshot, "app", &[backends[i % 2].address]);
                put_rule(snapshot, rule("app", if i % 3 == 0 { "/" } else { "" }, &["app"]));
                put_rule(snapshot, rule("other", &format!("/{i}"), &["app"]));
            })
            .await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    let mut total = 0;
    for client in clients {
        total += client.await.unwrap();
    }
    assert!(total > 100, "{total}");
}

#[tokio::test]
async fn a_port_in_use_fails_its_listener_alone_and_is_tried_again() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let backend = delayed("hi").await;
    let mut proxy = Proxy::start(|snapshot| {
        put_listener(snapshot, listener("taken", port, None));
        put_backend(snapshot, "app", &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    assert_eq!(client::get(proxy.port, "/").await.0, 200);
    let report =
        proxy.change(|snapshot| put_listener(snapshot, listener("taken", port, Some("a.test")))).await;
    let (key, state) = &report.listeners[0];
    let ListenerState::Failed { reason, message } = state else { panic!("{report:?}") };
    assert_eq!((&*key.name, &**reason), ("taken", "PortUnavailable"));
    assert!(message.contains(&port.to_string()) && message.contains("in use"), "{message}");
    drop(taken);
    let report = proxy.change(|snapshot| put_backend(snapshot, "app", &[])).await;
    assert!(matches!(&report.listeners[..], [(_, ListenerState::Bound(_))]), "{report:?}");
    let report = proxy.change(|snapshot| drop(snapshot.listeners.remove(&listener_key("taken")))).await;
    assert!(report.listeners.is_empty());
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err(), "the socket is closed");
    assert_eq!(client::get(proxy.port, "/").await.0, 503);
}

#[tokio::test]
async fn a_drain_lets_requests_end_and_takes_no_new_connections() {
    let backend = delayed("hi").await;
    let proxy = Proxy::with(2, Limits::default(), |snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    let port = proxy.port;
    let mut idle = client::http1(port).await;
    let _ = client::read(idle.send_request(client::request("/")).await.unwrap()).await;
    let _silent = client::connect(port).await;
    let mut http2 = client::http2(port).await;
    let under_way = [
        tokio::spawn(async move { client::get(port, "/slow").await }),
        tokio::spawn(async move {
            client::read(http2.send_request(client::request2("/slow")).await.unwrap()).await
        }),
    ];
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = std::time::Instant::now();
    proxy.dataplane.drain(Duration::from_secs(10)).await;
    assert!((200..3000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    for task in under_way {
        assert_eq!(task.await.unwrap(), (200, "hi".to_owned()));
    }
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(idle.is_closed());
    assert_eq!(proxy.metric("lasthop_connections{side=\"downstream\"}"), 0.0);
}

#[tokio::test]
async fn a_drain_ends_when_its_time_is_over() {
    let backend = delayed("hi").await;
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    let port = proxy.port;
    let _under_way = tokio::spawn(async move { client::get(port, "/slow").await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let started = std::time::Instant::now();
    proxy.dataplane.drain(Duration::from_millis(100)).await;
    assert!(started.elapsed() < Duration::from_millis(300));
}

#[tokio::test]
async fn connections_are_evened_out_between_workers() {
    let backend = delayed("hi").await;
    let proxy = Proxy::with(8, Limits::default(), |snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    let mut senders = Vec::new();
    for _ in 0..240 {
        let mut sender = client::http1(proxy.port).await;
        let answer = sender.send_request(client::request("/")).await.unwrap();
        assert_eq!(client::read(answer).await.0, 200);
        senders.push(sender);
    }
    let loads = proxy.dataplane.loads();
    assert_eq!(loads.iter().sum::<usize>(), 240);
    let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
    assert!(*most <= least + 2 + least / 4, "{loads:?}");
}

#[tokio::test]
async fn a_port_can_move_to_other_addresses() {
    let backend = delayed("hi").await;
    let mut proxy = Proxy::with(2, Limits::default(), |snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    for addresses in [&["127.0.0.1"][..], &[], &["127.0.0.1", "::1"], &[]] {
        let report = proxy
            .change(|snapshot| {
                let port = snapshot.listeners[&listener_key("http")].port;
                let addresses: Vec<std::net::IpAddr> =
                    addresses.iter().map(|address| address.parse().unwrap()).collect();
                put_listener(snapshot, Listener { addresses, ..listener("http", port, None) });
            })
            .await;
        let ListenerState::Bound(bound) = &report.listeners[0].1 else { panic!("{report:?}") };
        assert_eq!(bound.len(), addresses.len().max(1));
        assert_eq!(client::get(proxy.port, "/").await.0, 200, "{addresses:?}");
    }
}
