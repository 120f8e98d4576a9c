//! Who a proxy is.

use async_trait::async_trait;
use lasthop_dataplane_api::ObjectName;

/// Tells whose token it is. On a cluster: a TokenReview with the link's audience.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// The service account, as namespace and name, that the token was issued to.
    ///
    /// # Errors
    /// A token that proves nothing, or nobody who could tell.
    async fn authenticate(&self, token: &str) -> Result<ObjectName, AuthenticationError>;
}

/// Why a token proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// It is no token of ours: expired, of another audience, or made up.
    #[error("the token is not accepted: {0}")]
    Refused(String),
    /// It could not be examined; the proxy tries again later.
    #[error("the token cannot be examined now: {0}")]
    Unavailable(String),
}
