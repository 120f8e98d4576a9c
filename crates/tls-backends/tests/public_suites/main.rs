//! x509-limbo: every case through the verifier, and through a handshake of each stack.
//!
//! The cases are no part of the project. `cargo xtask trust` says where they are; without them nothing is tested, and
//! that is said.

#![cfg(all(feature = "rustls", feature = "boringssl"))]
#![allow(missing_docs, unreachable_pub, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod case;
mod data;
mod exceptions;
mod forger;
mod limbo;
mod row;
