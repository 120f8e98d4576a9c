//! Copies of requests to other backends. The client never waits for them and never sees them.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, request::Parts};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use lasthop_dataplane_api::{FailureReason, Mirror};

use super::{
    RequestBody,
    attempt::{Route, attempt},
    exchange::Trace,
    outgoing::Outgoing,
    request_body::BodyError,
};
use crate::{
    upstream::{Hop, UpstreamBackend, Want},
    worker::Worker,
};

/// How long a copy may take from the end of the request's body on, response included.
const LIMIT: Duration = Duration::from_secs(30);

/// The backends of those mirrors whose turn it is.
pub(super) fn chosen(worker: &Worker, mirrors: &[Mirror]) -> Vec<Rc<UpstreamBackend>> {
    let view = worker.view.borrow();
    let turn = |mirror: &&Mirror| {
        let fraction = mirror.fraction;
        fastrand::u32(..fraction.denominator.max(1)) < fraction.numerator
    };
    mirrors.iter().filter(turn).filter_map(|mirror| view.backend(&mirror.target).ok()).collect()
}

/// Sends a copy of a request and discards the response.
pub(super) fn send(
    worker: &Rc<Worker>,
    between: (SocketAddr, SocketAddr),
    backend: Rc<UpstreamBackend>,
    want: Want,
    host: String,
    parts: Parts,
    queue: Option<Rc<MirrorQueue>>,
) {
    if matches!(backend.hop, Hop::Refused) {
        backend.count_failure(&FailureReason::PolicyRefused);
        return;
    }
    let worker = worker.clone();
    tokio::task::spawn_local(async move {
        let exchange = async {
            let route = Route {
                worker: &worker,
                backend: &backend,
                want,
                upgrade: false,
                host: &host,
                between: [&between.0, &between.1],
                prefer: None,
                once: false,
            };
            let mut trace = Trace::default();
            let body = queue.as_ref().map_or(RequestBody::Empty, |queue| RequestBody::Mirror(queue.body()));
            let mut outgoing = Outgoing { parts, body, received: None };
            let Ok((response, lease)) = attempt(route, &mut trace, &mut outgoing).await else { return };
            let asked = trace.successor.as_ref().unwrap_or(&backend);
            let mut body = response.into_body();
            while let Some(frame) = asked.until(UpstreamBackend::is_cut, pin!(body.frame())).await {
                match frame {
                    Some(Ok(_)) => {}
                    Some(Err(_)) => return,
                    None => return lease.release(),
                }
            }
        };
        // Never due; it is there to be woken when the trust in the backend ends.
        let revocation = worker.deadlines.add();
        let mut exchange = pin!(exchange);
        let exchange = poll_fn(|cx| {
            let exchanged = exchange.as_mut().poll(cx);
            if exchanged.is_pending() {
                revocation.poll(cx);
            }
            exchanged
        });
        let mut exchange = pin!(exchange);
        loop {
            let under_way = queue.as_ref().is_some_and(|queue| queue.is_under_way());
            match tokio::time::timeout(LIMIT, exchange.as_mut()).await {
                Ok(()) => return,
                // A stream goes on as long as the client's.
                Err(_) if under_way => {}
                Err(_) => break,
            }
        }
        tracing::debug!(backend = %backend.key, "a mirrored request took too long");
    });
}

/// What a mirror has still to send of a body that is read for the primary request.
pub(super) struct MirrorQueue {
    size: SizeHint,
    room: usize,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    trailers: Option<HeaderMap>,
    ended: bool,
    aborted: bool,
    waker: Option<Waker>,
}

/// A mirror's copy of a body.
pub(crate) struct MirrorBody(Rc<MirrorQueue>);

impl MirrorQueue {
    /// A queue that holds at most `room` bytes.
    pub(super) fn new(size: SizeHint, room: usize) -> Rc<Self> {
        Rc::new(Self { size, room, state: RefCell::default() })
    }

    /// Whether more may come.
    fn is_under_way(&self) -> bool {
        let state = self.state.borrow();
        !state.ended && !state.aborted
    }

    /// The mirror's end of it.
    pub(super) fn body(self: &Rc<Self>) -> MirrorBody {
        MirrorBody(self.clone())
    }

    /// Adds data. A mirror that cannot keep up is given up: it never slows the primary down.
    pub(super) fn push(&self, data: &Bytes) {
        self.change(|state| {
            if state.bytes + data.len() > self.room {
                state.aborted = true;
                state.chunks = VecDeque::new();
            }
            if !state.aborted {
                state.bytes += data.len();
                state.chunks.push_back(data.clone());
            }
        });
    }

    /// The body is complete.
    pub(super) fn end(&self, trailers: Option<HeaderMap>) {
        self.change(|state| {
            state.ended = true;
            state.trailers = trailers;
        });
    }

    /// The body broke off.
    pub(super) fn abort(&self) {
        self.change(|state| state.aborted = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let waker = {
            let state = &mut *self.state.borrow_mut();
            change(state);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl MirrorBody {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let state = &mut *self.0.state.borrow_mut();
        if state.aborted {
            return Poll::Ready(Some(Err(BodyError::Dropped)));
        }
        if let Some(chunk) = state.chunks.pop_front() {
            state.bytes -= chunk.len();
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if state.ended {
            return Poll::Ready(state.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn size(&self) -> SizeHint {
        self.0.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(body: &mut MirrorBody) -> Poll<Option<Result<Bytes, ()>>> {
        let mut cx = Context::from_waker(Waker::noop());
        body.poll(&mut cx).map(|frame| {
            frame.map(|frame| frame.map_err(drop).map(|frame| frame.into_data().unwrap_or_default()))
        })
    }

    #[test]
    fn a_mirror_that_cannot_keep_up_is_given_up() {
        let queue = MirrorQueue::new(SizeHint::default(), 4);
        let mut body = queue.body();
        assert_eq!(poll(&mut body), Poll::Pending);
        queue.push(&Bytes::from_static(b"abc"));
        assert_eq!(poll(&mut body), Poll::Ready(Some(Ok(Bytes::from_static(b"abc")))));
        queue.push(&Bytes::from_static(b"defg"));
        queue.push(&Bytes::from_static(b"h"));
        assert_eq!(poll(&mut body), Poll::Ready(Some(Err(()))));
    }

    #[test]
    fn a_mirror_ends_with_its_body() {
        let queue = MirrorQueue::new(SizeHint::default(), 4);
        let mut body = queue.body();
        queue.push(&Bytes::from_static(b"abc"));
        queue.end(None);
        assert_eq!(poll(&mut body), Poll::Ready(Some(Ok(Bytes::from_static(b"abc")))));
        assert_eq!(poll(&mut body), Poll::Ready(None));
    }
}
