//! TLS on both sides, with rustls.
#![cfg(feature = "rustls")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail this way")]

mod support;
#[path = "suite/tls.rs"]
mod tls;
