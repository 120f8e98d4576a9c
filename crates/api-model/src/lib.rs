//! The Gateway API resources as users write them: types, reading, validation, and the store that holds them.
//!
//! * [`kinds`]: the kinds of Gateway API v1.7.0, standard and experimental channel, in types of our own. Sets of values
//!   that grow from version to version are open enums: an unknown value reaches the object that carries it and nothing
//!   else. The types implement the traits of k8s-openapi, so that a Kubernetes client takes them as its own; the few
//!   core kinds we read come from there.
//! * [`read`]: manifests from files, object by object, each with the verdict of an API server.
//! * [`validate`]: that verdict, for objects from elsewhere.
//! * [`ResourceStore`]: every object we know, in any order of arrival.
//!
//! # Errors
//! Nothing here fails as a whole. A file gives the objects that may take effect and, beside them, a
//! [`Problem`](read::Problem) for each fault of the others, with file, line, object, field and remedy. At most
//! [`read::MAX_PROBLEMS`] are given for one object. No message repeats the content of a Secret, and `Debug` of
//! resources, changes and stores prints names only.
//!
//! # Limits
//! See [`read`]. What is read is walked in time linear in its size, but for lists the API itself keeps short.
//!
//! # Defaults
//! Types hold the defaults of the API: whoever reads a field need not know what an absent one means. The exceptions
//! are optional fields whose absence is a meaning of its own, which are `Option`s, and lists, in which empty and
//! absent are the same.

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
pub use kinds::http_route_filters::*;
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
