//! How names of backends are resolved.

use std::{net::SocketAddr, time::Duration};

/// How names of backends are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverOptions {
    /// The DNS resolvers to ask, over UDP, and over TCP what is too large for that. None: those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// Whether addresses of this machine and this link count: loopback, link-local, unspecified, multicast. A name's
    /// owner could lead the gateway to what only it may reach with them.
    pub allow_local: bool,
    /// How long the last answer stays in force when no resolver answers, from the time it was given.
    pub max_stale: Duration,
}

impl Default for ResolverOptions {
    fn default() -> Self {
        Self { servers: Vec::new(), allow_local: false, max_stale: Duration::from_secs(600) }
    }
}
