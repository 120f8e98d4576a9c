//! Gateways: whose they are, where they listen, what they show to backends and ask of clients.

mod addresses;
mod client_certificate;
mod frontend;
mod outcome;
mod ownership;
mod ports;
mod proxy_protocol;
mod translate;

pub(crate) use client_certificate::ClientCertificate;
pub(crate) use frontend::frontend_of;
pub(crate) use outcome::{Admission, GatewayOutcome};
pub(crate) use ownership::{class_problem, owns_everything};
pub(crate) use ports::share;
pub(crate) use proxy_protocol::PROXY_PROTOCOL;
pub(crate) use translate::translate;
