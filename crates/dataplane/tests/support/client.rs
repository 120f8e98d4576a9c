//! Clients: hyper's, and raw bytes.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub type Body = BoxBody<Bytes, Infallible>;

pub async fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub fn empty() -> Body {
    Empty::new().boxed()
}

pub fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed()
}

pub async fn http1(port: u16) -> http1::SendRequest<Body> {
    let (sender, connection) = http1::handshake(TokioIo::new(connect(port).await)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    sender
}

pub async fn http2(port: u16) -> http2::SendRequest<Body> {
    let io = TokioIo::new(connect(port).await);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub fn request(path: &str) -> Request<Body> {
    Request::get(path).header("host", "example.com").body(empty()).unwrap()
}

/// For HTTP/2: the whole URI.
pub fn request2(path: &str) -> Request<Body> {
    Request::get(format!("http://example.com{path}")).body(empty()).unwrap()
}

/// A response's status and body.
pub async fn read(response: Response<Incoming>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// One request on a connection of its own.
pub async fn get(port: u16, path: &str) -> (u16, String) {
    read(http1(port).await.send_request(request(path)).await.unwrap()).await
}

/// Sends bytes and reads until the other side closes, or nothing comes for a second.
pub async fn raw(port: u16, bytes: &[u8]) -> String {
    let mut stream = connect(port).await;
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    while let Ok(Ok(n)) = tokio::time::timeout(Duration::from_secs(1), stream.read_buf(&mut answer)).await {
        if n == 0 {
            answer.extend_from_slice(b"<closed>");
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}
