//! An endpoint under one TLS policy: its load, its health as far as requests tell, and its pool.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
};

use lasthop_dataplane_api::PolicyId;
use lasthop_tls_backends::UpstreamEndpointTls;

use super::{pool::Pool, revocation::Connections};
use crate::{metrics::WorkerCounters, worker::clock};

/// The longest time an endpoint that fails is stepped around, in milliseconds.
const LONGEST_PAUSE: u64 = 30_000;
/// Hosts whose connections are pooled apart where the SNI is the request's host.
const MOST_HOSTS: usize = 256;

/// An endpoint under one TLS policy, or in plaintext. Backends with the same policy share it, and so its pool; a
/// changed policy has endpoints and connections of its own.
pub(crate) struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// How the hop to it is encrypted; `None` in plaintext.
    pub tls: Option<TlsHop>,
    /// The connections to it.
    pub(super) connections: Rc<Connections>,
    pool: Rc<Pool>,
    by_host: RefCell<HashMap<Box<str>, Rc<Pool>>>,
    in_flight: Cell<u32>,
    failures: Cell<u32>,
    down_until: Cell<u64>,
    users: Cell<u32>,
}

/// TLS to one endpoint.
pub(crate) struct TlsHop {
    /// The policy.
    pub policy: PolicyId,
    /// The endpoint's sessions under the policy.
    pub tls: Arc<dyn UpstreamEndpointTls>,
    /// Whether the SNI is the request's host, so that connections belong to it.
    pub request_host: bool,
}

impl Endpoint {
    /// An endpoint nobody uses yet.
    pub(crate) fn new(address: SocketAddr, tls: Option<TlsHop>, counters: Arc<WorkerCounters>) -> Self {
        Self {
            address,
            tls,
            connections: Rc::default(),
            pool: Rc::new(Pool::new(counters)),
            by_host: RefCell::default(),
            in_flight: Cell::new(0),
            failures: Cell::new(0),
            down_until: Cell::new(0),
            users: Cell::new(0),
        }
    }

    /// A backend lists it.
    pub(super) fn enlist(&self) {
        self.users.set(self.users.get() + 1);
        self.pool.open();
    }

    /// A backend lists it no longer. With the last one, idle connections close and busy ones close when they are
    /// done.
    pub(super) fn dismiss(&self) {
        self.users.set(self.users.get().saturating_sub(1));
        if self.users.get() == 0 {
            self.pool.close();
            self.by_host.take().into_values().for_each(|pool| pool.close());
        }
    }

    /// Whether any backend lists it.
    pub(crate) fn is_used(&self) -> bool {
        self.users.get() > 0
    }

    /// The pool for requests to a host.
    pub(super) fn pool(&self, host: &str, counters: &Arc<WorkerCounters>) -> Rc<Pool> {
        if !self.tls.as_ref().is_some_and(|tls| tls.request_host) {
            return self.pool.clone();
        }
        let mut by_host = self.by_host.borrow_mut();
        if let Some(pool) = by_host.get(host) {
            return pool.clone();
        }
        let pool = Rc::new(Pool::new(counters.clone()));
        if self.is_used() && by_host.len() < MOST_HOSTS {
            by_host.insert(host.into(), pool.clone());
        } else {
            pool.close();
        }
        pool
    }

    /// Closes connections that idled for too long.
    pub(crate) fn sweep(&self, idle_before: u64) {
        self.pool.sweep(idle_before);
        self.by_host.borrow_mut().retain(|_, pool| {
            pool.sweep(idle_before);
            !pool.is_empty() || Rc::strong_count(pool) > 1
        });
    }

    /// Requests under way.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }

    /// Whether it has not failed lately.
    pub(crate) fn is_up(&self) -> bool {
        self.down_until.get() <= clock::now()
    }

    /// It could not be connected to: step around it, longer each time.
    pub(crate) fn failed(&self) {
        let failures = self.failures.get().saturating_add(1);
        self.failures.set(failures);
        let pause = 1_000_u64.checked_shl(failures - 1).map_or(LONGEST_PAUSE, |ms| ms.min(LONGEST_PAUSE));
        self.down_until.set(clock::now() + pause);
    }

    /// It could be connected to.
    pub(crate) fn succeeded(&self) {
        if self.failures.replace(0) > 0 {
            self.down_until.set(0);
        }
    }
}

/// A request under way to an endpoint.
pub(crate) struct InFlight(Rc<Endpoint>);

impl InFlight {
    /// Counts one.
    pub(crate) fn new(endpoint: Rc<Endpoint>) -> Self {
        endpoint.in_flight.set(endpoint.in_flight.get() + 1);
        Self(endpoint)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get().saturating_sub(1));
    }
}
