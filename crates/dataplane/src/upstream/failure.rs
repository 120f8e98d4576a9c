//! Failures of backends: which are counted with them, and which another endpoint would not mend.

use lasthop_dataplane_api::FailureReason;
use lasthop_tls_verify::Retry;

use super::UpstreamBackend;

/// Whether a reason is counted with the backend; the others are counted with the listener.
pub(crate) fn is_upstream(reason: &FailureReason) -> bool {
    use FailureReason as R;
    match reason {
        R::PolicyRefused
        | R::NoBearerToken
        | R::NoEndpoint
        | R::NameNotResolved
        | R::ConnectFailed
        | R::ConnectTimeout
        | R::UpstreamTls(_)
        | R::UpstreamReset
        | R::TrustRevoked
        | R::UpstreamProtocol
        | R::RequestTimeout
        | R::BackendTimeout => true,
        R::NoRoute
        | R::AuthorizationDenied
        | R::InvalidBackend
        | R::InvalidFilter
        | R::DownstreamTls(_)
        | R::BadRequest
        | R::HeadersTooLarge
        | R::BodyTooLarge
        | R::ClientTimeout
        | R::ClientClosed
        | R::Misdirected
        | R::Overloaded
        | R::NotTls
        | R::ClientHelloTooLarge
        | R::ProxyProtocol
        | R::IdleTimeout
        | R::TooManySessions => false,
    }
}

/// Whether a connection that failed for this reason would fail at every other endpoint, too.
pub(crate) fn is_in_vain(reason: &FailureReason) -> bool {
    matches!(reason, FailureReason::UpstreamTls(error) if error.retry() == Retry::Never)
}

impl UpstreamBackend {
    /// Counts a failure, if it is one of those that are counted with the backend.
    pub(crate) fn count_failure(&self, reason: &FailureReason) {
        if is_upstream(reason) {
            self.counters.failures.count(reason.name());
        }
    }
}
