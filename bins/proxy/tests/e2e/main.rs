//! The proxy's own process over a folder of manifests, real servers behind it, real clients before it.
//!
//! Each test has a CA, ports and a folder of its own, and runs once for each TLS stack.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    unreachable_pub,
    reason = "tests, all of it"
)]

mod authorization;
mod check;
mod clients;
mod configuration;
mod demo;
mod faults;
mod frontend;
mod grpc;
mod hostile;
mod httproute;
mod layer4;
mod lifecycle;
mod limits;
mod listeners;
mod peers;
mod persistence;
mod policies;
mod probe;
mod refusals;
mod reload;
mod rotation;
mod support;
mod token;
mod traffic;
mod xbackend;
