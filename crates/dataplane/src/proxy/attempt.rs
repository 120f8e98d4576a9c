//! One attempt: an endpoint, a connection to it, the request, the head of the response.
//!
//! What went wrong before anything was sent is put right here: another endpoint for one that cannot be connected to, a
//! fresh connection for an idle one that the backend closed meanwhile.

use std::{net::SocketAddr, pin::pin, rc::Rc, time::Instant};

use http::Response;
use hyper::body::Incoming;
use lasthop_dataplane_api::FailureReason;
use smallvec::SmallVec;

use super::{exchange::Trace, outgoing::Outgoing, token::Authorization};
use crate::{
    hygiene::{UpstreamForm, to_upstream},
    l4::proxy_header,
    upstream::{
        Acquire, Attempt, Endpoint, Hop, Lease, Progress, UpstreamBackend, Want, acquire, is_in_vain, race,
    },
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
    /// The client's address and the one it came to, for backends that want to be told.
    pub between: [&'a SocketAddr; 2],
    /// The endpoint of the client's session.
    pub prefer: Option<&'a SocketAddr>,
    /// The rule wants nothing tried again, not even a connection.
    pub once: bool,
}

/// Sends a request and waits for the head of the response. Failures are counted with the backend.
pub(super) async fn attempt(
    route: Route<'_>,
    trace: &mut Trace,
    outgoing: &mut Outgoing,
) -> Result<(Response<Incoming>, Lease), FailureReason> {
    trace.attempts += 1;
    trace.sent = false;
    let started = Instant::now();
    let mut search = Search { route, backend: route.backend.clone(), tried: SmallVec::new() };
    let mut stale = 0;
    if let Some(name) = search.backend.awaited() {
        // Boxed: it happens once in a name's life.
        Box::pin(name.answered(route.worker.limits.connect_timeout)).await;
    }
    let follows = search.backend.is_revoked() || search.backend.is_forsaken();
    let mut endpoint = if follows { search.follow(trace) } else { search.first() }?;
    loop {
        let token = route.worker.tokens.of(&search.backend.hop).map_err(|reason| search.count(reason))?;
        trace.endpoint = Some(endpoint.address);
        let fresh = stale >= MOST_STALE;
        let acquired = {
            let header = match search.backend.proxy_protocol {
                true => proxy_header(*route.between[0], *route.between[1]),
                false => Vec::new(),
            };
            let how = Acquire { want: route.want, host: route.host, header: &header, fresh };
            // A client's session stays where it is, if it takes a moment longer.
            if search.backend.races() && route.prefer != Some(&endpoint.address) {
                let backend = search.backend.clone();
                // Boxed, as few backends have it.
                let mut race = Box::pin(search.race(&mut endpoint, how));
                backend.until(UpstreamBackend::is_revoked, race.as_mut()).await
            } else {
                let acquire = pin!(acquire(route.worker, &endpoint, how));
                search.backend.until(UpstreamBackend::is_revoked, acquire).await
            }
        };
        let mut lease = match acquired {
            Some(Ok(lease)) => lease,
            None => {
                endpoint = search.follow(trace)?;
                continue;
            }
            Some(Err(reason)) => {
                endpoint = search.next(&endpoint, reason)?;
                continue;
            }
        };
        trace.endpoint = Some(endpoint.address);
        trace.note(&lease);
        let form = UpstreamForm {
            http2: lease.version() == http::Version::HTTP_2,
            tls: endpoint.tls.is_some(),
            upgrade: route.upgrade,
        };
        // On a connection that served others before, the backend may close it at this moment, or refuse the stream.
        let again = !route.once && (form.http2 || (lease.reused && outgoing.parts.method.is_idempotent()));
        let kept = if again { outgoing.keep() } else { None };
        to_upstream(&mut outgoing.parts, form);
        let token = match token {
            None => None,
            Some(token) if form.tls => Some(Authorization::replace(&mut outgoing.parts.headers, *token)),
            // Cannot be: an endpoint of a hop with a policy has TLS.
            Some(_) => return Err(search.count(FailureReason::NoBearerToken)),
        };
        trace.sent = true;
        let sent = search.backend.until(UpstreamBackend::is_cut, pin!(lease.send(outgoing.take()))).await;
        let failed = match sent {
            None => return Err(search.count(FailureReason::TrustRevoked)),
            Some(Ok(response)) => {
                trace.duration = Some(started.elapsed());
                return Ok((response, lease));
            }
            Some(Err(failed)) => failed,
        };
        let reused = lease.reused;
        lease.discard(failed.progress);
        if outgoing.is_too_large(route.worker.limits.body_bytes) {
            return Err(FailureReason::BodyTooLarge);
        }
        trace.sent = failed.unsent.is_none()
            && !matches!(failed.progress, Progress::Refused | Progress::StreamRefused);
        if let Some(request) = failed.unsent {
            outgoing.put_back(*request);
            // The next hop may be another's.
            token.into_iter().for_each(|clients| clients.restore(&mut outgoing.parts.headers));
            if reused && stale < MOST_UNSENT {
                stale += 1;
            } else {
                endpoint.failed();
                endpoint = search.next(&endpoint, failed.reason)?;
            }
            continue;
        }
        let kept = kept.filter(|kept| match failed.progress {
            Progress::Refused | Progress::StreamRefused => stale < MOST_UNSENT,
            Progress::Unknown => reused && kept.is_idempotent(),
            Progress::StreamReset | Progress::Failed => false,
        });
        if !kept.is_some_and(|kept| outgoing.restore(*kept)) {
            return Err(search.count(failed.reason));
        }
        // Not twice the same bad luck: the next connection is a fresh one.
        stale = (stale + 1).max(MOST_STALE);
    }
}

/// The endpoints of one attempt.
struct Search<'a> {
    route: Route<'a>,
    backend: Rc<UpstreamBackend>,
    tried: SmallVec<[SocketAddr; 4]>,
}

impl Search<'_> {
    fn first(&self) -> Result<Rc<Endpoint>, FailureReason> {
        let preferred = self.route.prefer.and_then(|address| self.backend.at(*address));
        preferred
            .or_else(|| self.backend.pick(&[]))
            .ok_or_else(|| self.count(self.backend.without_endpoint()))
    }

    /// A connection to the endpoint, or to one of the other family if that is sooner.
    async fn race(&mut self, endpoint: &mut Rc<Endpoint>, how: Acquire<'_>) -> Result<Lease, FailureReason> {
        let Route { worker, once, .. } = self.route;
        let most = if once { 1 } else { worker.limits.connect_attempts as usize };
        let connect = |endpoint: Rc<Endpoint>| -> Attempt<'_, Lease> {
            Box::pin(async move { acquire(worker, &endpoint, how).await })
        };
        race(&self.backend, endpoint, &mut self.tried, most, connect).await
    }

    /// An endpoint of what replaced the backend, whose policy is trusted no longer.
    fn follow(&mut self, trace: &mut Trace) -> Result<Rc<Endpoint>, FailureReason> {
        let successor = self.route.worker.view.borrow().backends.get(&self.backend.key).cloned();
        let successor = successor.ok_or_else(|| self.count(FailureReason::TrustRevoked))?;
        if matches!(successor.hop, Hop::Refused) {
            return Err(self.count(FailureReason::PolicyRefused));
        }
        trace.successor = Some(successor.clone());
        self.backend = successor;
        self.tried.clear();
        self.first()
    }

    /// Another endpoint in place of one that failed for this reason; the reason itself if there is none.
    fn next(&mut self, failed: &Endpoint, reason: FailureReason) -> Result<Rc<Endpoint>, FailureReason> {
        let reason = self.count(reason);
        self.tried.push(failed.address);
        if is_in_vain(&reason)
            || self.route.once
            || self.tried.len() >= self.route.worker.limits.connect_attempts as usize
        {
            return Err(reason);
        }
        self.backend.pick_across(&self.tried, failed.address).ok_or(reason)
    }

    fn count(&self, reason: FailureReason) -> FailureReason {
        self.backend.count_failure(&reason);
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
