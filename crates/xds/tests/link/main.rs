//! A server and its proxies, talking over TLS on the loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "what was measured is printed")]

mod denied;
mod follow;
mod large;
mod replicas;
mod status;
mod support;
