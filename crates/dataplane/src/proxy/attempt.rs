//! One attempt: an endpoint, a connection to it, the request, the head of the response.
//!
//! What went wrong before anything was sent is put right here: another endpoint for one that cannot be connected to, a
//! fresh connection for an idle one that the backend closed meanwhile.

use std::{net::SocketAddr, rc::Rc, time::Instant};

use http::{Request, Response, request::Parts};
use hyper::body::Incoming;
use lasthop_dataplane_api::FailureReason;
use lasthop_tls_verify::Retry;
use smallvec::SmallVec;

use super::{RequestBody, exchange::Trace, replay::Repetition};
use crate::{
    hygiene::{UpstreamForm, to_upstream},
    upstream::{Endpoint, Lease, Progress, UpstreamBackend, Want, acquire},
    worker::Worker,
};

/// Idle connections that may turn out closed before a fresh one is made.
const MOST_STALE: u32 = 2;
/// Connections that may refuse a request unsent before the endpoint counts as failed.
const MOST_UNSENT: u32 = 8;

/// Where a request goes, and how.
#[derive(Clone, Copy)]
pub(super) struct Route<'a> {
    pub worker: &'a Rc<Worker>,
    pub backend: &'a Rc<UpstreamBackend>,
    pub want: Want,
    /// Whether an upgrade is asked for.
    pub upgrade: bool,
    /// The request's host.
    pub host: &'a str,
}

/// Sends a request and waits for the head of the response. Failures are counted with the backend.
pub(super) async fn attempt(
    route: Route<'_>,
    trace: &mut Trace,
    mut parts: Parts,
    mut body: RequestBody,
) -> Result<(Response<Incoming>, Lease), FailureReason> {
    trace.attempts += 1;
    let started = Instant::now();
    let mut search = Search { route, tried: SmallVec::new() };
    let mut stale = 0;
    let mut endpoint = search.first()?;
    loop {
        trace.endpoint = Some(endpoint.address);
        let fresh = stale >= MOST_STALE;
        let mut lease = match acquire(route.worker, &endpoint, route.want, route.host, fresh).await {
            Ok(lease) => lease,
            Err(reason) => {
                endpoint = search.next(&endpoint, reason)?;
                continue;
            }
        };
        trace.note(&lease);
        let form = UpstreamForm {
            http2: lease.version() == http::Version::HTTP_2,
            tls: endpoint.tls.is_some(),
            upgrade: route.upgrade,
        };
        let kept = Kept::of(&lease, &parts, &body);
        to_upstream(&mut parts, form);
        let failed = match lease.send(Request::from_parts(parts, body)).await {
            Ok(response) => {
                trace.duration = Some(started.elapsed());
                return Ok((response, lease));
            }
            Err(failed) => failed,
        };
        if let Some(request) = failed.unsent {
            (parts, body) = request.into_parts();
            let reused = lease.reused;
            lease.discard();
            if reused && stale < MOST_UNSENT {
                stale += 1;
            } else {
                endpoint.failed();
                endpoint = search.next(&endpoint, failed.reason)?;
            }
            continue;
        }
        let again = match failed.progress {
            Progress::Refused if stale < MOST_UNSENT => kept.and_then(Kept::restore),
            Progress::Unknown => {
                kept.filter(|kept| lease.reused && kept.is_idempotent()).and_then(Kept::restore)
            }
            Progress::Refused | Progress::Failed => None,
        };
        let Some(again) = again else { return Err(search.count(failed.reason)) };
        (parts, body) = again;
        // Not twice the same bad luck: the next connection is a fresh one.
        stale = (stale + 1).max(MOST_STALE);
        lease.discard();
    }
}

/// A request as it was before it was sent.
struct Kept {
    parts: Parts,
    body: Option<Repetition>,
}

impl Kept {
    /// Keeps a request that may have to be sent again: on a connection that served others before, the backend may
    /// close it at this moment, or refuse the stream.
    fn of(lease: &Lease, parts: &Parts, body: &RequestBody) -> Option<Self> {
        let http2 = lease.version() == http::Version::HTTP_2;
        let body = match body {
            RequestBody::Empty if http2 || (lease.reused && parts.method.is_idempotent()) => None,
            RequestBody::Replay(replay) if http2 => Some(replay.repetition()),
            _ => return None,
        };
        Some(Self { parts: parts.clone(), body })
    }

    /// Of a request that was written, nobody knows what the backend did: only a harmless one is sent again.
    fn is_idempotent(&self) -> bool {
        self.body.is_none() && self.parts.method.is_idempotent()
    }

    fn restore(self) -> Option<(Parts, RequestBody)> {
        let body = match self.body {
            None => RequestBody::Empty,
            Some(repetition) => RequestBody::Replay(repetition.start()?),
        };
        Some((self.parts, body))
    }
}

/// The endpoints of one attempt.
struct Search<'a> {
    route: Route<'a>,
    tried: SmallVec<[SocketAddr; 4]>,
}

impl Search<'_> {
    fn first(&self) -> Result<Rc<Endpoint>, FailureReason> {
        self.route.backend.pick(&[]).ok_or_else(|| self.count(FailureReason::NoEndpoint))
    }

    /// Another endpoint in place of one that failed for this reason; the reason itself if there is none.
    fn next(&mut self, failed: &Endpoint, reason: FailureReason) -> Result<Rc<Endpoint>, FailureReason> {
        let reason = self.count(reason);
        self.tried.push(failed.address);
        let in_vain = matches!(&reason, FailureReason::UpstreamTls(error) if error.retry() == Retry::Never);
        if in_vain || self.tried.len() >= self.route.worker.limits.connect_attempts as usize {
            return Err(reason);
        }
        self.route.backend.pick(&self.tried).ok_or(reason)
    }

    fn count(&self, reason: FailureReason) -> FailureReason {
        if super::exchange::is_upstream(&reason) {
            self.route.backend.counters.failures.count(reason.name());
        }
        reason
    }
}

impl Trace {
    fn note(&mut self, lease: &Lease) {
        let tls = lease.connected.tls.as_ref();
        self.tls = tls.map(|tls| tls.version);
        self.resumed = tls.is_some_and(|tls| tls.resumed);
        self.reused = lease.reused;
    }
}
