//! Lasthop as a user installs it, on a real cluster, from outside: `kubectl`, `curl`, and nginx as backends.
//!
//! `cargo xtask test --step cluster` makes the cluster, installs Lasthop there and runs these inside the cluster's
//! network. By hand: `KUBECONFIG` and `LASTHOP_TEST_INSTALLED=1` in the environment, `cargo xtask cluster exec` around it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod addresses;
mod hops;
mod parameters;
mod proxies;
mod refusals;
mod rights;
mod sessions;
mod support;
mod tokens;
