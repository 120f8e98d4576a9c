//! What stands in the cluster for a Gateway: a ServiceAccount, a Deployment of proxies, a Service with the listeners'
//! ports (and one more for each further address), a PodDisruptionBudget where one is asked for.
//!
//! All of it belongs to the Gateway by owner references, so that it goes with it, and is applied on the server's side, so
//! that fields that others set (the replicas an autoscaler chose, a sidecar) stay theirs. Only the leader applies.

mod manifests;
mod names;
mod observed;
mod place;
mod placing;
mod plan;

pub use manifests::Template;
pub(crate) use manifests::{GATEWAY_LABEL, placed_by};
pub use names::{label_value, placed, services};
pub use observed::Observed;
pub use place::Placer;
pub use placing::Placing;

/// Who applies, in the objects' managed fields and in their labels.
pub const MANAGER: &str = "lasthop-controller";
/// The audience of the tokens that proxies prove themselves by.
pub const AUDIENCE: &str = "lasthop.dev/link";
