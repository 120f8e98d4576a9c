//! What is noted of one connection that is handed on as a whole, or of one client's datagrams, and its end: the access record and the counters.

use std::{
    cell::{Cell, OnceCell},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use lasthop_dataplane_api::{AccessRecord, FailureReason, TlsVersion};
use lasthop_tls_backends::PeerInfo;

use super::rules::RuleView;
use crate::{
    downstream::ClientConnection,
    upstream::{UpstreamBackend, is_upstream},
    worker::{ListenerView, Worker},
};

/// A connection, or a client's datagrams. Ends when it is dropped: then it is logged and counted.
pub(crate) struct Session {
    pub worker: Rc<Worker>,
    pub client: SocketAddr,
    /// The address it came to.
    pub local: SocketAddr,
    pub listener: Option<Rc<ListenerView>>,
    /// Whether it has a line in the log.
    pub logged: bool,
    connection: Option<ClientConnection>,
    /// Whether it counts among what is open.
    counted: Cell<bool>,
    /// `TCP`, `TLS`, `UDP`.
    protocol: &'static str,
    started: Instant,
    /// Whether the client's own TLS goes through to the backend.
    pub passes_tls: bool,
    /// The server name that the client sent.
    pub host: String,
    pub rule: Option<Rc<RuleView>>,
    backend: Option<Rc<UpstreamBackend>>,
    pub attempts: u32,
    pub endpoint: Option<SocketAddr>,
    tls: Cell<Option<(TlsVersion, bool)>>,
    /// From the start to the backend's readiness.
    ready: Cell<Option<Duration>>,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
    reason: OnceCell<FailureReason>,
}

impl Session {
    /// A connection to a listener, if it is known which.
    pub(crate) fn new(connection: ClientConnection, protocol: &'static str) -> Self {
        let (client, local) = (connection.client, connection.local);
        let (worker, listener) = (connection.worker.clone(), connection.listener.clone());
        let mut session = Self::blank(worker, client, local, listener, protocol);
        session.connection = Some(connection);
        session.admit();
        session
    }

    /// A client's datagrams; not admitted yet.
    pub(crate) fn of_datagrams(
        worker: Rc<Worker>,
        client: SocketAddr,
        local: SocketAddr,
        listener: Rc<ListenerView>,
    ) -> Self {
        Self::blank(worker, client, local, Some(listener), "UDP")
    }

    fn blank(
        worker: Rc<Worker>,
        client: SocketAddr,
        local: SocketAddr,
        listener: Option<Rc<ListenerView>>,
        protocol: &'static str,
    ) -> Self {
        Self {
            worker,
            client,
            local,
            listener,
            logged: true,
            connection: None,
            counted: Cell::default(),
            protocol,
            started: Instant::now(),
            passes_tls: false,
            host: String::new(),
            rule: None,
            backend: None,
            attempts: 0,
            endpoint: None,
            tls: Cell::default(),
            ready: Cell::default(),
            bytes_in: Cell::default(),
            bytes_out: Cell::default(),
            reason: OnceCell::new(),
        }
    }

    /// From now on it counts among what is open.
    pub(crate) fn admit(&mut self) {
        self.counted.set(true);
        self.listener.iter().for_each(|listener| listener.counters.l4.open());
        self.backend.iter().for_each(|backend| backend.counters.l4.open());
    }

    /// From now on it does not, whoever still holds it.
    pub(crate) fn leave(&self) {
        if self.counted.replace(false) {
            self.listener.iter().for_each(|listener| listener.counters.l4.active.drop_one());
            self.backend.iter().for_each(|backend| backend.counters.l4.active.drop_one());
        }
    }

    /// Whether the listener asks more of clients by now than this one had to prove.
    pub(crate) fn is_outdated(&self) -> bool {
        self.connection.as_ref().is_some_and(ClientConnection::is_outdated)
    }

    /// Why it ends. The first reason counts.
    pub(crate) fn note(&self, reason: FailureReason) {
        let _ = self.reason.set(reason);
    }

    /// Ends it for this reason.
    pub(crate) fn end(self, reason: FailureReason) {
        self.note(reason);
    }

    /// A backend as this session needs it: the client's own TLS goes there without the gateway's.
    pub(super) fn form_of(&self, backend: Rc<UpstreamBackend>) -> Rc<UpstreamBackend> {
        match self.passes_tls {
            true => self.worker.without_tls(&backend),
            false => backend,
        }
    }

    /// The backend that is to have it; another one may take its place.
    pub(crate) fn set_backend(&mut self, backend: Rc<UpstreamBackend>) {
        if self.counted.get() {
            backend.counters.l4.open();
        }
        if let Some(former) = self.backend.replace(backend)
            && self.counted.get()
        {
            former.counters.l4.active.drop_one();
        }
    }

    /// The backend.
    pub(crate) fn backend(&self) -> Option<&Rc<UpstreamBackend>> {
        self.backend.as_ref()
    }

    /// A backend has taken it.
    pub(crate) fn connected(&self, peer: Option<&PeerInfo>) {
        self.ready.set(Some(self.started.elapsed()));
        self.tls.set(peer.map(|peer| (peer.version, peer.resumed)));
    }

    /// Bytes from the client came.
    pub(crate) fn count_in(&self, bytes: u64) {
        self.bytes_in.set(self.bytes_in.get() + bytes);
        self.listener.iter().for_each(|listener| listener.counters.l4.bytes_in.add(bytes));
        self.backend.iter().for_each(|backend| backend.counters.l4.bytes_in.add(bytes));
    }

    /// Bytes from the backend came.
    pub(crate) fn count_out(&self, bytes: u64) {
        self.bytes_out.set(self.bytes_out.get() + bytes);
        self.listener.iter().for_each(|listener| listener.counters.l4.bytes_out.add(bytes));
        self.backend.iter().for_each(|backend| backend.counters.l4.bytes_out.add(bytes));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let reason = self.reason.get();
        if let Some(listener) = &self.listener
            && let Some(reason) = reason.filter(|reason| !is_upstream(reason))
        {
            listener.counters.failures.count(reason.name());
        }
        self.leave();
        if !self.logged {
            return;
        }
        let tls = self.tls.get();
        self.worker.access_log.record(&AccessRecord {
            client: self.client,
            listener: self.listener.as_ref().map(|listener| &listener.key),
            method: "",
            host: &self.host,
            path: "",
            protocol: self.protocol,
            status: 0,
            rule: self.rule.as_ref().map(|rule| &rule.source.key),
            backend: self.backend.as_ref().map(|backend| &backend.key),
            endpoint: self.endpoint,
            attempts: self.attempts,
            upstream_tls: tls.map(|(version, _)| version.name()),
            upstream_resumed: tls.is_some_and(|(_, resumed)| resumed),
            upstream_reused: false,
            reason,
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            duration: self.started.elapsed(),
            upstream_duration: self.ready.get(),
        });
    }
}
