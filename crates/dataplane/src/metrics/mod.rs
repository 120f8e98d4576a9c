//! What is counted, without a lock or a shared cache line on the request path.

mod collector;
mod counters;
mod names;
mod peers;
mod registry;

pub use collector::NativeCollector;
pub(crate) use counters::{BackendCounters, ListenerCounters, RequestCounters, Side, WorkerCounters};
pub(crate) use names::LookupOutcome;
pub(crate) use registry::{Metrics, RequestSeries, RuleChanges};
