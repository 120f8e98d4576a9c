//! Repeated attempts, as the rule says (GEP-1731), and the time limits.

use std::{future::poll_fn, pin::pin, rc::Rc, task::Poll, time::Duration};

use http::{Response, request::Parts};
use hyper::body::Incoming;
use lasthop_dataplane_api::{FailureReason, HttpRule};
use tokio::time::Instant;

use super::{
    RequestBody,
    attempt::{Route, attempt},
    exchange::Trace,
    replay::Repetition,
};
use crate::{
    upstream::Lease,
    wire::Activity,
    worker::clock::{self, Deadline},
};

/// The time between two attempts if the rule does not say.
const BACKOFF: Duration = Duration::from_millis(25);
/// The longest time between two attempts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// A response's head, and what its body needs.
pub(super) struct Answered {
    pub response: Response<Incoming>,
    pub lease: Lease,
    /// When the attempt must be over.
    pub until: Option<Instant>,
}

/// Whether the rule may want to send a request again.
pub(super) fn repeats(rule: &HttpRule) -> bool {
    rule.retry.as_ref().is_some_and(|retry| retry.attempts > 0)
}

/// Sends a request, again if the rule says so.
pub(super) async fn forward(
    route: Route<'_>,
    rule: &HttpRule,
    trace: &mut Trace,
    idle: &Idle<'_>,
    mut parts: Parts,
    mut body: RequestBody,
) -> Result<Answered, FailureReason> {
    let retry = rule.retry.as_ref();
    let mut left = retry.map_or(0, |retry| retry.attempts);
    let mut backoff = retry.and_then(|retry| retry.backoff).unwrap_or(BACKOFF);
    loop {
        let again = if left > 0 { Again::keep(&parts, &body) } else { None };
        let until = rule.timeouts.backend_request.map(|limit| Instant::now() + limit);
        let result = {
            let attempt = idle.limit(attempt(route, trace, parts, body));
            match until {
                None => attempt.await,
                Some(until) => tokio::time::timeout_at(until, attempt).await.unwrap_or_else(|_| {
                    route.backend.counters.failures.count(FailureReason::BackendTimeout.name());
                    Err(FailureReason::BackendTimeout)
                }),
            }
        };
        let failed = match &result {
            Ok((response, _)) => retry.is_some_and(|retry| retry.codes.contains(&response.status().as_u16())),
            Err(reason) => may_pass(reason),
        };
        let again = if failed { again.and_then(Again::start) } else { None };
        let Some(again) = again else {
            let (response, lease) = result?;
            return Ok(Answered { response, lease, until });
        };
        drop(result);
        (parts, body) = again;
        left -= 1;
        // Some chance in it, so that what failed together does not come back together.
        tokio::time::sleep(backoff.mul_f32(1.0 + fastrand::f32() / 4.0)).await;
        backoff = (backoff * 2).min(LONGEST_BACKOFF);
    }
}

/// Whether another attempt may fare better.
fn may_pass(reason: &FailureReason) -> bool {
    matches!(
        reason,
        FailureReason::ConnectFailed
            | FailureReason::ConnectTimeout
            | FailureReason::UpstreamTls(_)
            | FailureReason::UpstreamReset
            | FailureReason::BackendTimeout
    )
}

/// A request kept for another attempt.
struct Again {
    parts: Parts,
    body: Option<Repetition>,
}

impl Again {
    fn keep(parts: &Parts, body: &RequestBody) -> Option<Self> {
        let body = match body {
            RequestBody::Empty => None,
            RequestBody::Replay(replay) => Some(replay.repetition()),
            RequestBody::Stream(_) | RequestBody::Mirror(_) => return None,
        };
        Some(Self { parts: parts.clone(), body })
    }

    fn start(self) -> Option<(Parts, RequestBody)> {
        let body = match self.body {
            None => RequestBody::Empty,
            Some(repetition) => RequestBody::Replay(repetition.start()?),
        };
        Some((self.parts, body))
    }
}

/// The limit on standing still: neither the client's body nor a response comes.
pub(super) struct Idle<'a> {
    pub deadline: &'a Deadline,
    pub client: &'a Rc<crate::downstream::ClientConnection>,
}

impl Idle<'_> {
    async fn limit<T>(
        &self,
        attempt: impl Future<Output = Result<T, FailureReason>>,
    ) -> Result<T, FailureReason> {
        let limit = clock::millis(self.client.worker.limits.stream_idle_timeout);
        let activity: &Activity = &self.client.activity;
        self.deadline.set(clock::now() + limit);
        let mut attempt = pin!(attempt);
        poll_fn(|cx| {
            if let Poll::Ready(result) = attempt.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            loop {
                if !self.deadline.poll(cx) {
                    return Poll::Pending;
                }
                let moved = activity.last() + limit;
                if moved <= clock::now() {
                    return Poll::Ready(Err(FailureReason::BackendTimeout));
                }
                self.deadline.set(moved);
            }
        })
        .await
    }
}
