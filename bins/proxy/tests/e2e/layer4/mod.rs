//! TLSRoute, TCPRoute and UDPRoute: real peers before and behind the proxy.

mod databases;
mod manifests;
mod names;
mod proxy_protocol;
mod tls;
