//! What is noted of one exchange, and its end: the access record and the counters.

use std::{
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, Request, Uri, Version};
use lasthop_dataplane_api::{AccessRecord, FailureReason, TlsVersion};

use super::{
    authorize::ResponseFields,
    grpc::Dialect,
    request_body::{ClientSource, Received},
    watch::Watch,
};
use crate::{
    downstream::ClientConnection,
    hygiene::HostName,
    metrics::RequestSeries,
    routing::WorkerRule,
    upstream::{Lease, UpstreamBackend, is_upstream},
    wire::Activity,
    worker::ListenerView,
};

/// An exchange with a client. Ends when it is dropped: then it is logged and counted.
pub(crate) struct Exchange {
    pub connection: Rc<ClientConnection>,
    pub started: Instant,
    pub method: Method,
    pub uri: Uri,
    pub version: Version,
    pub host: Option<HostName>,
    /// Whether the client speaks gRPC.
    pub grpc: Option<Dialect>,
    pub listener: Option<Rc<ListenerView>>,
    pub rule: Option<Rc<WorkerRule>>,
    pub backend: Option<Rc<UpstreamBackend>>,
    pub trace: Trace,
    /// Of the response; 0 until there is one.
    pub status: u16,
    pub reason: Option<FailureReason>,
    /// The request's body, until somebody is sent it.
    pub body: Option<ClientSource>,
    /// What has come of the request's body, if it has one.
    pub received: Option<Rc<Received>>,
    pub bytes_out: u64,
    /// The connection to the backend, while the response comes from it.
    pub lease: Option<Lease>,
    /// How long the response may take, while it comes from a backend.
    pub watch: Option<Rc<Watch>>,
    /// What authorization services want the response to have.
    pub response_fields: Option<Box<ResponseFields>>,
}

/// What is noted of the attempts to get a response.
#[derive(Default)]
pub(crate) struct Trace {
    pub attempts: u32,
    pub endpoint: Option<SocketAddr>,
    pub tls: Option<TlsVersion>,
    pub resumed: bool,
    pub reused: bool,
    pub duration: Option<Duration>,
    /// The backend may have done something with the request of the last attempt.
    pub sent: bool,
    /// The backend that was asked in place of one that had been replaced.
    pub successor: Option<Rc<UpstreamBackend>>,
}

impl Exchange {
    /// An exchange that begins with this request.
    pub(crate) fn new<B>(connection: Rc<ClientConnection>, request: &Request<B>) -> Self {
        connection.activity.begin();
        Self {
            started: Instant::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            host: None,
            grpc: Dialect::of(request.headers()),
            listener: connection.listener.clone(),
            rule: None,
            backend: None,
            trace: Trace::default(),
            status: 0,
            reason: None,
            body: None,
            received: None,
            bytes_out: 0,
            lease: None,
            watch: None,
            response_fields: None,
            connection,
        }
    }

    /// Whether the response must end now: the policy of its connection is trusted no longer.
    pub(crate) fn is_revoked(&self) -> bool {
        self.backend.as_ref().is_some_and(|backend| backend.is_cut())
    }

    /// Whether the client speaks HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.version == Version::HTTP_2
    }

    /// The client's connection, if it has one request at a time.
    pub(crate) fn alone(&self) -> Option<&Arc<Activity>> {
        (!self.is_http2()).then_some(&self.connection.activity)
    }

    /// The response has come to its proper end: the connection to the backend is free.
    pub(crate) fn complete(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.release();
        }
    }

    /// The response was cut short.
    pub(crate) fn cut(&mut self, reason: FailureReason) {
        self.lease = None;
        // A stream to the backend lives as long as one of its directions.
        if let Some(received) = &self.received {
            received.give_up();
        }
        if self.reason.is_none() {
            if let Some(backend) = &self.backend {
                backend.count_failure(&reason);
            }
            self.reason = Some(reason);
        }
    }

    fn count(&self, duration: Duration) {
        let worker = &self.connection.worker;
        if let Some(listener) = &self.listener {
            listener.counters.duration(duration);
        }
        if let Some(reason) = self.reason.as_ref().filter(|reason| !is_upstream(reason))
            && let Some(listener) = self.listener.clone().or_else(|| self.connection.some_listener())
        {
            listener.counters.failures.count(reason.name());
        }
        let place = [
            self.listener.as_ref().map_or(0, |listener| Rc::as_ptr(listener).addr()),
            self.rule.as_ref().map_or(0, |rule| Rc::as_ptr(rule).addr()),
            self.backend.as_ref().map_or(0, |backend| Rc::as_ptr(backend).addr()),
        ];
        let mut known = worker.series.borrow_mut();
        let counters = known.entry(place).or_insert_with(|| {
            let series = RequestSeries {
                listener: self.listener.as_ref().map(|listener| listener.key.clone()),
                route: self.rule.as_ref().map(|rule| rule.source.key.route.clone()),
                backend: self.backend.as_ref().map(|backend| backend.key.clone()),
            };
            worker.metrics.requests(worker.index, series)
        });
        counters.count(self.status);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.status == 0 {
            // Nothing was answered: the client is gone.
            self.status = FailureReason::ClientClosed.status();
            self.cut(FailureReason::ClientClosed);
        }
        let duration = self.started.elapsed();
        self.count(duration);
        self.connection.activity.end();
        self.connection.worker.access_log.record(&AccessRecord {
            client: self.connection.client,
            listener: self.listener.as_ref().map(|listener| &listener.key),
            method: self.method.as_str(),
            host: self.host.as_deref().unwrap_or_default(),
            path: self.uri.path(),
            protocol: protocol(self.version),
            status: self.status,
            rule: self.rule.as_ref().map(|rule| &rule.source.key),
            backend: self.backend.as_ref().map(|backend| &backend.key),
            endpoint: self.trace.endpoint,
            attempts: self.trace.attempts,
            upstream_tls: self.trace.tls.map(TlsVersion::name),
            upstream_resumed: self.trace.resumed,
            upstream_reused: self.trace.reused,
            reason: self.reason.as_ref(),
            bytes_in: self.received.as_ref().map_or(0, |received| received.bytes.get()),
            bytes_out: self.bytes_out,
            duration,
            upstream_duration: self.trace.duration,
        });
    }
}

/// A version's name.
fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}
