//! What is noted of one connection that is handed on as a whole, and its end: the access record and the counters.

use std::{
    cell::Cell,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use lasthop_dataplane_api::{AccessRecord, FailureReason, TlsVersion};
use lasthop_tls_backends::PeerInfo;

use super::rules::RuleView;
use crate::{downstream::ClientConnection, proxy::is_upstream, upstream::UpstreamBackend};

/// A connection. Ends when it is dropped: then it is logged and counted.
pub(crate) struct Session {
    pub connection: ClientConnection,
    /// `TCP`, `TLS`.
    protocol: &'static str,
    started: Instant,
    /// The server name that the client sent.
    pub host: String,
    pub rule: Option<Rc<RuleView>>,
    backend: Option<Rc<UpstreamBackend>>,
    pub attempts: u32,
    pub endpoint: Option<SocketAddr>,
    tls: Option<(TlsVersion, bool)>,
    /// From the start to the backend's readiness.
    ready: Option<Duration>,
    pub bytes_in: Cell<u64>,
    pub bytes_out: Cell<u64>,
    pub reason: Option<FailureReason>,
}

impl Session {
    /// A connection to a listener, if it is known which.
    pub(crate) fn new(connection: ClientConnection, protocol: &'static str) -> Self {
        if let Some(listener) = &connection.listener {
            listener.counters.l4.open();
        }
        Self {
            connection,
            protocol,
            started: Instant::now(),
            host: String::new(),
            rule: None,
            backend: None,
            attempts: 0,
            endpoint: None,
            tls: None,
            ready: None,
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
            reason: None,
        }
    }

    /// Ends it for this reason.
    pub(crate) fn end(mut self, reason: FailureReason) {
        self.reason = Some(reason);
    }

    /// The backend that is to have it; another one may take its place.
    pub(crate) fn set_backend(&mut self, backend: Rc<UpstreamBackend>) {
        backend.counters.l4.open();
        if let Some(former) = self.backend.replace(backend) {
            former.counters.l4.active.drop_one();
        }
    }

    /// The backend.
    pub(crate) fn backend(&self) -> Option<&Rc<UpstreamBackend>> {
        self.backend.as_ref()
    }

    /// A backend has taken it.
    pub(crate) fn connected(&mut self, peer: Option<&PeerInfo>) {
        self.ready = Some(self.started.elapsed());
        self.tls = peer.map(|peer| (peer.version, peer.resumed));
    }

    /// Bytes from the client came.
    pub(crate) fn count_in(&self, bytes: u64) {
        self.bytes_in.set(self.bytes_in.get() + bytes);
        self.connection.listener.iter().for_each(|listener| listener.counters.l4.bytes_in.add(bytes));
        self.backend.iter().for_each(|backend| backend.counters.l4.bytes_in.add(bytes));
    }

    /// Bytes from the backend came.
    pub(crate) fn count_out(&self, bytes: u64) {
        self.bytes_out.set(self.bytes_out.get() + bytes);
        self.connection.listener.iter().for_each(|listener| listener.counters.l4.bytes_out.add(bytes));
        self.backend.iter().for_each(|backend| backend.counters.l4.bytes_out.add(bytes));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let listener = self.connection.listener.as_ref();
        if let Some(listener) = listener {
            listener.counters.l4.active.drop_one();
            if let Some(reason) = self.reason.as_ref().filter(|reason| !is_upstream(reason)) {
                listener.counters.failures.count(reason.name());
            }
        }
        if let Some(backend) = &self.backend {
            backend.counters.l4.active.drop_one();
        }
        self.connection.worker.access_log.record(&AccessRecord {
            client: self.connection.client,
            listener: listener.map(|listener| &listener.key),
            method: "",
            host: &self.host,
            path: "",
            protocol: self.protocol,
            status: 0,
            rule: self.rule.as_ref().map(|rule| &rule.source.key),
            backend: self.backend.as_ref().map(|backend| &backend.key),
            endpoint: self.endpoint,
            attempts: self.attempts,
            upstream_tls: self.tls.map(|(version, _)| match version {
                TlsVersion::V1_2 => "1.2",
                TlsVersion::V1_3 => "1.3",
            }),
            upstream_resumed: self.tls.is_some_and(|(_, resumed)| resumed),
            upstream_reused: false,
            reason: self.reason.as_ref(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            duration: self.started.elapsed(),
            upstream_duration: self.ready,
        });
    }
}
