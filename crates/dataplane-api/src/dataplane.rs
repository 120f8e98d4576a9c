//! The trait of dataplanes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{BackendKey, ListenerKey, Refusal, TlsCapabilities, Update};

/// Something that serves snapshots.
#[async_trait]
pub trait Dataplane: Send + Sync {
    /// What its TLS stack can do.
    fn tls_capabilities(&self) -> TlsCapabilities;

    /// Takes over an update as a whole and answers once it is in force: new requests follow it, requests under way
    /// end under what they began with. Where a backend's trust shrinks (see [`crate::Trust`]), nothing new is sent under
    /// the old policy, and what is under way ends within 5 s.
    async fn apply(&self, update: Arc<Update>) -> Report;

    /// Waits until something changed by itself, without an update, and tells it: a listener that serves now or no longer,
    /// a backend that is refused. A dataplane that answers for everything in [`Dataplane::apply`] never returns.
    async fn reported(&self) -> Report {
        std::future::pending().await
    }

    /// Takes no new connections, lets requests under way end, and returns when all have or the time is over.
    async fn drain(&self, deadline: Duration);
}

/// Where ready-made updates come from: a control plane that translates elsewhere.
#[async_trait]
pub trait UpdateSource: Send {
    /// Waits for the next update. `None`: there will be no more. May be dropped while it waits, and asked again.
    async fn next(&mut self) -> Option<Arc<Update>>;

    /// Is told what the dataplane said: once for every update, in order and with its version, and whenever it says
    /// something by itself.
    fn reported(&mut self, report: Report);
}

/// What a dataplane programmed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The update's version.
    pub version: u64,
    /// The state of the listeners that the update changed, and of others whose state changed with it.
    pub listeners: Vec<(ListenerKey, ListenerState)>,
    /// Backends whose TLS the stack could not set up; they answer 502.
    pub refused_backends: Vec<(BackendKey, Refusal)>,
}

/// Whether a listener serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ListenerState {
    /// It does, at these addresses.
    Bound(Vec<SocketAddr>),
    /// It does not.
    Failed {
        /// Such as `PortUnavailable`.
        reason: Arc<str>,
        /// What the operating system said, and the remedy.
        message: Arc<str>,
    },
}
