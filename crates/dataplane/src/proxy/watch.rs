//! How long a response may take, and stand still.

use std::{cell::Cell, rc::Rc, task::Context};

use lasthop_dataplane_api::FailureReason;
use tokio::time::Instant;

use super::request_body::Received;
use crate::worker::{
    Worker,
    clock::{self, Deadline, millis},
};

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
        })
    }

    /// Some of the response has come.
    pub(super) fn moved(&self) {
        self.moved.set(clock::now());
    }

    /// Why the response must end, now that there is no more of it. If it need not, the task is woken when it may have to.
    pub(super) fn over(&self, cx: &mut Context<'_>) -> Option<FailureReason> {
        self.look(cx).then(|| self.why(FailureReason::BackendTimeout))
    }

    fn look(&self, cx: &mut Context<'_>) -> bool {
        let received = self.received.as_ref().map_or(0, |received| received.moved.get());
        let idles = self.moved.get().max(received).saturating_add(self.idle);
        self.deadline.set(self.until.as_ref().map_or(idles, |(until, _)| idles.min(*until)));
        self.deadline.poll(cx)
    }

    fn why(&self, idle: FailureReason) -> FailureReason {
        let over = self.until.as_ref().filter(|(until, _)| *until <= clock::now());
        over.map_or(idle, |(_, reason)| reason.clone())
    }
}
