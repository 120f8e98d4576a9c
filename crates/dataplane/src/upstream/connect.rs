//! A connection for a request: one that idles in the pool, or a new one.

use std::{
    cell::Cell,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    rc::Rc,
};

use bytes::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use lasthop_dataplane_api::FailureReason;
use lasthop_tls_backends::{Alpn, PeerInfo};
use lasthop_tls_verify::TlsError;
use tokio::io::AsyncWriteExt;

use super::{
    Endpoint, InFlight, Lease, Want,
    connection::{Connected, Http2Connection, OpenConnection},
    pool::Pool,
    revocation::{Connections, FirstTask},
};
use crate::{
    metrics::Side,
    proxy::RequestBody,
    wire::{self, Activity, Wire},
    worker::Worker,
};

/// What a request needs of a connection.
#[derive(Clone, Copy)]
pub(crate) struct Acquire<'a> {
    /// The version.
    pub want: Want,
    /// The request's host.
    pub host: &'a str,
    /// What the connection begins with; then it speaks for one client.
    pub header: &'a [u8],
    /// Passes over idle HTTP/1.1 connections.
    pub fresh: bool,
}

/// A connection to the endpoint that speaks what is wanted.
pub(crate) async fn acquire(
    worker: &Rc<Worker>,
    endpoint: &Rc<Endpoint>,
    how: Acquire<'_>,
) -> Result<Lease, FailureReason> {
    let Acquire { want, fresh, .. } = how;
    if !how.header.is_empty() {
        // It comes from no pool and goes into none.
        let pool = Rc::new(Pool::new(worker.counters.clone()));
        pool.close();
        return connect(worker, endpoint, how, pool, InFlight::new(endpoint.clone())).await;
    }
    let host = how.host;
    let pool = endpoint.pool(host, &worker.counters);
    let in_flight = InFlight::new(endpoint.clone());
    if want != Want::Http2
        && !fresh
        && let Some((sender, connected)) = pool.take_http1()
    {
        worker.counters.upstream_reused.add(1);
        return Ok(Lease::http1(sender, connected, true, pool, most_idle(worker), in_flight));
    }
    if want == Want::Http1 {
        return connect(worker, endpoint, how, pool, in_flight).await;
    }
    loop {
        if let Some(connection) = pool.take_http2() {
            worker.counters.upstream_reused.add(1);
            return Ok(Lease::http2(connection, true, pool, in_flight));
        }
        // Where ALPN may choose HTTP/1.1, waiting for another's connection would be in vain.
        let streams = if want == Want::Http2 { pool.streams(worker.limits.http2_streams) } else { 0 };
        if let Some(connecting) = pool.connecting(streams) {
            let result = connect(worker, endpoint, how, pool, in_flight).await;
            connecting.end(result.as_ref().err());
            return result;
        }
        pool.wait().await?;
    }
}

fn most_idle(worker: &Worker) -> usize {
    worker.limits.upstream_idle_connections
}

/// Makes a new connection within the time limit, and tells the endpoint how it went.
async fn connect(
    worker: &Rc<Worker>,
    endpoint: &Rc<Endpoint>,
    how: Acquire<'_>,
    pool: Rc<Pool>,
    in_flight: InFlight,
) -> Result<Lease, FailureReason> {
    let in_handshake = Cell::new(false);
    // Boxed: it is rare, and large, and every request would have to have room for it.
    let attempt = Box::pin(establish(worker, endpoint, how, pool, in_flight, &in_handshake));
    in_time(worker, endpoint, &in_handshake, attempt).await
}

/// The result of an attempt to connect, if it comes in time. The endpoint is told how it went.
async fn in_time<T>(
    worker: &Worker,
    endpoint: &Endpoint,
    in_handshake: &Cell<bool>,
    attempt: impl Future<Output = Result<T, FailureReason>>,
) -> Result<T, FailureReason> {
    let result = tokio::time::timeout(worker.limits.connect_timeout, attempt).await;
    let result = result.unwrap_or_else(|_| {
        Err(match in_handshake.get() {
            true => handshake_failed(worker, endpoint, TlsError::Timeout),
            false => FailureReason::ConnectTimeout,
        })
    });
    match &result {
        Ok(_) => endpoint.succeeded(),
        Err(reason) => {
            tracing::debug!(endpoint = %endpoint.address, reason = reason.name(), "cannot connect to the endpoint");
            endpoint.failed();
        }
    }
    result
}

fn handshake_failed(worker: &Worker, endpoint: &Endpoint, error: TlsError) -> FailureReason {
    if let Some(hop) = &endpoint.tls {
        worker.metrics.peers.refused((hop.policy, endpoint.address), &error);
    }
    worker.counters.handshakes.count((Side::Upstream, error.reason(), false));
    FailureReason::UpstreamTls(error)
}

async fn establish(
    worker: &Rc<Worker>,
    endpoint: &Rc<Endpoint>,
    how: Acquire<'_>,
    pool: Rc<Pool>,
    in_flight: InFlight,
    in_handshake: &Cell<bool>,
) -> Result<Lease, FailureReason> {
    let Acquire { want, host, header, .. } = how;
    let how = Dial { host: Some(host), alpn: offer(want), header };
    let Dialled { wire, tls, open } = reach(worker, endpoint, how, in_handshake).await?;
    let http2 = speaks_http2(want, tls.as_ref())?;
    let connected = Rc::new(Connected { tls, activity: wire.activity().clone() });
    let io = TokioIo::new(wire);
    if http2 {
        let most = worker.limits.http2_streams;
        let streams = Rc::new(Cell::new(pool.streams(most)));
        let (sender, connection) = worker
            .http2_client(FirstTask::of(&endpoint.connections))
            // Until the peer says how many, those that went well before.
            .initial_max_send_streams(streams.get() as usize)
            .handshake(io)
            .await
            .map_err(|_| connected.activity.broken_off())?;
        let observed = observed(connection, most, [streams.clone(), pool.expectation()]);
        run(&endpoint.connections, open, observed);
        let connection = Rc::new(Http2Connection::new(sender, connected, streams));
        pool.put_http2(connection.clone());
        Ok(Lease::http2(connection, false, pool, in_flight))
    } else {
        let (sender, connection) =
            worker.http1_client.handshake(io).await.map_err(|_| connected.activity.broken_off())?;
        run(&endpoint.connections, open, connection.with_upgrades());
        Ok(Lease::http1(sender, connected, false, pool, most_idle(worker), in_flight))
    }
}

/// How a connection to an endpoint is made.
#[derive(Clone, Copy)]
pub(crate) struct Dial<'a> {
    /// The server name, where the policy takes it from the client.
    pub host: Option<&'a str>,
    /// What is offered by ALPN unless the policy says.
    pub alpn: &'a [Alpn],
    /// What is sent first, before TLS.
    pub header: &'a [u8],
}

/// A connection to an endpoint, counted while it is open.
pub(crate) struct Dialled {
    pub wire: Wire,
    /// What the handshake came to; `None` in plaintext.
    pub tls: Option<PeerInfo>,
    pub open: OpenConnection,
}

/// Makes a connection that is nobody else's, within the time limit, and tells the endpoint how it went.
pub(crate) async fn dial(
    worker: &Worker,
    endpoint: &Endpoint,
    how: Dial<'_>,
) -> Result<Dialled, FailureReason> {
    let in_handshake = Cell::new(false);
    let attempt = Box::pin(reach(worker, endpoint, how, &in_handshake));
    in_time(worker, endpoint, &in_handshake, attempt).await
}

/// Connects, and shakes hands if the hop is encrypted.
async fn reach(
    worker: &Worker,
    endpoint: &Endpoint,
    how: Dial<'_>,
    in_handshake: &Cell<bool>,
) -> Result<Dialled, FailureReason> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::TimedOut => FailureReason::ConnectTimeout,
        _ => FailureReason::ConnectFailed,
    };
    let mut stream = wire::connect(endpoint.address).await.map_err(failed)?;
    if !how.header.is_empty() {
        stream.write_all(how.header).await.map_err(failed)?;
    }
    let activity = Activity::new();
    let (wire, tls) = match &endpoint.tls {
        None => (Wire::plain(stream, Bytes::new(), activity), None),
        Some(hop) => {
            in_handshake.set(true);
            let host = how.host.filter(|_| hop.request_host);
            let (stream, peer) = hop
                .tls
                .connect(stream, host, how.alpn)
                .await
                .map_err(|error| handshake_failed(worker, endpoint, error))?;
            worker.counters.handshakes.count((Side::Upstream, "ok", peer.resumed));
            worker.metrics.peers.met((hop.policy, endpoint.address), &peer);
            (Wire::tls(stream, activity), Some(peer))
        }
    };
    Ok(Dialled { wire, tls, open: OpenConnection::new(worker.counters.clone()) })
}

/// What is offered by ALPN unless the policy says.
fn offer(want: Want) -> &'static [Alpn] {
    match want {
        Want::Http1 => &[Alpn::Http1],
        Want::Http2 => &[Alpn::Http2],
        Want::Negotiated => &[Alpn::Http2, Alpn::Http1],
    }
}

/// Whether the connection speaks HTTP/2; an error if it does not speak what is wanted. Over TLS, HTTP/2 is spoken only
/// if the peer chose it.
fn speaks_http2(want: Want, tls: Option<&PeerInfo>) -> Result<bool, FailureReason> {
    let Some(peer) = tls else { return Ok(want == Want::Http2) };
    match (want, peer.alpn) {
        (Want::Http2 | Want::Negotiated, Some(Alpn::Http2)) => Ok(true),
        (Want::Http1 | Want::Negotiated, Some(Alpn::Http1) | None) => Ok(false),
        (Want::Http1, Some(Alpn::Http2)) | (Want::Http2, Some(Alpn::Http1) | None) => {
            Err(FailureReason::UpstreamTls(TlsError::AlpnMismatch {
                offered: offer(want).iter().map(ToString::to_string).collect(),
                selected: peer.alpn.map(|alpn| alpn.to_string()),
            }))
        }
    }
}

/// Drives an HTTP/2 connection and notes how many streams the peer allows, up to our own limit.
async fn observed(
    connection: http2::Connection<TokioIo<Wire>, RequestBody, FirstTask>,
    most: u32,
    streams: [Rc<Cell<u32>>; 2],
) -> hyper::Result<()> {
    let mut connection = pin!(connection);
    poll_fn(|cx| {
        let result = Pin::as_mut(&mut connection).poll(cx);
        let peer = u32::try_from(connection.current_max_send_streams()).unwrap_or(u32::MAX);
        streams.iter().for_each(|streams| streams.set(peer.min(most)));
        result
    })
    .await
}

/// Lets a connection run beside the requests that use it.
fn run(
    connections: &Connections,
    open: OpenConnection,
    connection: impl Future<Output = hyper::Result<()>> + 'static,
) {
    let task = tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "backend connection ended");
        }
        drop(open);
    });
    connections.add(task.abort_handle());
}
