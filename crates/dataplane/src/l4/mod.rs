//! Connections that are handed on as a whole: TCP, and TLS by server name; and clients' datagrams.
//!
//! A port that is not for HTTP alone has a [`PortFront`]: it says what a connection begins with (a PROXY protocol header,
//! a ClientHello to choose a listener by) and where it goes on. Ports of HTTP and HTTPS listeners have none, and pay
//! nothing for this.

mod by_name;
mod connect;
mod front;
mod hello;
mod proxy_protocol;
mod relay;
mod rules;
mod serve;
mod session;
mod udp;

pub(crate) use by_name::{ByName, Mode};
pub(crate) use front::{Arrival, PortFront, Speaks, serve};
pub(crate) use proxy_protocol::header as proxy_header;
pub(crate) use rules::L4Rules;
pub(crate) use udp::{DatagramSocket, Receivers, receive};
