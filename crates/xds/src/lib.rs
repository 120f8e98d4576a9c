//! The link between the controller and its proxies: delta ADS over gRPC, with our own snapshot as the resources.

mod authenticate;
mod authority;
mod client;
mod discovery;
mod kind;
mod metrics;
mod report;
mod server;
mod tls;
mod wire;

pub use authenticate::{AuthenticationError, Authenticator};
pub use authority::{Authority, AuthorityError, renewal_is_due};
pub use client::{AddressError, Client, ClientOptions, ControlPlaneAddress};
pub use metrics::{ClientMetrics, ServerMetrics};
pub use server::{Server, ServerOptions};
pub use tls::{LinkTlsError, SERVER_NAME, ServingTls};
