//! Services: their ports, their endpoints, and the backends made of them.

mod backend;
mod endpoints;
mod ports;

pub(crate) use backend::{backend, token_policy, udp_message, udp_policy};
pub(crate) use endpoints::endpoints;
pub(crate) use ports::{app_protocol, is_tcp, is_udp, port, ports};
