//! The API server as a source.
//!
//! # What is read, and what for
//! Every kind that a Gateway may depend on, in all namespaces. Of Secrets those of type `kubernetes.io/tls` and those
//! labelled `lasthop.dev/read: "true"`: others are never asked for. RBAC knows neither types nor labels, so that the right
//! to list and watch Secrets has to be given for all of them; what is asked for is what reaches the process. Of ConfigMaps
//! those are kept that hold a certificate or carry the label, of namespaces and CRDs only the metadata is fetched.
//!
//! # Faults
//! A kind that is not there, or that may not be read, is named and asked for again; the others work. Without Gateways,
//! GatewayClasses or BackendTLSPolicies nothing can be judged: a process that begins waits for them, and what serves stays. Objects that our
//! version of the API does not know are named, and their last good version stays. While the API server is away,
//! everything stays as it was.

mod decorate;
mod known;
mod proxies;
mod reading;
mod watch;
mod watched;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use kube::Client;
use lasthop_runtime::source::{Source, SourceEvent};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::infrastructure::Observed;
use known::Known;
use watch::Message;
pub(crate) use watch::api;
pub use watched::READ_LABEL;
pub(crate) use watched::{plural, resource};

/// Messages that may wait.
const WAITING: usize = 1024;
/// So many are taken together at most, so that a burst does not keep the first ones waiting.
const TOGETHER: usize = 4096;
/// How long the first look may take before it is said what is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The API server as a source.
pub struct KubeSource {
    messages: mpsc::Receiver<Message>,
    known: Known,
    observed: Arc<Observed>,
    // Ends the watches when the source goes.
    _watches: JoinSet<()>,
}

impl KubeSource {
    /// Begins to watch. `controller` is the name GatewayClasses call us by; `observed` is told what the placing of
    /// proxies needs to know.
    pub fn start(client: &Client, controller: &str, observed: Arc<Observed>) -> Self {
        let everything = watched::everything(controller);
        let (sender, messages) = mpsc::channel(WAITING);
        let mut watches = JoinSet::new();
        for (index, watched) in everything.iter().enumerate() {
            watches.spawn(watch::follow(client.clone(), index, watched.clone(), sender.clone()));
        }
        let known = Known::new(everything, controller, observed.clone());
        Self { messages, known, observed, _watches: watches }
    }

    /// Waits for a message, and takes over those that wait behind it.
    async fn take(&mut self) -> Option<()> {
        tokio::select! {
            message = self.messages.recv() => self.known.take(message?),
            () = self.observed.failures_changed() => self.known.failures_changed(),
        }
        for _ in 0..TOGETHER {
            let Ok(message) = self.messages.try_recv() else { break };
            self.known.take(message);
        }
        Some(())
    }
}

#[async_trait]
impl Source for KubeSource {
    async fn next(&mut self) -> Option<SourceEvent> {
        let mut patience = Instant::now() + PATIENCE;
        loop {
            if self.known.is_started() {
                self.take().await?;
            } else if let Ok(taken) = timeout_at(patience, self.take()).await {
                taken?;
            } else {
                tracing::warn!(
                    "still waiting for the API server to list {}",
                    self.known.awaited().join(", ")
                );
                patience += PATIENCE;
            }
            // Nothing is served that a missing object would forbid.
            let started = self.known.is_started();
            if !started && !self.known.is_heard() {
                continue;
            }
            let event = self.known.event();
            if self.known.is_started() != started || !event.is_empty() {
                return Some(event);
            }
        }
    }
}
