//! How long a response may take, and stand still.
//!
//! A response's body looks at this when it is asked for more. A client of HTTP/2 that grants its stream no room keeps hyper
//! from asking; so the task of each such stream looks, too, and ends the stream: what the backend holds for it is free.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll},
};

use lasthop_dataplane_api::FailureReason;
use tokio::time::Instant;

use super::request_body::Received;
use crate::worker::{
    Worker,
    clock::{self, Deadline, millis},
};

thread_local! {
    /// What the task that runs has begun to respond with. Hyper takes the body, and does not say which task it is of.
    static BEGUN: Cell<Option<Weak<Watch>>> = const { Cell::new(None) };
}

/// The time limits of a response.
pub(crate) struct Watch {
    deadline: Deadline,
    /// How long nothing may move.
    idle: u64,
    /// When some of the response came last.
    moved: Cell<u64>,
    /// What comes of the request meanwhile.
    received: Option<Rc<Received>>,
    /// When it must be over, and what that means.
    until: Option<(u64, FailureReason)>,
    given_up: RefCell<Option<FailureReason>>,
}

impl Watch {
    /// Of a response whose head has come.
    pub(super) fn new(
        worker: &Worker,
        deadline: Deadline,
        received: Option<Rc<Received>>,
        until: Option<(Instant, FailureReason)>,
    ) -> Rc<Self> {
        let coarse = |at: Instant| millis(at.into_std().saturating_duration_since(worker.started));
        Rc::new(Self {
            deadline,
            idle: millis(worker.limits.stream_idle_timeout),
            moved: Cell::new(clock::now()),
            received,
            until: until.map(|(at, reason)| (coarse(at), reason)),
            given_up: RefCell::default(),
        })
    }

    /// The task that runs is that of a stream of HTTP/2, and this its response.
    pub(super) fn begin(self: &Rc<Self>) {
        BEGUN.set(Some(Rc::downgrade(self)));
    }

    /// Some of the response has come.
    pub(super) fn moved(&self) {
        self.moved.set(clock::now());
    }

    /// Why the response must end, now that there is no more of it. If it need not, the task is woken when it may have to.
    pub(super) fn over(&self, cx: &mut Context<'_>) -> Option<FailureReason> {
        self.look(cx, 0).then(|| self.why(FailureReason::BackendTimeout))
    }

    /// The same if nobody asks for more of it. The client may be taking what is buffered: it has as long again.
    fn stalls(&self, cx: &mut Context<'_>) -> bool {
        let over = self.look(cx, self.idle);
        if over {
            self.given_up.replace(Some(self.why(FailureReason::ClientTimeout)));
        }
        over
    }

    fn look(&self, cx: &mut Context<'_>, grace: u64) -> bool {
        let received = self.received.as_ref().map_or(0, |received| received.moved.get());
        let idles = self.moved.get().max(received).saturating_add(self.idle);
        // Both look at one deadline: the sooner one is kept while it is to come.
        let over = if idles > clock::now() { idles } else { idles.saturating_add(grace) };
        self.deadline.set(self.until.as_ref().map_or(over, |(until, _)| over.min(*until)));
        self.deadline.poll(cx)
    }

    fn why(&self, idle: FailureReason) -> FailureReason {
        let over = self.until.as_ref().filter(|(until, _)| *until <= clock::now());
        over.map_or(idle, |(_, reason)| reason.clone())
    }

    /// Why the stream was ended without its body being asked.
    pub(super) fn given_up(&self) -> Option<FailureReason> {
        self.given_up.take()
    }
}

/// A stream of a client's HTTP/2 connection. Dropping what hyper made of it resets it.
pub(crate) struct Watched<F> {
    stream: Pin<Box<F>>,
    watch: Weak<Watch>,
}

impl<F> Watched<F> {
    pub(crate) fn new(stream: F) -> Self {
        Self { stream: Box::pin(stream), watch: Weak::new() }
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let polled = this.stream.as_mut().poll(cx);
        if let Some(watch) = BEGUN.take() {
            this.watch = watch;
        }
        // Whoever was asked for more has looked already: then it is there no longer, or not over.
        if polled.is_pending() && this.watch.upgrade().is_some_and(|watch| watch.stalls(cx)) {
            return Poll::Ready(());
        }
        polled
    }
}
