//! A client that asks for one case after the other.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How many ask at the same time.
const CLIENTS: usize = 16;

type Connection = http1::SendRequest<Empty<Bytes>>;

async fn open(port: u16) -> Option<Connection> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    tcp.set_nodelay(true).ok()?;
    let (sender, connection) = http1::handshake(TokioIo::new(tcp)).await.ok()?;
    tokio::spawn(connection);
    Some(sender)
}

/// The status and the body.
async fn exchange(connection: &mut Connection, path: &str) -> Option<(u16, Bytes)> {
    connection.ready().await.ok()?;
    let request = Request::get(path).header("host", "trust.example").body(Empty::new()).ok()?;
    let response = connection.send_request(request).await.ok()?;
    let status = response.status().as_u16();
    Some((status, response.into_body().collect().await.ok()?.to_bytes()))
}

pub async fn get(port: u16, path: &str) -> Option<u16> {
    exchange(&mut open(port).await?, path).await.map(|(status, _)| status)
}

pub async fn is_ready(admin: u16) -> bool {
    get(admin, "/readyz").await == Some(200)
}

/// The status that each case came to; none if the proxy gave no answer, or that of another case.
pub async fn ask_for_each(port: u16, count: usize) -> Vec<Option<u16>> {
    let statuses = Arc::new(Mutex::new(vec![None; count]));
    let next = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (statuses, next) = (statuses.clone(), next.clone());
            tokio::spawn(async move {
                let mut connection = open(port).await.unwrap();
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= count {
                        return;
                    }
                    let answer = exchange(&mut connection, &format!("/case/{place}")).await;
                    let known = |body: &Bytes| body == format!("case {place}").as_bytes();
                    let status = answer.filter(|(status, body)| *status != 200 || known(body));
                    statuses.lock().unwrap()[place] = status.map(|(status, _)| status);
                    if connection.is_closed() {
                        connection = open(port).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let statuses = statuses.lock().unwrap();
    statuses.clone()
}
