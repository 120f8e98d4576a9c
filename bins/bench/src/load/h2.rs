//! HTTP/2 clients.

use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{Seen, Target, connect};
use crate::{Fault, certificates::FRONT_NAME};

/// Connections at once.
pub(super) const CONNECTIONS: usize = 10;
/// Streams at once on each.
const STREAMS: usize = 12;

/// Request after request on each of the connection's streams.
pub(super) async fn until(target: &Target, until: Instant) -> Seen {
    let mut seen = Seen::default();
    let Ok(sender) = open(target).await else {
        seen.failed += 1;
        return seen;
    };
    let mut tasks = Vec::new();
    for _ in 0..STREAMS {
        let (mut sender, path) = (sender.clone(), target.path);
        tasks.push(tokio::spawn(async move {
            let mut seen = Seen::default();
            while Instant::now() < until {
                let begun = Instant::now();
                let fine = exchange(&mut sender, path).await.is_ok_and(|status| status == 200);
                seen.note(begun, fine);
                if !fine && sender.is_closed() {
                    break;
                }
            }
            seen
        }));
    }
    for task in tasks {
        if let Ok(of_stream) = task.await {
            seen.add(of_stream);
        }
    }
    seen
}

async fn open(target: &Target) -> Result<SendRequest<Empty<Bytes>>, Fault> {
    let stream = connect(target).await?;
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn exchange(sender: &mut SendRequest<Empty<Bytes>>, path: &str) -> Result<u16, Fault> {
    let request = http::Request::get(format!("https://{FRONT_NAME}{path}")).body(Empty::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    response.into_body().collect().await?;
    Ok(status)
}
