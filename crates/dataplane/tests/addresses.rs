//! Listeners of different addresses on one port.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail this way")]

mod support;

use hyper_util::rt::TokioIo;
use lasthop_dataplane::Limits;
use lasthop_dataplane_api::*;
use support::{backend, client, *};
use tokio::net::TcpStream;

/// The text that a client gets who connects to this address.
async fn ask(address: &str, port: u16) -> (u16, String) {
    let stream = TcpStream::connect((address, port)).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    client::read(sender.send_request(client::request("/")).await.unwrap()).await
}

fn at(addresses: &[&str], listener: Listener) -> Listener {
    Listener { addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(), ..listener }
}

#[tokio::test]
async fn they_have_routes_and_tls_of_their_own() {
    let port = free_port();
    let ca = pki::Ca::new();
    let names = ["one", "two"];
    let backends = [backend::fixed("one").await, backend::fixed("two").await];
    let mut proxy = Proxy::empty(2, Limits::default());
    let report = proxy
        .change(|snapshot| {
            put_listener(snapshot, at(&["127.0.0.1"], listener("one", port, Some("example.com"))));
            put_listener(snapshot, at(&["127.0.0.2"], listener("two", port, Some("example.com"))));
            let leaf = ca.leaf(&["example.com"]);
            put_listener(snapshot, at(&["127.0.0.3"], pki::https("tls", port, None, &leaf)));
            for (name, backend) in names.into_iter().zip(&backends) {
                put_backend(snapshot, name, &[backend.address]);
                let mut rule = rule(name, "/", &[name]);
                rule.attachments[0].listener = listener_key(name);
                put_rule(snapshot, rule);
            }
        })
        .await;
    assert!(report.listeners.iter().all(|(_, state)| matches!(state, ListenerState::Bound(_))), "{report:?}");
    assert_eq!(ask("127.0.0.1", port).await, (200, "one".to_owned()));
    assert_eq!(ask("127.0.0.2", port).await, (200, "two".to_owned()));
    assert!(TcpStream::connect(("127.0.0.4", port)).await.is_err(), "nobody asked for this one");
    let answer = {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = TcpStream::connect(("127.0.0.3", port)).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: example.com\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    assert!(!answer.starts_with(b"HTTP"), "this one speaks TLS only");

    // A third one takes all addresses: one socket for all, and each address still has what it had.
    let report = proxy
        .change(|snapshot| {
            snapshot.listeners.remove(&listener_key("tls"));
            put_listener(snapshot, listener("every", port, Some("other.test")));
        })
        .await;
    assert!(report.listeners.iter().all(|(_, state)| matches!(state, ListenerState::Bound(_))), "{report:?}");
    assert_eq!(ask("127.0.0.1", port).await, (200, "one".to_owned()));
    assert_eq!(ask("127.0.0.2", port).await, (200, "two".to_owned()));
    assert_eq!(ask("127.0.0.4", port).await.0, 404, "no listener of this address takes the host");
}
