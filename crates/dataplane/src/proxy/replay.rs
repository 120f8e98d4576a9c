//! A request's body that is kept, up to a limit, so that another attempt can send it again; and that mirrors share.

use std::{
    cell::RefCell,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::{
    mirror::MirrorQueue,
    request_body::{BodyError, ClientBody},
};

/// One attempt's reading of a kept body.
pub(crate) struct Replay {
    shared: Rc<RefCell<Shared>>,
    /// Which attempt; an older one gets nothing more.
    attempt: u32,
    next: usize,
}

/// The right to read the body again. Without one, nothing more is kept.
pub(super) struct Repetition(Rc<RefCell<Shared>>);

struct Shared {
    body: ClientBody,
    size: SizeHint,
    attempt: u32,
    kept: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    ended: bool,
    /// Bytes that may still be kept; `None`: too many came, there is no repetition.
    room: Option<usize>,
    mirrors: Vec<Rc<MirrorQueue>>,
}

impl Replay {
    /// A body of which `room` bytes may be kept and of which the mirrors get a copy.
    pub(super) fn new(body: ClientBody, room: Option<usize>, mirrors: Vec<Rc<MirrorQueue>>) -> Self {
        let shared = Shared {
            size: body.size(),
            body,
            attempt: 0,
            kept: Vec::new(),
            trailers: None,
            ended: false,
            room,
            mirrors,
        };
        Self { shared: Rc::new(RefCell::new(shared)), attempt: 0, next: 0 }
    }

    /// The right to read it again after this reading.
    pub(super) fn repetition(&self) -> Repetition {
        Repetition(self.shared.clone())
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let last_reading = Rc::strong_count(&self.shared) == 1;
        let shared = &mut *self.shared.borrow_mut();
        if shared.attempt != self.attempt {
            return Poll::Ready(Some(Err(BodyError::Dropped)));
        }
        if last_reading && shared.room.is_some() && self.next >= shared.kept.len() && !shared.ended {
            shared.room = None;
            shared.kept = Vec::new();
            self.next = 0;
        }
        if let Some(data) = shared.kept.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        if shared.ended {
            let trailers = shared.trailers.clone().filter(|_| self.next == shared.kept.len());
            self.next = usize::MAX;
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let frame = match ready!(shared.body.poll(cx)) {
            None => {
                shared.ended = true;
                shared.mirrors.iter().for_each(|mirror| mirror.end(None));
                return Poll::Ready(None);
            }
            Some(Err(error)) => {
                shared.mirrors.iter().for_each(|mirror| mirror.abort());
                return Poll::Ready(Some(Err(error)));
            }
            Some(Ok(frame)) => frame,
        };
        if let Some(data) = frame.data_ref() {
            shared.mirrors.iter().for_each(|mirror| mirror.push(data));
            match shared.room.filter(|room| data.len() <= *room) {
                Some(room) => {
                    shared.room = Some(room - data.len());
                    shared.kept.push(data.clone());
                    self.next += 1;
                }
                None => {
                    shared.room = None;
                    shared.kept = Vec::new();
                    self.next = 0;
                }
            }
            if shared.body.is_end() {
                shared.ended = true;
                shared.mirrors.iter().for_each(|mirror| mirror.end(None));
            }
        } else if let Some(trailers) = frame.trailers_ref() {
            shared.ended = true;
            shared.trailers = Some(trailers.clone());
            shared.mirrors.iter().for_each(|mirror| mirror.end(Some(trailers.clone())));
            self.next = usize::MAX;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    pub(super) fn is_end(&self) -> bool {
        let shared = self.shared.borrow();
        let read_all = self.next >= shared.kept.len();
        shared.ended && read_all && (shared.trailers.is_none() || self.next == usize::MAX)
    }

    pub(super) fn size(&self) -> SizeHint {
        self.shared.borrow().size
    }
}

impl Repetition {
    /// The body from its beginning; `None` if it was too large to keep. The reading before gets nothing more.
    pub(super) fn start(self) -> Option<Replay> {
        let attempt = {
            let mut shared = self.0.borrow_mut();
            shared.room?;
            shared.attempt += 1;
            shared.attempt
        };
        Some(Replay { shared: self.0, attempt, next: 0 })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if !self.ended {
            self.mirrors.iter().for_each(|mirror| mirror.abort());
        }
    }
}
