//! One module for each kind of the Gateway API, and for what kinds share.

pub mod backend_tls_policy;
pub mod external_auth;
pub mod filters;
pub mod gateway;
pub mod gateway_class;
pub mod grpc_route;
pub mod http_route;
pub mod http_route_filters;
pub mod listener;
pub mod listener_set;
pub mod reference_grant;
pub mod references;
pub mod session_persistence;
pub mod status;
pub mod tcp_route;
pub mod tls_route;
pub mod udp_route;
pub mod xbackend;
