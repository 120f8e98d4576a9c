//! TLSRoute, TCPRoute and UDPRoute: real peers before and behind the proxy.

mod manifests;
mod names;
mod postgresql;
mod proxy_protocol;
mod redis;
mod tls;
mod weights;
