//! The one call of `boring` that is unsafe: to offer a session for resumption.
#![allow(
    unsafe_code,
    reason = "boring has no safe way to offer a session; its condition is checked in `offer`"
)]

use boring::{
    error::ErrorStack,
    ssl::{SslContextRef, SslRef, SslSession},
};

/// A session with the context it was made under.
pub(super) struct ContextSession {
    session: SslSession,
    /// Never followed, only compared. The context lives as long as the TLS policy, and so does the store of sessions.
    context: usize,
}

impl ContextSession {
    /// A session that BoringSSL gave to a connection of this context.
    pub(super) fn new(context: &SslContextRef, session: SslSession) -> Self {
        Self { session, context: address(context) }
    }

    pub(super) fn session(&self) -> &SslSession {
        &self.session
    }

    /// Offers the session to the peer of a connection that has not begun. A session of another context is passed over.
    pub(super) fn offer(&self, ssl: &mut SslRef) -> Result<(), ErrorStack> {
        if self.context != address(ssl.ssl_context()) {
            return Ok(());
        }
        // SAFETY: the session must be of the same SslContext as `ssl`: just compared. An address cannot have been
        // used again by another context, for the store that keeps this session is kept by the owner of the context.
        unsafe { ssl.set_session(&self.session) }
    }
}

fn address(context: &SslContextRef) -> usize {
    std::ptr::from_ref(context).addr()
}
