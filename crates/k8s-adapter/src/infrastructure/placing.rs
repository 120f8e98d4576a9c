//! A dataplane whose proxies have to be placed first.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use lasthop_dataplane_api::{Dataplane, Report, TlsCapabilities, Update};

use super::Observed;

/// Another dataplane, whose listeners' ports are told to whoever places its proxies.
pub struct Placing<D> {
    inner: Arc<D>,
    observed: Arc<Observed>,
}

impl<D: Dataplane> Placing<D> {
    /// The same dataplane, with its proxies placed.
    pub fn new(inner: Arc<D>, observed: Arc<Observed>) -> Self {
        Self { inner, observed }
    }
}

#[async_trait]
impl<D: Dataplane> Dataplane for Placing<D> {
    fn tls_capabilities(&self) -> TlsCapabilities {
        self.inner.tls_capabilities()
    }

    async fn apply(&self, update: Arc<Update>) -> Report {
        // First: the proxies it is for may not be there yet.
        self.observed.listeners_changed(&update.listeners);
        self.inner.apply(update).await
    }

    async fn reported(&self) -> Report {
        self.inner.reported().await
    }

    async fn drain(&self, deadline: Duration) {
        self.inner.drain(deadline).await;
    }
}
