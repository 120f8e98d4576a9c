//! ListenerSet: more listeners for a Gateway, owned by somebody else.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::{Deserialize, Serialize};

use super::listener::{Listener, ListenerStatus};
use super::references::ParentGatewayReference;

define_kind! {
    /// Listeners that join those of a Gateway.
    ListenerSet, kind: "ListenerSet", group: "gateway.networking.k8s.io", version: "v1",
    plural: "listenersets", scope: NamespaceResourceScope, spec: ListenerSetSpec, status: ListenerSetStatus,
}

/// What the user asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerSetSpec {
    /// The Gateway to join.
    pub parent_ref: ParentGatewayReference,
    /// 1 to 64 listeners.
    pub listeners: Vec<Listener>,
}

/// What the controller answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerSetStatus {
    /// Verdicts on the whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Verdicts on each listener.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerStatus>,
}
