//! A request on its way to a backend. It lives in one place and is lent to the attempts: each future that owned it
//! would have room for it, and a connection has room for all of them.

use std::rc::Rc;

use bytes::Bytes;
use http::{Request, request::Parts};

use super::{RequestBody, replay::Repetition, request_body::Received};

/// A request that is to be sent.
pub(super) struct Outgoing {
    pub parts: Parts,
    pub body: RequestBody,
    /// How much of the body has come.
    pub received: Option<Rc<Received>>,
}

/// A request as it was before it was sent.
pub(super) struct Kept {
    parts: Parts,
    body: Option<KeptBody>,
}

enum KeptBody {
    Replay(Repetition),
    Own(Bytes),
}

impl Outgoing {
    /// The request itself, to be sent now.
    pub(super) fn take(&mut self) -> Request<RequestBody> {
        let nothing = Request::new(()).into_parts().0;
        let parts = std::mem::replace(&mut self.parts, nothing);
        Request::from_parts(parts, std::mem::replace(&mut self.body, RequestBody::Empty))
    }

    /// Whether more of the body has come than there may be.
    pub(super) fn is_too_large(&self, most: Option<u64>) -> bool {
        most.zip(self.received.as_ref()).is_some_and(|(most, received)| received.bytes.get() > most)
    }

    /// A request that was not sent after all.
    pub(super) fn put_back(&mut self, request: Request<RequestBody>) {
        (self.parts, self.body) = request.into_parts();
    }

    /// Keeps it, so that it can be sent again; `None` if its body is passed on as it comes.
    pub(super) fn keep(&self) -> Option<Box<Kept>> {
        let body = match &self.body {
            RequestBody::Empty => None,
            RequestBody::Replay(replay) => Some(KeptBody::Replay(replay.repetition())),
            RequestBody::Own(bytes) => Some(KeptBody::Own(bytes.clone())),
            RequestBody::Stream(_) | RequestBody::Mirror(_) => return None,
        };
        Some(Box::new(Kept { parts: self.parts.clone(), body }))
    }

    /// Makes it what it was when it was kept. `false`: too much of its body has gone by.
    pub(super) fn restore(&mut self, kept: Kept) -> bool {
        self.body = match kept.body {
            None => RequestBody::Empty,
            Some(KeptBody::Own(bytes)) => RequestBody::Own(bytes),
            Some(KeptBody::Replay(repetition)) => match repetition.start() {
                Some(replay) => RequestBody::Replay(replay),
                None => return false,
            },
        };
        self.parts = kept.parts;
        true
    }
}

impl Kept {
    /// Of a request that was written, nobody knows what the backend did: only a harmless one may be sent again.
    pub(super) fn is_idempotent(&self) -> bool {
        self.body.is_none() && self.parts.method.is_idempotent()
    }
}
