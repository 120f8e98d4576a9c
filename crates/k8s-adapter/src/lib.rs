//! The API server: watches into the store, statuses out, leader election, and the proxies placed for Gateways.
//!
//! * [`source`]: a [`Source`](lasthop_runtime::source::Source) of everything a Gateway may depend on.
//! * [`status`]: a [`StatusSink`](lasthop_runtime::status::StatusSink) that writes conditions to the objects.
//! * [`leader`]: which replica writes.
//! * [`infrastructure`]: for each Gateway a ServiceAccount, a Deployment of proxies and a Service.
//! * [`parameters`]: `LasthopParameters`, the kind that says how those look.
//!
//! What a replica needs to be allowed is listed in [`rights`].

pub mod client;
mod features;
pub mod infrastructure;
pub mod install;
pub mod leader;
pub mod own_secret;
pub mod parameters;
#[cfg(test)]
mod played;
pub mod rights;
pub mod source;
pub mod status;
pub mod tokens;
mod yaml;

pub use client::{ConnectError, connect};
pub use features::SUPPORTED_FEATURES;
pub use kube::Client;
pub use serde_json::Value;
pub use yaml::to_yaml;
