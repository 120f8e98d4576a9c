//! One client connection: handshake, protocol, time limits, graceful end.

use std::{
    cell::Cell, future::poll_fn, net::SocketAddr, pin::Pin, pin::pin, rc::Rc, sync::Arc, task::Poll,
    time::Duration,
};

use bytes::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lasthop_dataplane_api::{ClientValidation, FailureReason};
use lasthop_tls_backends::Alpn;
use lasthop_tls_verify::TlsError;
use tokio::net::TcpStream;

use super::preface;
use crate::{
    l4::{self, Arrival},
    metrics::Side,
    proxy,
    wire::{self, Activity, Phase, Wire},
    worker::{ListenerView, Worker, clock},
};

/// A client's connection, as its requests see it.
pub(crate) struct ClientConnection {
    pub worker: Rc<Worker>,
    pub client: SocketAddr,
    /// The address it came to.
    pub local: SocketAddr,
    /// The listener that its SNI chose; `None` without TLS.
    pub listener: Option<Rc<ListenerView>>,
    pub activity: Arc<Activity>,
    admission: Admission,
    _open: Open,
}

/// What a client had to prove to be let in.
struct Admission {
    validation: Option<ClientValidation>,
    /// As of this update of the listeners it was enough.
    checked: Cell<u64>,
    outdated: Cell<bool>,
}

impl ClientConnection {
    /// A connection that is handed on as a whole, as the listener is now.
    pub(crate) fn of_listener(
        open: Open,
        client: SocketAddr,
        local: SocketAddr,
        listener: Option<Rc<ListenerView>>,
    ) -> Self {
        let worker = open.0.clone();
        let admission = Admission {
            validation: listener.as_ref().and_then(|listener| listener.validation.clone()),
            checked: worker.listener_updates.get().into(),
            outdated: false.into(),
        };
        Self { worker, client, local, listener, activity: Activity::new(), admission, _open: open }
    }

    /// Whether the listener asks for more by now than the client had to prove: nothing is served to it any more, it has
    /// to come again.
    pub(crate) fn is_outdated(&self) -> bool {
        let Admission { validation, checked, outdated } = &self.admission;
        let now = self.worker.listener_updates.get();
        if checked.replace(now) != now
            && let Some(listener) = &self.listener
            && let Some(listener) = self.worker.view.borrow().listeners.get(&listener.key)
            && ClientValidation::shrinks(validation.as_ref(), listener.validation.as_ref())
        {
            outdated.set(true);
        }
        outdated.get()
    }

    /// Whether the client speaks TLS with us.
    pub(crate) fn is_tls(&self) -> bool {
        self.listener.is_some()
    }

    /// The listener that its SNI chose; without TLS the one for all hosts, for requests that name none.
    pub(crate) fn some_listener(&self) -> Option<Rc<ListenerView>> {
        self.listener.clone().or_else(|| {
            let view = self.worker.view.borrow();
            let key = view.routes.choose_listener(self.local, false, "")?;
            view.listeners.get(key).cloned()
        })
    }

    /// The scheme of its requests.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.is_tls() { "https" } else { "http" }
    }
}

/// Counts a connection while it is open.
pub(crate) struct Open(Rc<Worker>);

impl Open {
    fn new(worker: Rc<Worker>) -> Self {
        worker.open.set(worker.open.get() + 1);
        worker.counters.downstream.active.add(1);
        worker.counters.downstream.total.add(1);
        Self(worker)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
        self.0.counters.downstream.active.drop_one();
        if let Some(load) = self.0.load() {
            load.drop_one();
        }
    }
}

/// Serves a connection to its end.
pub(super) async fn run(worker: Rc<Worker>, stream: TcpStream, client: SocketAddr, socket: SocketAddr) {
    let open = Open::new(worker.clone());
    let Some(local) = local_address(&stream, socket) else { return };
    let front = worker.view.borrow().front(local);
    let mut arrival = Arrival { stream, client, local, prefix: Bytes::new(), open };
    if let Some(front) = front {
        match Box::pin(l4::serve(worker.clone(), front, arrival)).await {
            Some(http) => arrival = http,
            None => return,
        }
    }
    let Arrival { stream, client, local, prefix, open } = arrival;
    let tls = worker.view.borrow().port_tls(local);
    let mut admission =
        Admission { validation: None, checked: worker.listener_updates.get().into(), outdated: false.into() };
    let activity = Activity::new();
    let (wire, http2, listener) = match tls {
        None => {
            let mut stream = stream;
            let detected = preface::detect(&mut stream, prefix);
            match in_time(&worker, worker.limits.header_timeout, detected).await {
                Some(Ok((prefix, http2))) if !prefix.is_empty() => {
                    (Wire::plain(stream, prefix, activity.clone()), http2, None)
                }
                _ => return,
            }
        }
        Some(tls) => {
            let Some(acceptor) = &tls.tls else { return };
            let accepted = acceptor.accept(stream, prefix);
            let accepted = tokio::time::timeout(worker.limits.handshake_timeout, accepted).await;
            match accepted.unwrap_or(Err(TlsError::Timeout)) {
                Ok((stream, info)) => {
                    worker.counters.handshakes.count((Side::Downstream, "ok", info.resumed));
                    let listener = tls.entries.get(info.entry);
                    let listener = listener.and_then(|(key, validation)| {
                        admission.validation.clone_from(validation);
                        worker.view.borrow().listeners.get(key).cloned()
                    });
                    // Gone while the handshake went on.
                    let Some(listener) = listener else { return };
                    (Wire::tls(stream, activity.clone()), info.alpn == Some(Alpn::Http2), Some(listener))
                }
                Err(error) => {
                    tracing::debug!(%client, %local, %error, "TLS handshake with a client failed");
                    return worker.counters.handshakes.count((Side::Downstream, error.reason(), false));
                }
            }
        }
    };
    let connection = Rc::new(ClientConnection {
        worker: worker.clone(),
        client,
        local,
        listener,
        activity,
        admission,
        _open: open,
    });
    let service = {
        let connection = connection.clone();
        service_fn(move |request| proxy::answer(connection.clone(), request))
    };
    let io = TokioIo::new(wire);
    let result = if http2 {
        drive(&connection, true, worker.http2_server.serve_connection(io, service)).await
    } else {
        drive(&connection, false, worker.http1_server.serve_connection(io, service).with_upgrades()).await
    };
    if let Some(reason) = result {
        proxy::unanswered(&connection, &reason, if http2 { "HTTP/2" } else { "HTTP/1.1" });
    }
}

/// The address a client connected to; `None` for a connection that is gone. `socket` is what the listening socket is bound
/// to.
fn local_address(stream: &TcpStream, socket: SocketAddr) -> Option<SocketAddr> {
    match socket.ip().is_unspecified() {
        true => stream.local_addr().ok().map(wire::canonical),
        false => Some(wire::canonical(socket)),
    }
}

/// The first bytes of a connection, if they come in time. A drain does not wait for a client that says nothing.
pub(crate) async fn in_time<T>(
    worker: &Worker,
    limit: Duration,
    bytes: impl Future<Output = T>,
) -> Option<T> {
    let deadline = worker.deadlines.add();
    deadline.set(clock::now() + clock::millis(limit));
    let mut bytes = pin!(bytes);
    poll_fn(|cx| match bytes.as_mut().poll(cx) {
        Poll::Ready(bytes) => Poll::Ready(Some(bytes)),
        Poll::Pending if deadline.poll(cx) || worker.draining.get() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// A connection that can be asked to end after the requests under way.
trait Graceful: Future<Output = hyper::Result<()>> {
    fn end(self: Pin<&mut Self>);
}

impl<S, B> Graceful for hyper::server::conn::http1::UpgradeableConnection<TokioIo<Wire>, S>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, B> Graceful for hyper::server::conn::http2::Connection<TokioIo<Wire>, S, crate::worker::LocalExecutor>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Future: 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    crate::worker::LocalExecutor: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// What a request has left to answer that nothing moves.
const STREAM_GRACE: Duration = Duration::from_secs(5);

/// Drives a connection to its end, within the time limits. Returns why it was cut off, if it was while a request
/// came in.
async fn drive(client: &ClientConnection, http2: bool, connection: impl Graceful) -> Option<FailureReason> {
    let worker = &client.worker;
    let limits = &worker.limits;
    let header = clock::millis(limits.header_timeout);
    let idle = clock::millis(limits.idle_timeout);
    // The request has the same limit and an answer for it; this is for clients that do not read.
    let stream_idle = clock::millis(limits.stream_idle_timeout + STREAM_GRACE);
    let deadline = worker.deadlines.add();
    let mut connection = pin!(connection);
    let ending = Cell::new(false);
    poll_fn(|cx| {
        loop {
            if (worker.draining.get() || client.is_outdated()) && !ending.replace(true) {
                connection.as_mut().end();
            }
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(result.err().and_then(|error| refused(&error)));
            }
            let (at, reason) = match client.activity.phase() {
                Phase::Idle(since) => (since + idle, None),
                // HTTP/2 has frames that belong to no request.
                Phase::Header(since) if http2 => (since + idle, None),
                Phase::Header(since) => (since + header, Some(FailureReason::ClientTimeout)),
                Phase::Busy(since) => (since + stream_idle, None),
            };
            deadline.set(at);
            if !deadline.poll(cx) {
                return Poll::Pending;
            }
            // An idle connection is told; one that does not move, or has been told, is cut.
            let told = ending.replace(true);
            if told || reason.is_some() || matches!(client.activity.phase(), Phase::Busy(_)) {
                return Poll::Ready(reason);
            }
            connection.as_mut().end();
            client.activity.end();
        }
    })
    .await
}

/// Why hyper refused a request before we saw it.
fn refused(error: &hyper::Error) -> Option<FailureReason> {
    if error.is_parse_too_large() {
        Some(FailureReason::HeadersTooLarge)
    } else if error.is_parse() {
        Some(FailureReason::BadRequest)
    } else {
        None
    }
}
