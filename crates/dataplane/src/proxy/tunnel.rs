//! What follows an upgrade: bytes in both directions.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use lasthop_dataplane_api::FailureReason;
use tokio::io::AsyncWriteExt;

use super::{exchange::Exchange, request_body::Received};
use crate::{wire::Wire, worker::clock};

/// Bytes buffered for each direction.
const BUFFER: usize = 16 * 1024;
/// How long the last bytes of a broken tunnel may take to leave.
const LAST_FLUSH: Duration = Duration::from_secs(1);

/// Connects both sides once the client's connection has sent the 101. The exchange ends with the tunnel.
pub(super) fn open(mut exchange: Box<Exchange>, client: OnUpgrade, backend: OnUpgrade) {
    tokio::task::spawn_local(async move {
        let (client, backend) = match (client.await, backend.await) {
            (Ok(client), Ok(backend)) => (wire(client), wire(backend)),
            (Err(_), _) => return exchange.cut(FailureReason::ClientClosed),
            (_, Err(_)) => return exchange.cut(FailureReason::UpstreamReset),
        };
        if let (Some(client), Some(backend)) = (client, backend) {
            copy(&mut exchange, client, backend).await;
        }
    });
}

/// Our own connection under hyper's.
fn wire(upgraded: Upgraded) -> Option<Wire> {
    let parts = upgraded.downcast::<TokioIo<Wire>>().ok()?;
    Some(parts.io.into_inner().with_unread(parts.read_buf))
}

/// Copies until both directions have ended, one side fails, or nothing moves for too long.
async fn copy(exchange: &mut Exchange, mut client: Wire, mut backend: Wire) {
    let worker = exchange.connection.worker.clone();
    let limit = clock::millis(worker.limits.stream_idle_timeout);
    let deadline = worker.deadlines.add();
    let (client_activity, backend_activity) = (client.activity().clone(), backend.activity().clone());
    let copied = {
        let mut copying =
            pin!(tokio::io::copy_bidirectional_with_sizes(&mut client, &mut backend, BUFFER, BUFFER));
        poll_fn(|cx| {
            if exchange.is_revoked() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(result) = copying.as_mut().poll(cx) {
                return Poll::Ready(Some(result));
            }
            deadline.set(client_activity.last().max(backend_activity.last()) + limit);
            if deadline.poll(cx) { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    };
    if copied.is_none() && exchange.is_revoked() {
        return exchange.cut(FailureReason::TrustRevoked);
    }
    if !matches!(copied, Some(Ok(_))) {
        // What came before one side broke off belongs to the other one: a TLS stack may still hold it.
        let flush = async { (client.flush().await, backend.flush().await) };
        let _ = tokio::time::timeout(LAST_FLUSH, flush).await;
    }
    match copied {
        Some(Ok((bytes_in, bytes_out))) => {
            exchange.received = Some(std::rc::Rc::new(Received::of(bytes_in)));
            exchange.bytes_out = bytes_out;
        }
        Some(Err(error)) => tracing::debug!(%error, "an upgraded connection broke off"),
        None => tracing::debug!("an upgraded connection stood still for too long"),
    }
}
