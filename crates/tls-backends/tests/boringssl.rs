//! The suite, for BoringSSL.
#![cfg(feature = "boringssl")]
#![allow(missing_docs, unreachable_pub, reason = "tests")]

use lasthop_dataplane_api::TlsStack;

pub const STACK: TlsStack = TlsStack::Boringssl;

mod suite;
