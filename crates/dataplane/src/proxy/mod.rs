//! One request: from the client's header to the end of the response.

mod answer;
mod attempt;
mod authorize;
mod exchange;
mod failure;
mod grpc;
mod mirror;
mod outgoing;
mod replay;
mod request_body;
mod response_body;
mod retry;
mod session;
mod token;
mod tunnel;
mod watch;

pub(crate) use answer::{answer, unanswered};
pub(crate) use request_body::RequestBody;
pub(crate) use session::{BackendIdentity, Sessions, identity};
pub(crate) use token::BearerTokens;
pub(crate) use watch::Watched;

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, F>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// A connection has room for one, and a stream of HTTP/2 is made by copying it.
    #[test]
    fn the_future_of_a_request_stays_small() {
        let size = size(answer);
        assert!(size <= 3500, "{size} bytes: what is rare and large belongs into a box");
    }
}
