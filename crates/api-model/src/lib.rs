//! The Gateway API resources as users write them: types, reading, validation, and the store that holds them.
//!
//! The types cover Gateway API v1.7.0, standard and experimental channel. Sets of values that grow from version to
//! version are open enums: an unknown value reaches the object that carries it and nothing else.

#[macro_use]
mod open_enum;
#[macro_use]
mod define_kind;

pub mod duration;
pub mod kinds;
pub mod read;
mod resource;
mod schema;
mod store;
pub mod validate;

pub use duration::ApiDuration;
pub use k8s_openapi::api::certificates::v1::ClusterTrustBundle;
pub use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
pub use k8s_openapi::api::discovery::v1::EndpointSlice;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, ObjectMeta, Time};
pub use kinds::backend_tls_policy::*;
pub use kinds::external_auth::*;
pub use kinds::filters::*;
pub use kinds::gateway::*;
pub use kinds::gateway_class::*;
pub use kinds::grpc_route::*;
pub use kinds::http_route::*;
pub use kinds::listener::*;
pub use kinds::listener_set::*;
pub use kinds::reference_grant::*;
pub use kinds::references::*;
pub use kinds::session_persistence::*;
pub use kinds::status::*;
pub use kinds::tcp_route::*;
pub use kinds::tls_route::*;
pub use kinds::udp_route::*;
pub use kinds::xbackend::*;
pub use resource::{Resource, ResourceKey, ResourceKind, ResourceType};
pub use schema::path::{FieldPath, Step};
pub use store::{Change, Objects, ResourceStore};

/// The API group of the Gateway API's own kinds.
pub const GROUP: &str = "gateway.networking.k8s.io";
/// The API group of the Gateway API's experimental kinds (XBackend).
pub const X_GROUP: &str = "gateway.networking.x-k8s.io";
