//! The connections to one endpoint that may be used again.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use hyper::client::conn::http1;
use lasthop_dataplane_api::FailureReason;
use tokio::sync::Notify;

use super::connection::{Connected, Http2Connection};
use crate::{metrics::WorkerCounters, proxy::RequestBody, worker::clock};

/// The connections under one TLS policy to one endpoint (and with one SNI, where that is the request's host).
pub(crate) struct Pool {
    http1: RefCell<Vec<Idle>>,
    http2: RefCell<Vec<Rc<Http2Connection>>>,
    /// HTTP/2 connections being made, and who is told when one is ready or failed.
    connecting: Cell<u32>,
    waiting: Cell<u32>,
    connected: Notify,
    /// Why the last HTTP/2 connection could not be made; those who waited for it need not find out again.
    failure: RefCell<Option<FailureReason>>,
    closed: Cell<bool>,
    /// Streams that a new HTTP/2 connection is good for, until its peer has said so itself.
    streams: Rc<Cell<u32>>,
    counters: Arc<WorkerCounters>,
}

struct Idle {
    sender: http1::SendRequest<RequestBody>,
    connection: Rc<Connected>,
    since: u64,
}

/// A right to make an HTTP/2 connection while others wait for it.
pub(super) struct Connecting(Rc<Pool>);

impl Pool {
    pub(super) fn new(counters: Arc<WorkerCounters>) -> Self {
        Self {
            http1: RefCell::default(),
            http2: RefCell::default(),
            connecting: Cell::new(0),
            waiting: Cell::new(0),
            connected: Notify::new(),
            failure: RefCell::default(),
            closed: Cell::new(false),
            streams: Rc::new(Cell::new(u32::MAX)),
            counters,
        }
    }

    /// Takes connections again.
    pub(super) fn open(&self) {
        self.closed.set(false);
    }

    /// Closes what idles, now, and what is busy, when it is done.
    pub(super) fn close(&self) {
        self.closed.set(true);
        let idle = self.http1.take();
        idle.iter().for_each(|_| self.counters.upstream_idle.drop_one());
        let http2 = self.http2.take();
        drop((idle, http2));
    }

    /// The idle connection that was used last: the most likely to live, and the rest may time out.
    pub(super) fn take_http1(&self) -> Option<(http1::SendRequest<RequestBody>, Rc<Connected>)> {
        let mut http1 = self.http1.borrow_mut();
        while let Some(idle) = http1.pop() {
            self.counters.upstream_idle.drop_one();
            if idle.sender.is_ready() {
                return Some((idle.sender, idle.connection));
            }
        }
        None
    }

    /// Takes back a connection whose exchange is over. One that still finishes is waited for.
    pub(super) fn put_http1(
        self: &Rc<Self>,
        mut sender: http1::SendRequest<RequestBody>,
        connection: Rc<Connected>,
        most: usize,
    ) {
        if self.closed.get() || sender.is_closed() {
            return;
        }
        if sender.is_ready() {
            return self.keep(sender, connection, most);
        }
        let pool = self.clone();
        tokio::task::spawn_local(async move {
            if sender.ready().await.is_ok() {
                pool.keep(sender, connection, most);
            }
        });
    }

    fn keep(&self, sender: http1::SendRequest<RequestBody>, connection: Rc<Connected>, most: usize) {
        let mut http1 = self.http1.borrow_mut();
        if !self.closed.get() && http1.len() < most {
            http1.push(Idle { sender, connection, since: clock::now() });
            self.counters.upstream_idle.add(1);
        }
    }

    /// The HTTP/2 connection with most room.
    pub(super) fn take_http2(&self) -> Option<Rc<Http2Connection>> {
        let mut http2 = self.http2.borrow_mut();
        http2.retain(|connection| !connection.is_closed());
        http2
            .iter()
            .filter(|connection| connection.room() > 0)
            .max_by_key(|connection| connection.room())
            .cloned()
    }

    /// Forgets an HTTP/2 connection that takes no more requests, as after GOAWAY.
    pub(super) fn discard(&self, connection: &Rc<Http2Connection>) {
        self.http2.borrow_mut().retain(|other| !Rc::ptr_eq(other, connection));
    }

    /// The peer takes so many streams on a connection.
    pub(super) fn expect_streams(&self, most: u32) {
        self.streams.set(most.max(1));
    }

    /// Streams that a new connection is good for, of so many that we would open.
    pub(super) fn streams(&self, most: u32) -> u32 {
        self.streams.get().min(most)
    }

    /// The same, to be kept up to date.
    pub(super) fn expectation(&self) -> Rc<Cell<u32>> {
        self.streams.clone()
    }

    /// Keeps an HTTP/2 connection for further requests.
    pub(super) fn put_http2(&self, connection: Rc<Http2Connection>) {
        if !self.closed.get() {
            self.http2.borrow_mut().push(connection);
        }
    }

    /// The right to make an HTTP/2 connection; `None`: one is being made that will have room, wait for it.
    pub(super) fn connecting(self: &Rc<Self>, streams: u32) -> Option<Connecting> {
        if self.connecting.get() > 0 && self.waiting.get() < self.connecting.get().saturating_mul(streams) {
            return None;
        }
        self.connecting.set(self.connecting.get() + 1);
        self.failure.replace(None);
        Some(Connecting(self.clone()))
    }

    /// Waits until a connection is made; an error if it cannot.
    pub(super) async fn wait(&self) -> Result<(), FailureReason> {
        struct Waiting<'a>(&'a Cell<u32>);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get().saturating_sub(1));
            }
        }
        self.waiting.set(self.waiting.get() + 1);
        let _waiting = Waiting(&self.waiting);
        self.connected.notified().await;
        self.failure.borrow().clone().map_or(Ok(()), Err)
    }

    pub(super) fn sweep(&self, idle_before: u64) {
        let mut http1 = self.http1.borrow_mut();
        let before = http1.len();
        http1.retain(|idle| idle.since > idle_before && !idle.sender.is_closed());
        (http1.len()..before).for_each(|_| self.counters.upstream_idle.drop_one());
        drop(http1);
        self.http2
            .borrow_mut()
            .retain(|connection| !connection.is_closed() && !connection.idles_since(idle_before));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.http1.borrow().is_empty() && self.http2.borrow().is_empty() && self.connecting.get() == 0
    }
}

impl Connecting {
    /// How it went.
    pub(super) fn end(self, failure: Option<&FailureReason>) {
        self.0.failure.replace(failure.cloned());
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        self.0.connecting.set(self.0.connecting.get().saturating_sub(1));
        self.0.connected.notify_waiters();
    }
}
