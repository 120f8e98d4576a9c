//! BackendTLSPolicy: how the gateway reaches a backend over TLS, and what the backend must prove (GEP-1897).

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::references::{LocalObjectReference, PolicyTargetReference};
use super::status::PolicyStatus;

define_kind! {
    /// TLS towards the Services it names.
    BackendTlsPolicy, kind: "BackendTLSPolicy", group: "gateway.networking.k8s.io", version: "v1",
    plural: "backendtlspolicies", scope: NamespaceResourceScope, spec: BackendTlsPolicySpec, status: PolicyStatus,
}

/// What the user asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTlsPolicySpec {
    /// The Services (or ports of Services) it holds for, 1 to 16.
    pub target_refs: Vec<PolicyTargetReference>,
    /// What the backend must prove.
    pub validation: BackendTlsPolicyValidation,
    /// Options of the implementation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Set when the manifest breaks the API's rules: then only the targets are known, and this says what is wrong.
    /// An API server would never have taken such an object; a folder of manifests has nobody who turns it away, and
    /// a backend whose author asked for TLS must not be reached in plaintext because of a slip elsewhere.
    #[serde(skip)]
    pub refused: Option<Arc<str>>,
}

/// What a backend must prove: a chain to an anchor, and a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTlsPolicyValidation {
    /// The trust anchors, at most 8. Either these or the well-known ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ca_certificate_refs: Vec<LocalObjectReference>,
    /// Anchors that need no object.
    #[serde(default, rename = "wellKnownCACertificates", skip_serializing_if = "Option::is_none")]
    pub well_known_ca_certificates: Option<WellKnownCaCertificates>,
    /// SNI, and the name the certificate must carry unless `subject_alt_names` says otherwise.
    pub hostname: String,
    /// Names of which the certificate must carry at least one, in place of `hostname`; at most 5.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_alt_names: Vec<SubjectAltName>,
}

open_enum! {
    /// Trust anchors that need no object.
    pub enum WellKnownCaCertificates {
        /// Those of the system the gateway runs on.
        System = "System",
    }
}

/// A name a certificate may carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubjectAltName {
    /// Which of the fields below is set.
    pub r#type: SubjectAltNameType,
    /// With `Hostname`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// With `URI`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}

open_enum! {
    /// Type of a name.
    pub enum SubjectAltNameType {
        /// A DNS name.
        Hostname = "Hostname",
        /// A URI, such as a SPIFFE identity.
        Uri = "URI",
    }
}
