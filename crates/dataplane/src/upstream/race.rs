//! Happy Eyeballs (RFC 8305) for backends with addresses of both families.
//!
//! The endpoint is chosen as ever. If it does not come to a connection soon, one of the other family is tried beside
//! it, and the first that does serves. A family that leads nowhere so costs a quarter of a second, and only once in a
//! while: an endpoint that was outrun is stepped around like one that failed.

use std::{future::poll_fn, net::SocketAddr, pin::Pin, rc::Rc, task::Poll, time::Duration};

use lasthop_dataplane_api::FailureReason;
use smallvec::SmallVec;
use tokio::time::{Instant, sleep};

use super::{Endpoint, UpstreamBackend, is_in_vain};

/// Between two attempts (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

/// An attempt to connect.
pub(crate) type Attempt<'a, T> = Pin<Box<dyn Future<Output = Result<T, FailureReason>> + 'a>>;

/// Connects to the endpoint or, beside it, to others of the backend: at most `most` together with those tried.
/// Afterwards `endpoint` is the one that took the connection or, with an error, the one that failed last; `tried` has
/// the others that failed.
pub(crate) async fn race<'a, T>(
    backend: &UpstreamBackend,
    endpoint: &mut Rc<Endpoint>,
    tried: &mut SmallVec<[SocketAddr; 4]>,
    most: usize,
    connect: impl Fn(Rc<Endpoint>) -> Attempt<'a, T>,
) -> Result<T, FailureReason> {
    let mut running = vec![(endpoint.clone(), connect(endpoint.clone()))];
    let mut stagger = Box::pin(sleep(STAGGER));
    let mut waits = true;
    poll_fn(|cx| {
        loop {
            let mut at = 0;
            while let Some((runner, attempt)) = running.get_mut(at) {
                match attempt.as_mut().poll(cx) {
                    Poll::Pending => at += 1,
                    Poll::Ready(Ok(connected)) => {
                        *endpoint = runner.clone();
                        running.iter().take(at).for_each(|(outrun, _)| outrun.failed());
                        return Poll::Ready(Ok(connected));
                    }
                    Poll::Ready(Err(reason)) => {
                        *endpoint = running.remove(at).0;
                        let next = next(backend, endpoint, &running, tried, most);
                        if is_in_vain(&reason) || (next.is_none() && running.is_empty()) {
                            return Poll::Ready(Err(reason));
                        }
                        backend.count_failure(&reason);
                        tried.push(endpoint.address);
                        if let Some(next) = next {
                            running.push((next.clone(), connect(next)));
                            stagger.as_mut().reset(Instant::now() + STAGGER);
                        }
                    }
                }
            }
            if !waits || stagger.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let last = running.last().map_or_else(|| endpoint.clone(), |(last, _)| last.clone());
            match next(backend, &last, &running, tried, most) {
                Some(next) => {
                    running.push((next.clone(), connect(next)));
                    stagger.as_mut().reset(Instant::now() + STAGGER);
                }
                // Nobody is left: those that run decide it.
                None => waits = false,
            }
        }
    })
    .await
}

/// The next endpoint beside those that run, those tried and the last one: of the other family if there is one.
fn next<T>(
    backend: &UpstreamBackend,
    last: &Endpoint,
    running: &[(Rc<Endpoint>, Attempt<'_, T>)],
    tried: &[SocketAddr],
    most: usize,
) -> Option<Rc<Endpoint>> {
    let mut beside: SmallVec<[SocketAddr; 8]> = tried.iter().copied().collect();
    beside.extend(running.iter().map(|(endpoint, _)| endpoint.address));
    if !beside.contains(&last.address) {
        beside.push(last.address);
    }
    if beside.len() >= most {
        return None;
    }
    backend.pick_across(&beside, last.address)
}
