//! What controllers answer to routes and policies.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::{Deserialize, Serialize};

use super::references::ParentReference;

/// Status of a route: one entry for each parent and controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteStatus {
    /// At most 32 entries, those of other controllers among them.
    #[serde(default)]
    pub parents: Vec<RouteParentStatus>,
}

/// What one controller says about a route at one parent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteParentStatus {
    /// The parent, as the route names it.
    pub parent_ref: ParentReference,
    /// Who wrote the entry.
    #[serde(default)]
    pub controller_name: String,
    /// Its verdicts.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// Status of a policy: one entry for each ancestor and controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// At most 16 entries (32 for an XBackend), those of other controllers among them.
    #[serde(default)]
    pub ancestors: Vec<PolicyAncestorStatus>,
}

/// What one controller says about a policy at one ancestor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyAncestorStatus {
    /// The ancestor, usually a Gateway.
    pub ancestor_ref: ParentReference,
    /// Who wrote the entry.
    #[serde(default)]
    pub controller_name: String,
    /// Its verdicts.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}
