//! Statuses, written to the objects they are about.
//!
//! What the translator says is kept for every object, and the newest word is written: while this replica leads, a few
//! objects at a time, no faster than the API server should be asked, tried again until it is there. The loop never waits
//! for it.
//!
//! Proxies tell every replica what they serve, but a replica that has just begun has not heard of them: it leaves what they
//! said before ([`word`]), for as long as it takes them to come ([`Hearing`]).

mod failing;
mod hearing;
mod merge;
mod queue;
mod word;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use lasthop_api_model::ResourceKey;
use lasthop_runtime::status::{LoggedStatus, StatusSink};
use lasthop_translator::StatusChange;

pub use hearing::Hearing;
pub use queue::Queue;
pub use writer::Writer;

/// A sink that logs what changed, as without a cluster, and has it written.
pub struct KubeStatus {
    logged: LoggedStatus,
    queue: Arc<Queue>,
}

impl KubeStatus {
    /// A sink before this queue.
    pub fn new(logged: LoggedStatus, queue: Arc<Queue>) -> Self {
        Self { logged, queue }
    }
}

#[async_trait]
impl StatusSink for KubeStatus {
    async fn write(&mut self, changes: Vec<StatusChange>) {
        for change in &changes {
            self.queue.put(change.key.clone(), change.status.clone());
        }
        self.logged.write(changes).await;
    }

    async fn forget(&mut self, gone: &[ResourceKey]) {
        gone.iter().for_each(|key| self.queue.forget(key));
        self.logged.forget(gone).await;
    }
}
