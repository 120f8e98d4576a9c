//! A request's body on its way to a backend.

use std::{
    cell::{Cell, RefCell},
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{mirror::MirrorBody, replay::Replay};
use crate::{
    Limits,
    hygiene::{self, HeaderLimits},
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
}

/// The client's body; counts its bytes and breaks off at the limit.
pub(crate) struct ClientBody {
    incoming: Incoming,
    received: Rc<Received>,
    most: Option<u64>,
    trailers: HeaderLimits,
}

/// What is known of a client's body, whoever reads it.
#[derive(Default)]
pub(crate) struct Received {
    /// How much has come.
    pub bytes: Cell<u64>,
    given_up: Cell<bool>,
    reader: RefCell<Option<Waker>>,
}

impl Received {
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
    pub(super) fn new(incoming: Incoming, received: Rc<Received>, limits: &Limits) -> Self {
        Self { incoming, received, most: limits.body_bytes, trailers: limits.into() }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.received.given_up.get() {
            return Poll::Ready(Some(Err(BodyError::Dropped)));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            let mut reader = self.received.reader.borrow_mut();
            if !reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
                *reader = Some(cx.waker().clone());
            }
            return Poll::Pending;
        };
        let Some(frame) = frame else { return Poll::Ready(None) };
        let mut frame = frame.map_err(BodyError::Client)?;
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
        self.incoming.is_end_stream()
    }

    pub(super) fn size(&self) -> SizeHint {
        self.incoming.size_hint()
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
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(body) => body.is_end(),
            Self::Replay(body) => body.is_end(),
            Self::Mirror(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream(body) => body.size(),
            Self::Replay(body) => body.size(),
            Self::Mirror(body) => body.size(),
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
