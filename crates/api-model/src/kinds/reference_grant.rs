//! ReferenceGrant: who may refer to objects of a namespace.

use serde::{Deserialize, Serialize};

define_kind! {
    /// Lets objects of other namespaces refer to objects of its own.
    ReferenceGrant, kind: "ReferenceGrant", group: "gateway.networking.k8s.io", version: "v1",
    plural: "referencegrants", scope: NamespaceResourceScope, spec: ReferenceGrantSpec,
}

/// What the owner of the namespace allows: any of `from` to any of `to`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceGrantSpec {
    /// Who may refer, 1 to 16 entries.
    pub from: Vec<ReferenceGrantFrom>,
    /// To what, 1 to 16 entries.
    pub to: Vec<ReferenceGrantTo>,
}

/// Objects that may refer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceGrantFrom {
    /// API group; empty is the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
}

/// Objects that may be referred to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceGrantTo {
    /// API group; empty is the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Only the object of this name; absent is all of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
