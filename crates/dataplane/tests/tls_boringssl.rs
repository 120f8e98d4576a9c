//! TLS on both sides, with BoringSSL.
#![cfg(feature = "boringssl")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail this way")]

mod support;
#[path = "suite/tls.rs"]
mod tls;
