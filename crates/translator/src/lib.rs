//! Resources in, snapshot and status out: a pure, deterministic function, incremental over changes.
//!
//! [`Translator::apply`] takes changes of resources and gives the update for the dataplane, the statuses that changed,
//! and notices for the log. [`Translator::programmed`] takes the dataplane's answer; only then `Programmed` is said.
//!
//! Nothing here reads a file or a clock. What is wrong with one object is said in that object's status; a backend
//! whose TLS cannot be honoured is refused, never plaintext.

mod authorities;
mod content;
mod evaluate;
mod gateways;
mod grants;
mod hops;
mod index;
mod listener_sets;
mod listeners;
mod names;
mod namespaces;
mod options;
mod output;
mod pending;
mod problem;
mod progress;
mod routes;
mod secrets;
mod services;
mod status;
mod tls_policies;
mod translator;
mod xbackends;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

pub use hops::{Hop, HopPolicy, HopTls};
pub use options::{ClassPolicy, Options, ServicesOf, SystemAnchors};
pub use output::{Notice, Output, Status, StatusChange};
pub use status::types as condition_types;
pub use translator::Translator;
