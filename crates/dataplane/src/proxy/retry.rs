//! Repeated attempts, as the rule says (GEP-1731), and the time limits.
//!
//! What a backend may have begun to process is sent again only if its method is idempotent (RFC 9110 §9.2.2), or if the
//! backend answered with one of the codes that the rule names, or to a call that it is unavailable.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use http::{HeaderName, HeaderValue, Response};
use hyper::body::Incoming;
use lasthop_dataplane_api::{FailureReason, HttpRule, Retry};
use tokio::time::Instant;

use super::{
    attempt::{Route, attempt},
    exchange::Trace,
    grpc,
    outgoing::Outgoing,
    request_body::Received,
};
use crate::{
    upstream::Lease,
    worker::clock::{self, Deadline},
};

/// The time between two attempts if the rule does not say.
const BACKOFF: Duration = Duration::from_millis(25);
/// The longest time between two attempts, unless the rule begins with a longer one.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// A response's head, and what its body needs.
pub(super) struct Answered {
    pub response: Response<Incoming>,
    pub lease: Lease,
    /// When the attempt must be over.
    pub until: Option<Instant>,
    /// The field that tells the client its session.
    pub session: Option<Box<(HeaderName, HeaderValue)>>,
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
    outgoing: &mut Outgoing,
) -> Result<Answered, FailureReason> {
    let retry = rule.retry.as_ref();
    let mut left = retry.map_or(0, |retry| retry.attempts);
    let idempotent = outgoing.parts.method.is_idempotent();
    let mut backoff = first(retry);
    loop {
        let kept = if left > 0 { outgoing.keep() } else { None };
        let until = rule.timeouts.backend_request.map(|limit| Instant::now() + limit);
        let result = {
            let mut attempt = pin!(attempt(route, trace, outgoing));
            let attempt = idle.limit(attempt.as_mut());
            within(until, pin!(attempt)).await.unwrap_or_else(|| {
                route.backend.count_failure(&FailureReason::BackendTimeout);
                Err(FailureReason::BackendTimeout)
            })
        };
        let failed = match &result {
            Ok((response, _)) => retry.is_some_and(|retry| {
                let code = response.status().as_u16();
                retry.codes.contains(&code) || grpc::is_unavailable(response.headers())
            }),
            Err(reason) => may_pass(reason) && (idempotent || !trace.sent),
        };
        if !(failed && kept.is_some_and(|kept| outgoing.restore(*kept))) {
            let (response, lease) = result?;
            return Ok(Answered { response, lease, until, session: None });
        }
        drop(result);
        left -= 1;
        // Some chance in it, so that what failed together does not come back together.
        tokio::time::sleep(backoff.mul_f32(1.0 + fastrand::f32() / 4.0)).await;
        backoff = next(backoff, first(retry));
    }
}

/// The time between the first two attempts.
fn first(retry: Option<&Retry>) -> Duration {
    retry.and_then(|retry| retry.backoff).unwrap_or(BACKOFF)
}

/// The time between two attempts after that between the two before.
fn next(backoff: Duration, first: Duration) -> Duration {
    backoff.saturating_mul(2).min(LONGEST_BACKOFF.max(first))
}

/// Whether another attempt may fare better.
fn may_pass(reason: &FailureReason) -> bool {
    matches!(
        reason,
        FailureReason::ConnectFailed
            | FailureReason::ConnectTimeout
            | FailureReason::UpstreamTls(_)
            | FailureReason::UpstreamReset
            | FailureReason::TrustRevoked
            | FailureReason::BackendTimeout
    )
}

/// The limit on standing still: neither the client's body nor a response comes. What other requests on the client's
/// connection do is no movement.
pub(super) struct Idle<'a> {
    pub deadline: &'a Deadline,
    /// In the clock's unit.
    pub limit: u64,
    pub received: Option<&'a Received>,
}

impl Idle<'_> {
    async fn limit<T>(
        &self,
        mut attempt: Pin<&mut impl Future<Output = Result<T, FailureReason>>>,
    ) -> Result<T, FailureReason> {
        let begun = clock::now();
        self.deadline.set(begun + self.limit);
        poll_fn(|cx| {
            if let Poll::Ready(result) = attempt.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            loop {
                if !self.deadline.poll(cx) {
                    return Poll::Pending;
                }
                let received = self.received.map_or(0, |received| received.moved.get());
                let over = begun.max(received) + self.limit;
                if over <= clock::now() {
                    return Poll::Ready(Err(FailureReason::BackendTimeout));
                }
                self.deadline.set(over);
            }
        })
        .await
    }
}

/// A future's output, if it comes in time: nothing is begun when that is over. Takes it pinned: moved into another
/// future, it would stand there twice.
pub(super) async fn within<T>(
    until: Option<Instant>,
    mut future: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let mut sleep = until.map(|until| Box::pin(tokio::time::sleep_until(until)));
    poll_fn(|cx| {
        if sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(None);
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_between_attempts_grows_and_is_never_shorter_than_the_first() {
        let seconds = |first: f32| {
            let base = Duration::from_secs_f32(first);
            let pauses = std::iter::successors(Some(base), |pause| Some(next(*pause, base)));
            pauses.take(4).map(|pause| pause.as_secs_f32()).collect::<Vec<_>>()
        };
        assert_eq!(seconds(1.0), [1.0, 2.0, 4.0, 8.0]);
        assert_eq!(seconds(4.0), [4.0, 8.0, 10.0, 10.0]);
        assert_eq!(seconds(30.0), [30.0; 4]);
    }
}
