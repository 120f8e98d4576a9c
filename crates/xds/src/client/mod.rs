//! The proxy's side: follows a controller, and keeps what it has when there is none.

mod backoff;
mod echo;
mod held;
mod link;
mod said;
mod stream;
mod transport;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use lasthop_dataplane_api::{ObjectName, Report, Update, UpdateSource};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::ClientMetrics;
pub use transport::{AddressError, ControlPlaneAddress};

/// What the client needs to know.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Where the controllers are; a name is resolved anew for every connection.
    pub address: ControlPlaneAddress,
    /// The Gateway to serve.
    pub gateway: ObjectName,
    /// What this proxy is called in the controller's logs: the pod's name.
    pub node: String,
    /// Holds the service account's token; read anew for every connection.
    pub token_file: PathBuf,
    /// Holds the CA certificates of the controllers in PEM form; read anew for every connection.
    pub ca_file: PathBuf,
    /// The shortest and the longest wait between two attempts to connect.
    pub backoff: (Duration, Duration),
}

impl ClientOptions {
    /// A quarter of a second to five between attempts.
    pub fn new(
        address: ControlPlaneAddress,
        gateway: ObjectName,
        node: impl Into<String>,
        token_file: impl Into<PathBuf>,
        ca_file: impl Into<PathBuf>,
    ) -> Self {
        Self {
            address,
            gateway,
            node: node.into(),
            token_file: token_file.into(),
            ca_file: ca_file.into(),
            backoff: (Duration::from_millis(250), Duration::from_secs(5)),
        }
    }
}

/// A running client: a source of updates that are ready to be applied.
#[derive(Debug)]
pub struct Client {
    updates: mpsc::Receiver<Arc<Update>>,
    reports: mpsc::UnboundedSender<Report>,
    task: JoinHandle<()>,
}

impl Client {
    /// Begins to connect, on the runtime it is called on.
    pub fn start(options: ClientOptions, metrics: ClientMetrics) -> Self {
        // One: the next update comes when this one was answered.
        let (sender, updates) = mpsc::channel(1);
        let (reports, said) = mpsc::unbounded_channel();
        let task = tokio::spawn(link::run(options, metrics, sender, said));
        Self { updates, reports, task }
    }
}

#[async_trait]
impl UpdateSource for Client {
    async fn next(&mut self) -> Option<Arc<Update>> {
        self.updates.recv().await
    }

    fn reported(&mut self, report: Report) {
        // Fails only when the link has ended for good.
        let _ = self.reports.send(report);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}
