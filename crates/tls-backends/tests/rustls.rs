//! The suite, for rustls.
#![cfg(feature = "rustls")]
#![allow(missing_docs, unreachable_pub, reason = "tests")]

use lasthop_dataplane_api::TlsStack;

pub const STACK: TlsStack = TlsStack::Rustls;

mod suite;
