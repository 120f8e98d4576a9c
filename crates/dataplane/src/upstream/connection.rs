//! A connection to a backend and one request's use of it.

use std::{cell::Cell, error::Error, rc::Rc, sync::Arc};

use http::{Request, Response, Version};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use lasthop_dataplane_api::FailureReason;
use lasthop_tls_backends::PeerInfo;

use super::{endpoint::InFlight, pool::Pool};
use crate::{metrics::WorkerCounters, proxy::RequestBody, wire::Activity, worker::clock};

/// What is known of a connection; counted while it is open.
pub(crate) struct Connected {
    /// What the handshake came to; `None` in plaintext.
    pub tls: Option<PeerInfo>,
    /// Its bytes' movements, and what its end said.
    pub activity: Arc<Activity>,
}

/// Counts an open connection.
pub(crate) struct OpenConnection(Arc<WorkerCounters>);

impl OpenConnection {
    pub(super) fn new(counters: Arc<WorkerCounters>) -> Self {
        counters.upstream.active.add(1);
        counters.upstream.total.add(1);
        Self(counters)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.upstream.active.drop_one();
    }
}

/// An HTTP/2 connection, shared by its streams.
pub(crate) struct Http2Connection {
    sender: http2::SendRequest<RequestBody>,
    connected: Rc<Connected>,
    /// How many streams may be open.
    most: Rc<Cell<u32>>,
    streams: Cell<u32>,
    last: Cell<u64>,
    /// Requests since the last answer that were given up.
    unanswered: Cell<u32>,
}

/// Requests that a connection may leave unanswered before no more are sent on it: its peer may be gone without a word.
const MOST_UNANSWERED: u32 = 3;

impl Http2Connection {
    pub(super) fn new(
        sender: http2::SendRequest<RequestBody>,
        connected: Rc<Connected>,
        most: Rc<Cell<u32>>,
    ) -> Self {
        Self {
            sender,
            connected,
            most,
            streams: Cell::new(0),
            last: Cell::new(clock::now()),
            unanswered: Cell::new(0),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(super) fn idles_since(&self, before: u64) -> bool {
        self.streams.get() == 0 && self.last.get() <= before
    }

    /// The peer refused a stream: it takes no more than there are besides. It may have said so meanwhile.
    fn refused(&self) -> u32 {
        let most = self.most.get().min(self.streams.get().saturating_sub(1));
        self.most.set(most);
        most
    }

    /// Streams that may still be opened.
    pub(super) fn room(&self) -> u32 {
        self.most.get().saturating_sub(self.streams.get())
    }
}

/// A connection, or a stream of one, lent to one request. Dropping it gives it back, if it is fit for another one.
pub(crate) struct Lease {
    kind: Option<Kind>,
    /// What is known of the connection.
    pub connected: Rc<Connected>,
    /// Whether it served a request before.
    pub reused: bool,
    /// Whether it may come back to the pool.
    poolable: bool,
    /// Whether the peer has answered, if only with a reset.
    answered: bool,
    most: usize,
    pool: Rc<Pool>,
    _in_flight: InFlight,
}

enum Kind {
    Http1(http1::SendRequest<RequestBody>),
    Http2(Rc<Http2Connection>),
}

/// Why a request got no response.
pub(crate) struct SendError {
    /// The reason.
    pub reason: FailureReason,
    /// How far it got.
    pub progress: Progress,
    /// The request, if nothing of it was sent: it may be repeated whatever it is.
    pub unsent: Option<Box<Request<RequestBody>>>,
}

/// How far a request got that has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The peer says that it did nothing with it (RFC 9113 §6.8): it may be repeated whatever it is.
    Refused,
    /// The same of a stream whose connection goes on (RFC 9113 §8.7).
    StreamRefused,
    /// A stream was reset whose connection goes on. The peer may have processed it.
    StreamReset,
    /// The connection ended before a byte of the response: it may be repeated if its method allows it.
    Unknown,
    /// Repeating it would not help.
    Failed,
}

impl Lease {
    pub(super) fn http1(
        sender: http1::SendRequest<RequestBody>,
        connected: Rc<Connected>,
        reused: bool,
        pool: Rc<Pool>,
        most: usize,
        in_flight: InFlight,
    ) -> Self {
        let kind = Some(Kind::Http1(sender));
        Self { kind, connected, reused, poolable: false, answered: false, most, pool, _in_flight: in_flight }
    }

    pub(super) fn http2(
        connection: Rc<Http2Connection>,
        reused: bool,
        pool: Rc<Pool>,
        in_flight: InFlight,
    ) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        let connected = connection.connected.clone();
        let kind = Some(Kind::Http2(connection));
        Self {
            kind,
            connected,
            reused,
            poolable: false,
            answered: false,
            most: 0,
            pool,
            _in_flight: in_flight,
        }
    }

    /// The version it speaks.
    pub(crate) fn version(&self) -> Version {
        match self.kind {
            Some(Kind::Http2(_)) => Version::HTTP_2,
            _ => Version::HTTP_11,
        }
    }

    /// Sends the request and waits for the head of the response.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, SendError> {
        let result = match &mut self.kind {
            Some(Kind::Http1(sender)) => sender.try_send_request(request).await,
            Some(Kind::Http2(connection)) => connection.sender.clone().try_send_request(request).await,
            None => {
                let unsent = Some(Box::new(request));
                let progress = Progress::Refused;
                return Err(SendError { reason: FailureReason::UpstreamReset, progress, unsent });
            }
        };
        let result = result.map_err(|mut failed| {
            let unsent = failed.take_message().map(Box::new);
            let error = failed.into_error();
            tracing::debug!(%error, "no response from the backend");
            let (reason, progress) = meaning(&error, &self.connected.activity);
            SendError { reason, progress, unsent }
        });
        // Who refuses or resets a stream is there.
        self.answered = match &result {
            Ok(_) => true,
            Err(failed) => matches!(failed.progress, Progress::StreamRefused | Progress::StreamReset),
        };
        result
    }

    /// The connection takes no more requests, or not so many: it must not be lent again, or not to so many.
    pub(crate) fn discard(self, progress: Progress) {
        let Some(Kind::Http2(connection)) = &self.kind else { return };
        match progress {
            Progress::StreamRefused => {
                let most = connection.refused();
                self.pool.expect_streams(most);
                if most == 0 {
                    self.pool.discard(connection);
                }
            }
            // Of a stream of HTTP/2, what fails on our side is the stream alone.
            Progress::StreamReset | Progress::Failed => {}
            Progress::Refused | Progress::Unknown => self.pool.discard(connection),
        }
    }

    /// The response has ended as it should: the connection may serve another request.
    pub(crate) fn release(mut self) {
        self.poolable = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match self.kind.take() {
            Some(Kind::Http1(sender)) if self.poolable => {
                self.pool.put_http1(sender, self.connected.clone(), self.most);
            }
            // Dropping the sender ends the connection.
            Some(Kind::Http1(_)) | None => {}
            Some(Kind::Http2(connection)) => {
                connection.streams.set(connection.streams.get().saturating_sub(1));
                connection.last.set(clock::now());
                let unanswered = if self.answered { 0 } else { connection.unanswered.get() + 1 };
                connection.unanswered.set(unanswered);
                if unanswered >= MOST_UNANSWERED {
                    self.pool.discard(&connection);
                }
            }
        }
    }
}

/// What an error of hyper's client means.
fn meaning(error: &hyper::Error, activity: &Activity) -> (FailureReason, Progress) {
    if error.is_parse() {
        return (FailureReason::UpstreamProtocol, Progress::Failed);
    }
    if error.is_user() {
        // The only part of a request that can fail on our side is the client's body.
        return (FailureReason::ClientClosed, Progress::Failed);
    }
    let source = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    let progress = match source {
        // Only the streams after the last one that GOAWAY names end like that, whatever its code is.
        Some(error) if error.is_remote() && error.is_go_away() => Progress::Refused,
        Some(error) if error.is_reset() => match error.reason() {
            Some(h2::Reason::REFUSED_STREAM) if error.is_remote() => Progress::StreamRefused,
            _ => Progress::StreamReset,
        },
        _ => Progress::Unknown,
    };
    (activity.broken_off(), progress)
}
