//! A request's body on its way to a backend.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::{mirror::MirrorBody, replay::Replay};
use crate::{
    Limits,
    hygiene::{self, HeaderLimits},
    wire::Activity,
    worker::clock,
};

/// A request's body.
pub(crate) enum RequestBody {
    /// There is none.
    Empty,
    /// The client's, passed on as it comes.
    Stream(ClientBody),
    /// The client's, kept for a repetition or shared with mirrors.
    Replay(Replay),
    /// A mirror's copy.
    Mirror(MirrorBody),
    /// Of our own.
    Own(Bytes),
}

/// Where a client's body comes from: its connection, and before that what somebody had to see first.
pub(crate) struct ClientSource {
    incoming: Incoming,
    seen: Option<Box<Seen>>,
}

/// What was read of a body before anybody could be sent it.
#[derive(Default)]
struct Seen {
    data: VecDeque<Bytes>,
    bytes: u64,
    trailers: Option<HeaderMap>,
    ended: bool,
}

impl ClientSource {
    /// A body of which nothing was read.
    pub(super) fn new(incoming: Incoming) -> Self {
        Self { incoming, seen: None }
    }

    /// Reads on before anybody is sent it. What comes stays to be sent.
    pub(super) async fn read(&mut self) -> Result<(), BodyError> {
        let seen = self.seen.get_or_insert_default();
        if !seen.ended {
            match self.incoming.frame().await.transpose().map_err(BodyError::Client)?.map(Frame::into_data) {
                None => seen.ended = true,
                Some(Ok(data)) => {
                    seen.bytes += data.len() as u64;
                    seen.data.push_back(data);
                    seen.ended = self.incoming.is_end_stream();
                }
                Some(Err(frame)) => {
                    seen.trailers = frame.into_trailers().ok();
                    seen.ended = true;
                }
            }
        }
        Ok(())
    }

    /// Whether all of it was read.
    pub(super) fn was_read(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.ended)
    }

    /// Whether some of it may still come.
    pub(super) fn is_left(&self) -> bool {
        !self.incoming.is_end_stream() && !self.was_read()
    }

    /// What was read.
    pub(super) fn shown(&self) -> Bytes {
        let Some(seen) = &self.seen else { return Bytes::new() };
        match seen.data.front() {
            Some(only) if seen.data.len() == 1 => only.clone(),
            _ => seen.data.iter().flatten().copied().collect(),
        }
    }

    /// How much was read, and is kept.
    pub(super) fn kept(&self) -> u64 {
        self.seen.as_ref().map_or(0, |seen| seen.bytes)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(seen) = &mut self.seen {
            if let Some(data) = seen.data.pop_front() {
                seen.bytes -= data.len() as u64;
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if seen.ended || seen.trailers.is_some() {
                return Poll::Ready(seen.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            }
        }
        Pin::new(&mut self.incoming).poll_frame(cx).map(|frame| Some(frame?.map_err(BodyError::Client)))
    }

    /// Whether there is no more of it.
    pub(super) fn is_end(&self) -> bool {
        let kept = |seen: &Seen| !seen.data.is_empty() || seen.trailers.is_some();
        let ended = self.seen.as_ref().is_some_and(|seen| seen.ended) || self.incoming.is_end_stream();
        ended && !self.seen.as_deref().is_some_and(kept)
    }

    /// How much is to come.
    pub(super) fn size(&self) -> SizeHint {
        let mut size = self.incoming.size_hint();
        let Some(seen) = &self.seen else { return size };
        if seen.ended {
            return SizeHint::with_exact(seen.bytes);
        }
        let upper = size.upper().map(|upper| upper.saturating_add(seen.bytes));
        let lower = size.lower().saturating_add(seen.bytes);
        size = SizeHint::new();
        size.set_lower(lower);
        if let Some(upper) = upper {
            size.set_upper(upper);
        }
        size
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        if let Some(connection) = &self.received.connection
            && self.source.is_left()
        {
            connection.leave_unread();
        }
    }
}

/// The client's body; counts its bytes and breaks off at the limit.
pub(crate) struct ClientBody {
    source: ClientSource,
    received: Rc<Received>,
    most: Option<u64>,
    trailers: HeaderLimits,
}

/// What is known of a client's body, whoever reads it.
#[derive(Default)]
pub(crate) struct Received {
    /// How much has come.
    pub bytes: Cell<u64>,
    /// When some of it came last, in the worker's time.
    pub moved: Cell<u64>,
    given_up: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    /// Of a connection that has one request at a time.
    connection: Option<Arc<Activity>>,
}

impl Received {
    /// Nothing has come yet. `connection` is that of a client that has one request at a time.
    pub(super) fn new(connection: Option<Arc<Activity>>) -> Self {
        Self { connection, ..Self::default() }
    }

    /// So much has come.
    pub(super) fn of(bytes: u64) -> Self {
        Self { bytes: Cell::new(bytes), ..Self::default() }
    }

    /// Nobody waits for what the backend makes of it: it is sent no further, and its stream is reset.
    pub(super) fn give_up(&self) {
        self.given_up.set(true);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// Why a body ends before its end.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// The client's connection or stream failed.
    Client(hyper::Error),
    /// More came than there may be.
    TooLarge,
    /// The attempt was given up, or a mirror could not keep up.
    Dropped,
}

impl ClientBody {
    /// The body that comes from a client.
    pub(super) fn new(source: ClientSource, received: Rc<Received>, limits: &Limits) -> Self {
        Self { source, received, most: limits.body_bytes, trailers: limits.into() }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.received.given_up.get() {
            return Poll::Ready(Some(Err(BodyError::Dropped)));
        }
        let Poll::Ready(frame) = self.source.poll(cx) else {
            let mut reader = self.received.reader.borrow_mut();
            if !reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
                *reader = Some(cx.waker().clone());
            }
            return Poll::Pending;
        };
        let Some(frame) = frame else { return Poll::Ready(None) };
        let mut frame = frame?;
        self.received.moved.set(clock::now());
        if let Some(data) = frame.data_ref() {
            let bytes = self.received.bytes.get() + data.len() as u64;
            self.received.bytes.set(bytes);
            if self.most.is_some_and(|most| bytes > most) {
                return Poll::Ready(Some(Err(BodyError::TooLarge)));
            }
        } else if let Some(trailers) = frame.trailers_mut() {
            hygiene::clean_trailers(trailers, self.trailers);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    pub(super) fn is_end(&self) -> bool {
        self.source.is_end()
    }

    pub(super) fn size(&self) -> SizeHint {
        self.source.size()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Stream(body) => body.poll(cx),
            Self::Replay(body) => body.poll(cx),
            Self::Mirror(body) => body.poll(cx),
            Self::Own(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Own(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(body) => body.is_end(),
            Self::Replay(body) => body.is_end(),
            Self::Mirror(_) => false,
            Self::Own(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream(body) => body.size(),
            Self::Replay(body) => body.size(),
            Self::Mirror(body) => body.size(),
            Self::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => write!(f, "the client's body: {error}"),
            Self::TooLarge => f.write_str("the client's body is over the limit"),
            Self::Dropped => f.write_str("the body was given up"),
        }
    }
}

impl std::error::Error for BodyError {
    /// HTTP/2 looks here for the code to reset the stream with.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Client(error) => Some(error),
            Self::TooLarge | Self::Dropped => None,
        }
    }
}
