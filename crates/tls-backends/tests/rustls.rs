//! The suite, for rustls.
#![cfg(feature = "rustls")]
#![allow(missing_docs, unreachable_pub, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

use lasthop_dataplane_api::TlsStack;

pub const STACK: TlsStack = TlsStack::Rustls;

mod suite;
