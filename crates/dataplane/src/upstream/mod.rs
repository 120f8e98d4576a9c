//! Backends: their endpoints, the connections to them, and how one is chosen.

mod backend;
mod connect;
mod connection;
mod endpoint;
mod failure;
mod pool;
mod race;
mod revocation;

pub(crate) use backend::{AlpnChoice, Hop, UpstreamBackend};
pub(crate) use connect::{Acquire, Dial, Dialled, acquire, dial};
pub(crate) use connection::{Lease, OpenConnection, Progress};
pub(crate) use endpoint::{Endpoint, InFlight, TlsHop};
pub(crate) use failure::{is_in_vain, is_upstream};
pub(crate) use race::{Attempt, race};

/// The HTTP version a request needs on its way to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// HTTP/1.1: the default, and what upgrades need.
    Http1,
    /// HTTP/2: gRPC, and `appProtocol: kubernetes.io/h2c`.
    Http2,
    /// What ALPN chooses, because the TLS policy names its own protocols.
    Negotiated,
}
