//! What becomes of a backend that was replaced by one that trusts less.
//!
//! Nothing new is sent under the old policy from the moment the update is in force: a request that has sent nothing
//! yet goes on with what replaced the backend. What is under way has a little time to end, then it is cut.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::Poll,
};

use hyper::rt::Executor;
use lasthop_dataplane_api::Trust;
use tokio::task::AbortHandle;

use super::{Endpoint, Hop, UpstreamBackend};

/// How far a backend's trust holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It does.
    #[default]
    Trusted,
    /// What is under way may end; nothing new begins.
    Revoked,
    /// Nothing goes on.
    Cut,
}

impl Hop {
    /// Who may be at its other end.
    pub(crate) fn trust(&self) -> Trust<'_> {
        match self {
            Self::Plaintext => Trust::Anyone,
            Self::Tls { policy, .. } => Trust::Proven(policy.settings()),
            Self::Refused => Trust::Nobody,
        }
    }
}

impl UpstreamBackend {
    /// From now on nothing new is sent under its policy.
    pub(crate) fn revoke(&self) {
        self.standing.set(Standing::Revoked.max(self.standing.get()));
    }

    /// Whether nothing new may be sent under its policy.
    pub(crate) fn is_revoked(&self) -> bool {
        self.standing.get() >= Standing::Revoked
    }

    /// Ends what is still under way. Connections that others have a right to stay.
    pub(crate) fn cut(&self, others: &[Rc<Self>]) {
        self.standing.set(Standing::Cut);
        self.each_endpoint(|endpoint| {
            if !endpoint.is_used() && !others.iter().any(|other| other.had(endpoint)) {
                endpoint.connections.end();
            }
        });
    }

    /// Whether what was under way has been ended.
    pub(crate) fn is_cut(&self) -> bool {
        self.standing.get() == Standing::Cut
    }

    /// A future's output; `None` once the backend stands like that. Whoever waits must be woken by one of the worker's
    /// deadlines.
    pub(crate) async fn until<T>(
        &self,
        stands: fn(&Self) -> bool,
        mut future: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        poll_fn(|cx| match stands(self) {
            true => Poll::Ready(None),
            false => future.as_mut().poll(cx).map(Some),
        })
        .await
    }

    fn had(&self, endpoint: &Endpoint) -> bool {
        let mut found = false;
        self.each_endpoint(|own| found |= std::ptr::eq(own, endpoint));
        found
    }

    /// Its endpoints, and those it had before that are still in use.
    fn each_endpoint(&self, mut act: impl FnMut(&Endpoint)) {
        self.endpoints.borrow().iter().for_each(|endpoint| act(endpoint));
        self.former.borrow().iter().filter_map(std::rc::Weak::upgrade).for_each(|endpoint| act(&endpoint));
    }
}

/// The connections to an endpoint, so that they can be ended whatever they are at.
#[derive(Default)]
pub(crate) struct Connections {
    tasks: RefCell<Vec<AbortHandle>>,
    room: Cell<usize>,
}

impl Connections {
    const AT_FIRST: usize = 16;

    /// Adds the task that has a connection.
    pub(super) fn add(&self, task: AbortHandle) {
        let mut tasks = self.tasks.borrow_mut();
        if tasks.len() >= self.room.get() {
            tasks.retain(|task| !task.is_finished());
            self.room.set(Self::AT_FIRST.max(tasks.len() * 2));
        }
        tasks.push(task);
    }

    fn end(&self) {
        self.tasks.take().iter().for_each(AbortHandle::abort);
    }
}

/// Spawns the tasks of one HTTP/2 connection. The first one has the socket: the connection ends with it.
pub(super) struct FirstTask {
    connections: Rc<Connections>,
    known: Cell<bool>,
}

impl FirstTask {
    pub(super) fn of(connections: &Rc<Connections>) -> Self {
        Self { connections: connections.clone(), known: Cell::new(false) }
    }
}

impl Clone for FirstTask {
    fn clone(&self) -> Self {
        Self { connections: self.connections.clone(), known: self.known.clone() }
    }
}

impl<F: Future<Output = ()> + 'static> Executor<F> for FirstTask {
    fn execute(&self, future: F) {
        let task = tokio::task::spawn_local(future);
        if !self.known.replace(true) {
            self.connections.add(task.abort_handle());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_connections_are_forgotten_and_open_ones_can_be_ended() {
        let runtime = tokio::runtime::Builder::new_current_thread().build_local(Default::default()).unwrap();
        runtime.block_on(async {
            let connections = Connections::default();
            let open = tokio::task::spawn_local(std::future::pending::<()>());
            connections.add(open.abort_handle());
            for _ in 0..10_000 {
                let ended = tokio::task::spawn_local(async {});
                connections.add(ended.abort_handle());
                ended.await.unwrap();
            }
            assert!(connections.tasks.borrow().len() <= 2 * Connections::AT_FIRST);
            connections.end();
            assert!(open.await.unwrap_err().is_cancelled());
        });
    }
}
