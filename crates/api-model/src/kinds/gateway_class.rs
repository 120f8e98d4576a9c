//! GatewayClass: which controller answers for which Gateways.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::{Deserialize, Serialize};

use super::references::ParametersReference;

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
