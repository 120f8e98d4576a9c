//! How one object names another.
//!
//! Where the API gives a group or kind a default, the field holds it already; an empty group is the core group.

use serde::{Deserialize, Serialize};

use crate::GROUP;

fn gateway_group() -> String {
    GROUP.to_owned()
}

fn gateway_kind() -> String {
    "Gateway".to_owned()
}

fn service_kind() -> String {
    "Service".to_owned()
}

fn secret_kind() -> String {
    "Secret".to_owned()
}

fn one() -> u32 {
    1
}

/// A route's wish to attach to a Gateway, a ListenerSet or (mesh) a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// API group; `gateway.networking.k8s.io` when the user gave none.
    #[serde(default = "gateway_group")]
    pub group: String,
    /// Kind; `Gateway` when the user gave none.
    #[serde(default = "gateway_kind")]
    pub kind: String,
    /// Namespace; the referrer's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Only the listener of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// Only listeners on this port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl Default for ParentReference {
    fn default() -> Self {
        Self {
            group: gateway_group(),
            kind: gateway_kind(),
            namespace: None,
            name: String::new(),
            section_name: None,
            port: None,
        }
    }
}

/// The Gateway a ListenerSet belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentGatewayReference {
    /// API group; `gateway.networking.k8s.io` when the user gave none.
    #[serde(default = "gateway_group")]
    pub group: String,
    /// Kind; `Gateway` when the user gave none.
    #[serde(default = "gateway_kind")]
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; the ListenerSet's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl Default for ParentGatewayReference {
    fn default() -> Self {
        Self { group: gateway_group(), kind: gateway_kind(), name: String::new(), namespace: None }
    }
}

/// Where requests or connections go, without a weight.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendObjectReference {
    /// API group; the core group (empty) when the user gave none.
    #[serde(default)]
    pub group: String,
    /// Kind; `Service` when the user gave none.
    #[serde(default = "service_kind")]
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; the referrer's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Port of a Service (not its target port).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl Default for BackendObjectReference {
    fn default() -> Self {
        Self { group: String::new(), kind: service_kind(), name: String::new(), namespace: None, port: None }
    }
}

/// Where requests or connections go, and how many of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendRef {
    /// API group; the core group (empty) when the user gave none.
    #[serde(default)]
    pub group: String,
    /// Kind; `Service` when the user gave none.
    #[serde(default = "service_kind")]
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; the route's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Port of a Service (not its target port).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Share among the rule's backends, 0 to 1,000,000; 1 when the user gave none.
    #[serde(default = "one")]
    pub weight: u32,
}

impl Default for BackendRef {
    fn default() -> Self {
        Self {
            group: String::new(),
            kind: service_kind(),
            name: String::new(),
            namespace: None,
            port: None,
            weight: 1,
        }
    }
}

impl BackendRef {
    /// The reference without its weight.
    pub fn object(&self) -> BackendObjectReference {
        BackendObjectReference {
            group: self.group.clone(),
            kind: self.kind.clone(),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            port: self.port,
        }
    }
}

/// A Secret (or something that takes its place) that holds a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretObjectReference {
    /// API group; the core group (empty) when the user gave none.
    #[serde(default)]
    pub group: String,
    /// Kind; `Secret` when the user gave none.
    #[serde(default = "secret_kind")]
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; the referrer's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl Default for SecretObjectReference {
    fn default() -> Self {
        Self { group: String::new(), kind: secret_kind(), name: String::new(), namespace: None }
    }
}

/// Any object, in any namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReference {
    /// API group; empty is the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; the referrer's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Any object of the referrer's own namespace (or a cluster-scoped one).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalObjectReference {
    /// API group; empty is the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// Parameters of a GatewayClass, in any namespace or cluster-scoped.
pub type ParametersReference = ObjectReference;

/// Parameters of a Gateway, in its own namespace.
pub type LocalParametersReference = LocalObjectReference;

/// What a policy applies to, in the policy's own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTargetReference {
    /// API group; empty is the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Only this part of the target: of a Service, the port of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}
