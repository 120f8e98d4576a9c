//! GatewayClass: which controller answers for which Gateways.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::{Deserialize, Serialize};

use super::gateway::Parameters;
use super::references::ParametersReference;
use crate::ResourceKind;

define_kind! {
    /// A class of Gateways, answered for by one controller.
    GatewayClass, kind: "GatewayClass", group: "gateway.networking.k8s.io", version: "v1",
    plural: "gatewayclasses", scope: ClusterResourceScope, spec: GatewayClassSpec, status: GatewayClassStatus,
}

/// What the operator asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassSpec {
    /// The controller that answers, such as `lasthop.dev/gateway`. Immutable.
    pub controller_name: String,
    /// Parameters of the controller's own making.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_ref: Option<ParametersReference>,
    /// For people, at most 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What the source found the parameters to be; not part of the API.
    #[serde(skip)]
    pub parameters: Parameters,
    /// What the source knows about the cluster's own installation of the API; not part of the API.
    #[serde(skip)]
    pub installation: Option<Arc<Installation>>,
}

/// What is installed of the Gateway API in a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installation {
    /// The versions that the CRDs give, such as `v1.7.0`, each once; empty where nobody knows.
    pub versions: Vec<String>,
    /// What of it cannot be read, and the remedy: missing CRDs, missing permissions.
    pub unread: Vec<String>,
    /// The CRDs of the Gateway API that are missing and not optional.
    pub missing: Vec<String>,
    /// Kinds that the cluster does not serve, whether anybody misses them or not.
    pub absent: Vec<ResourceKind>,
    /// Whether something is among it without which nothing can be judged, so that proxies stay as they are.
    pub is_held: bool,
}

/// What the controller answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassStatus {
    /// Verdicts: `Accepted`, `SupportedVersion`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Features of the conformance suite the controller claims, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supported_features: Vec<SupportedFeature>,
}

/// A feature of the conformance suite.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SupportedFeature {
    /// Its name.
    pub name: String,
}
