//! Against a real API server: the one that LASTHOP_TEST_KUBECONFIG names. It must have the CRDs of the Gateway API and
//! `LasthopParameters`; the tests make namespaces of their own and leave none.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod leader;
mod place;
mod source;
mod status;
mod tokens;
mod world;
