//! XBackend: a backend with its own TLS (experimental, GEP-4894).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::backend_tls_policy::BackendTlsPolicyValidation;
use super::references::SecretObjectReference;
use super::session_persistence::SessionPersistence;
use super::status::PolicyStatus;

define_kind! {
    /// A backend outside the cluster, or some pods of its namespace.
    XBackend, kind: "XBackend", group: "gateway.networking.x-k8s.io", version: "v1alpha1",
    plural: "xbackends", scope: NamespaceResourceScope, spec: XBackendSpec, status: PolicyStatus,
}

/// What the user asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct XBackendSpec {
    /// Which of the two fields below is set.
    pub r#type: XBackendType,
    /// With `ExternalHostname`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_hostname: Option<ExternalHostname>,
    /// With `EndpointSelector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_selector: Option<EndpointSelector>,
    /// The port to reach it at.
    pub port: XBackendPort,
    /// What it speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<XBackendProtocol>,
    /// TLS; none when the user gave nothing.
    #[serde(default)]
    pub tls: XBackendTls,
    /// Whether a client stays at one endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<SessionPersistence>,
}

open_enum! {
    /// Type of a backend.
    pub enum XBackendType {
        /// A DNS name outside the cluster.
        ExternalHostname = "ExternalHostname",
        /// Pods of its namespace.
        EndpointSelector = "EndpointSelector",
    }
}

/// A backend outside the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalHostname {
    /// Its DNS name.
    pub hostname: String,
}

/// Pods of the backend's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSelector {
    /// Labels they must have, 1 to 64.
    pub match_labels: BTreeMap<String, String>,
}

/// The port of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct XBackendPort {
    /// Its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u16>,
}

open_enum! {
    /// What a backend speaks.
    pub enum XBackendProtocol {
        /// TCP.
        Tcp = "TCP",
        /// HTTP of any version.
        Http = "HTTP",
        /// HTTP/2 over TLS.
        Http2 = "HTTP2",
        /// HTTP/1.1.
        Http11 = "HTTP11",
        /// HTTP/2 without TLS.
        H2c = "H2C",
        /// Model Context Protocol.
        Mcp = "MCP",
        /// gRPC.
        Grpc = "GRPC",
        /// WebSocket over TLS.
        Wss = "WSS",
    }
}

/// TLS of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct XBackendTls {
    /// Who shows a certificate.
    pub mode: XBackendTlsMode,
    /// With `ClientAndServer`: the certificate the gateway shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_ref: Option<SecretObjectReference>,
    /// Unless `None`: what the backend must prove.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<BackendTlsPolicyValidation>,
}

open_enum! {
    /// Who shows a certificate.
    pub enum XBackendTlsMode {
        /// Nobody: no TLS.
        None = "None",
        /// The backend.
        ServerOnly = "ServerOnly",
        /// The gateway too.
        ClientAndServer = "ClientAndServer",
    }
}
