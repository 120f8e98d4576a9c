//! What any dataplane is given, as plain data, and what it reports back.
//!
//! The grain of the snapshot is the user's grain: one route rule, one backend, one set of endpoints. Children point
//! up to parents (a rule names its listeners), so that one changed route changes one thing. Nothing here knows
//! Kubernetes or an HTTP library.
//!
//! A backend whose TLS cannot be honoured is in the snapshot as [`BackendTls::Refused`]: there is no way to write
//! "plaintext because unknown".

mod access;
mod backend;
mod capabilities;
mod dataplane;
mod filter;
mod hostname;
mod keys;
mod l4_route;
mod listener;
mod observed;
mod persistence;
mod reason;
mod route;
mod snapshot;
mod tls_policy;

pub use access::{AccessLog, AccessRecord, Millis};
pub use backend::{AppProtocol, Backend, BackendTls, Endpoint, EndpointSet, PlaintextReason, Refusal};
pub use capabilities::{TlsCapabilities, TlsStack};
pub use dataplane::{Dataplane, ListenerState, Report, UpdateSource};
pub use filter::{
    AuthProtocol, Cors, CorsOrigin, ExternalAuth, Fraction, HeaderModifier, HeaderValue, HttpFilter, Mirror,
    PathModifier, Redirect, UrlRewrite,
};
pub use hostname::{HostPattern, HostPatternError};
pub use keys::{
    BackendKey, BackendKind, EndpointsKey, KeyError, ListenerKey, ObjectName, RouteKey, RouteKind, RuleKey,
    Transport,
};
pub use l4_route::{L4Backend, L4Rule};
pub use listener::{ClientValidation, ClientValidationMode, Listener, ListenerProtocol, ListenerTls};
pub use observed::{EndpointReport, FailedHandshake, Handshake, PresentedLeaf};
pub use persistence::{SessionCarrier, SessionPersistence, SessionSecret};
pub use reason::FailureReason;
pub use route::{
    AttachedHost, Attachment, BackendTarget, HttpMatch, HttpRule, InvalidBackend, KeyValueMatch, PathMatch,
    Retry, StringMatch, Timeouts, WeightedBackend,
};
pub use snapshot::{Changes, Snapshot, Update};
pub use tls_policy::{
    CipherSuite, Group, PolicyId, Sni, TlsVersion, Trust, UpstreamTlsPolicy, UpstreamTlsSettings,
};
