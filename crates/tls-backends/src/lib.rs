//! rustls and BoringSSL behind one trait: upstream and downstream handshakes, sessions, ALPN.
//!
//! The cargo features `rustls` and `boringssl` add a stack each; with both on, both live in one binary and the
//! configuration chooses. Neither decides about trust: `lasthop-tls-verify` does, for both.

mod api;
mod stream;

use std::sync::Arc;

use lasthop_dataplane_api::TlsStack;

pub use api::{
    Alpn, ClientIdentity, DownstreamEntry, DownstreamInfo, DownstreamSettings, DownstreamTls, PeerInfo,
    PolicyError, TlsBackend, UpstreamEndpointTls, UpstreamTls,
};
pub use stream::TlsStream;

/// The stacks in this binary, the default first.
pub fn available() -> Vec<TlsStack> {
    let mut stacks = Vec::new();
    if cfg!(feature = "rustls") {
        stacks.push(TlsStack::Rustls);
    }
    if cfg!(feature = "boringssl") {
        stacks.push(TlsStack::Boringssl);
    }
    stacks
}

/// The stack of this name; `None` if the binary was built without it.
pub fn backend(_stack: TlsStack) -> Option<Arc<dyn TlsBackend>> {
    None
}
