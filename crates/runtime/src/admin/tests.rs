use std::net::Ipv4Addr;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::state::Phase;

async fn start() -> (SocketAddr, Arc<State>) {
    let state = Arc::new(State::new("lasthop.dev/gateway"));
    let admin = Admin::bind((Ipv4Addr::LOCALHOST, 0).into(), state.clone(), Metrics::new().unwrap()).await;
    let admin = admin.unwrap();
    let address = admin.address().unwrap();
    tokio::spawn(admin.serve());
    (address, state)
}

async fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test]
async fn readiness_follows_the_phase() {
    let (address, state) = start().await;
    assert_eq!(ask(address, "GET /healthz").await.0, 200);
    assert_eq!(ask(address, "GET /readyz").await, (503, "no configuration is in force yet\n".to_owned()));
    state.set_phase(Phase::Ready);
    assert_eq!(ask(address, "GET /readyz").await.0, 200);
    state.set_phase(Phase::Draining);
    assert_eq!(ask(address, "GET /readyz").await, (503, "draining\n".to_owned()));
    assert_eq!(ask(address, "GET /healthz").await.0, 200);
}

#[tokio::test]
async fn the_pages_show_what_is_in_force() {
    let (address, state) = start().await;
    state.change_snapshot(|snapshot| snapshot.version = 7);
    let (status, body) = ask(address, "GET /snapshot?x=y").await;
    let snapshot: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &snapshot["version"]), (200, &json!(7)));
    assert_eq!(ask(address, "GET /status").await, (200, "{\"objects\":[],\"problems\":[]}".to_owned()));
    let (status, body) = ask(address, "GET /metrics").await;
    assert!(status == 200 && body.contains("lasthop_config_version 0"), "{body}");
    let (status, body) = ask(address, "GET /metric").await;
    assert!(status == 404 && body.contains("/metrics"), "{body}");
}

#[tokio::test]
async fn nothing_can_be_changed_and_a_flood_is_refused() {
    let (address, _) = start().await;
    for method in ["POST", "PUT", "DELETE", "QUIT"] {
        assert_eq!(ask(address, &format!("{method} /snapshot")).await.0, 405, "{method}");
    }
    let long = "x".repeat(20_000);
    let (status, _) = ask(address, &format!("GET /{long}")).await;
    assert!(status == 431 || status == 414, "{status}");
}

#[tokio::test]
async fn a_port_in_use_is_a_clear_error() {
    let (address, state) = start().await;
    let error = Admin::bind(address, state, Metrics::new().unwrap()).await.err().unwrap().to_string();
    assert!(error.contains(&format!("cannot listen on {address}: ")), "{error}");
    assert!(error.contains("choose another address with --admin"), "{error}");
}
