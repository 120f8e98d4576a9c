//! rustls and BoringSSL behind one trait: upstream and downstream handshakes, sessions, ALPN.
//!
//! The cargo features `rustls` and `boringssl` add a stack each; with both on, both live in one binary and the
//! configuration chooses. Neither decides about trust: `lasthop-tls-verify` does, for both.

#![cfg_attr(
    not(any(feature = "rustls", feature = "boringssl")),
    allow(dead_code, unused_variables, unused_imports, reason = "without a stack nothing uses the rest")
)]

mod api;
#[cfg(feature = "boringssl")]
mod boring;
mod classify;
mod client_hello;
mod iana;
mod inspect;
mod offer;
mod read_ahead;
#[cfg(feature = "rustls")]
mod rustls;
mod sessions;
mod sni;
mod stream;

use std::sync::Arc;

use lasthop_dataplane_api::TlsStack;

pub use api::{
    Alpn, ClientIdentity, DownstreamEntry, DownstreamInfo, DownstreamSettings, DownstreamTls, PeerInfo,
    PolicyError, TlsBackend, UpstreamEndpointTls, UpstreamTls,
};
pub use classify::classify_io;
pub use client_hello::{Hello, HelloError, HelloReader};
pub use inspect::Inspection;
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
pub fn backend(stack: TlsStack) -> Option<Arc<dyn TlsBackend>> {
    match stack {
        #[cfg(feature = "rustls")]
        TlsStack::Rustls => Some(Arc::new(rustls::Rustls)),
        #[cfg(feature = "boringssl")]
        TlsStack::Boringssl => Some(Arc::new(boring::Boring)),
        _ => None,
    }
}
