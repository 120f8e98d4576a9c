//! A process without file descriptors. A test of its own: the limit is the process's.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail this way")]

mod support;

use std::{fs::File, time::Duration};

use hyper_util::rt::TokioIo;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{backend, client, *};
use tokio::net::TcpSocket;

#[tokio::test]
async fn without_descriptors_clients_wait_and_are_served_later() {
    let backend = backend::fixed("hi").await;
    let proxy = Proxy::start(|snapshot| {
        put_backend(snapshot, "app", &[backend.address]);
        put_rule(snapshot, rule("app", "/", &["app"]));
    })
    .await;
    let mut served = client::http1(proxy.port).await;
    assert_eq!(client::read(served.send_request(client::request("/")).await.unwrap()).await.0, 200);

    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum }).unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    let stream = socket.connect(([127, 0, 0, 1], proxy.port).into()).await.unwrap();
    let (mut waiting, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut waiting =
        tokio::spawn(
            async move { client::read(waiting.send_request(client::request("/")).await.unwrap()).await },
        );
    let early = tokio::time::timeout(Duration::from_millis(500), &mut waiting).await;
    assert!(early.is_err(), "there is no descriptor to serve it with: {early:?}");
    for _ in 0..10 {
        let answer = served.send_request(client::request("/")).await.unwrap();
        assert_eq!(client::read(answer).await, (200, "hi".to_owned()), "who is served already goes on");
    }
    drop(taken);
    assert_eq!(waiting.await.unwrap(), (200, "hi".to_owned()));
    assert_eq!(client::get(proxy.port, "/").await.0, 200);
}
