//! The objects' conditions: flattened, kept for `/status`, and logged when they change.

mod board;
mod conditions;

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use k8s_openapi::jiff::Timestamp;
use lasthop_api_model::ResourceKey;
use lasthop_translator::StatusChange;

pub use board::{Board, object as to_json};
pub use conditions::{Entry, Tone, entries};

use crate::{metrics::Metrics, state::State};

/// So many good conditions of one change are logged one by one; beyond it, they are counted.
const LOGGED: usize = 50;

/// Where statuses go.
#[async_trait]
pub trait StatusSink: Send {
    /// Takes changed statuses over.
    async fn write(&mut self, changes: Vec<StatusChange>);

    /// Forgets objects that are gone.
    async fn forget(&mut self, gone: &[ResourceKey]);
}

/// The sink of a proxy without a cluster: conditions are kept for `/status`, and changes are logged.
pub struct LoggedStatus {
    state: Arc<State>,
    metrics: Metrics,
    first: bool,
}

impl LoggedStatus {
    /// A sink that keeps the conditions in this state.
    pub fn new(state: Arc<State>, metrics: Metrics) -> Self {
        Self { state, metrics, first: true }
    }
}

#[async_trait]
impl StatusSink for LoggedStatus {
    async fn write(&mut self, changes: Vec<StatusChange>) {
        let now = now();
        let mut good = Vec::new();
        for change in changes {
            for entry in self.state.change_board(|board| board.take(&change, now)) {
                self.metrics.status_changed(change.key.kind.as_str());
                if entry.tone() == Tone::Bad {
                    tracing::warn!(object = %change.key, "{entry}");
                } else {
                    good.push((change.key.clone(), entry));
                }
            }
        }
        // At the start everything changes, and of much that changes only the number is of interest.
        if self.first || good.len() > LOGGED {
            if !good.is_empty() {
                tracing::info!(conditions = good.len(), "conditions were set");
            }
            good.iter().for_each(|(key, entry)| tracing::debug!(object = %key, "{entry}"));
        } else {
            good.iter().for_each(|(key, entry)| tracing::info!(object = %key, "{entry}"));
        }
        self.first = false;
    }

    async fn forget(&mut self, gone: &[ResourceKey]) {
        self.state.change_board(|board| gone.iter().for_each(|key| board.forget(key)));
    }
}

/// Whole seconds, as the API has them.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs())
        .ok()
        .and_then(|second| Timestamp::from_second(second).ok())
        .unwrap_or_default()
}
