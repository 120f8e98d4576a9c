//! The native dataplane: hyper over tokio, one thread per core.
//!
//! Each worker is a thread with its own runtime, its own listening sockets, its own pools of backend connections and
//! its own compiled view of the snapshot. A request is served by the worker that has its connection, from that view
//! alone: no lock, no counter shared with another worker. What is dear to compile (TLS, rules) is compiled once, by
//! [`NativeDataplane::apply`](lasthop_dataplane_api::Dataplane::apply), and shared.

mod control;
mod downstream;
mod filters;
mod hygiene;
mod l4;
mod metrics;
mod options;
mod proxy;
mod resolve;
mod routing;
mod upstream;
mod wire;
mod worker;

pub use control::{NativeDataplane, StartError};
pub use metrics::NativeCollector;
pub use options::{Limits, NativeOptions, SessionKey, ShortSessionKey};
pub use resolve::{ResolveError, ResolverOptions, resolve};
