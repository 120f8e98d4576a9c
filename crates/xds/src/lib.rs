//! The link between the controller and its proxies: delta ADS over gRPC, with our own snapshot as the resources.
//!
//! To the controller's loop a [`Server`] is one more [`Dataplane`](lasthop_dataplane_api::Dataplane); to the proxy a
//! [`Client`] is an [`UpdateSource`](lasthop_dataplane_api::UpdateSource) of updates that are ready-made.
//!
//! # The protocol
//!
//! `envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources`, with the public field numbers. A
//! proxy subscribes to one type, `type.lasthop.dev/v1.Snapshot`. Each resource in a response has its own type
//! (`type.lasthop.dev/v1.Listener`, `HttpRule`, `L4Rule`, `Backend`, `Endpoints`, `TrustAnchors`, `Certificate`, `Crl`,
//! `SessionSecret`) and is named by it and its key. One subscription for all types, because the protocol sends types one by one, each to
//! be acknowledged by itself: a rule could be in force before its backend, and half an update be refused. So one
//! response is one update, in force as a whole, acknowledged or refused as a whole.
//!
//! What a proxy says of listeners and backends goes up in a field of our own with the acknowledgement, or by itself; and,
//! under the type `type.lasthop.dev/v1.Report`, to the replicas that it does not follow.
//!
//! # At the controller
//!
//! ```no_run
//! # async fn wire(
//! #     authenticator: std::sync::Arc<dyn lasthop_xds::Authenticator>,
//! #     account_of: std::sync::Arc<dyn Fn(&lasthop_dataplane_api::ObjectName) -> lasthop_dataplane_api::ObjectName + Send + Sync>,
//! #     capabilities: lasthop_dataplane_api::TlsCapabilities,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::SystemTime;
//!
//! use lasthop_xds::{Authority, Server, ServerMetrics, ServerOptions, ServingTls};
//!
//! // The Secret's content if there is one; `step` every few minutes, write `to_secret` and `bundle` when it says so.
//! let mut authority = Authority::new(SystemTime::now())?;
//! authority.step(SystemTime::now())?;
//! // `replace` when the authority changed or `renewal_is_due`.
//! let tls = ServingTls::new(&authority.issue(SystemTime::now())?)?;
//!
//! let metrics = ServerMetrics::new()?;
//! let server = Server::new(ServerOptions::new(authenticator, account_of, capabilities, metrics));
//! let listener = tokio::net::TcpListener::bind("0.0.0.0:15010").await?;
//! tokio::spawn(server.clone().serve(listener, tls));
//! // And `server` is the dataplane of the control loop.
//! # Ok(())
//! # }
//! ```
//!
//! The Service that proxies find the controllers by must be headless: its name has to resolve to every replica, so that
//! all of them hear what the proxies say, and not only the one that a proxy happens to follow.

mod authenticate;
mod authority;
mod client;
mod discovery;
mod kind;
mod metrics;
mod report;
mod server;
mod sessions;
mod tls;
mod wire;

pub use authenticate::{AuthenticationError, Authenticator};
pub use authority::{Authority, AuthorityError, renewal_is_due};
pub use client::{AddressError, Client, ClientOptions, ControlPlaneAddress};
pub use metrics::{ClientMetrics, ServerMetrics};
pub use server::{Server, ServerOptions};
pub use sessions::session_master;
pub use tls::{LinkTlsError, SERVER_NAME, ServingTls};
