//! Gateway: where traffic enters.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use serde::{Deserialize, Serialize};

use super::listener::{FromNamespaces, Listener, ListenerStatus};
use super::references::{LocalParametersReference, ObjectReference, SecretObjectReference};

define_kind! {
    /// A set of listeners, with the addresses and the TLS they share.
    Gateway, kind: "Gateway", group: "gateway.networking.k8s.io", version: "v1",
    plural: "gateways", scope: NamespaceResourceScope, spec: GatewaySpec, status: GatewayStatus,
}

/// What the operator asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    /// The GatewayClass.
    pub gateway_class_name: String,
    /// 1 to 64 listeners.
    pub listeners: Vec<Listener>,
    /// Addresses to listen on; empty leaves the choice to the implementation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<GatewaySpecAddress>,
    /// Marks for what is created on behalf of the Gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infrastructure: Option<GatewayInfrastructure>,
    /// Which ListenerSets may attach; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_listeners: Option<AllowedListeners>,
    /// TLS shared by all listeners, towards backends and towards clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<GatewayTlsConfig>,
    /// Whether routes without parent attach here (experimental, GEP-3793).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_scope: Option<GatewayDefaultScope>,
    /// What the source knows of what keeps the Gateway's proxies from running; not part of the API.
    #[serde(skip)]
    pub trouble: Option<Arc<str>>,
}

impl GatewaySpec {
    /// The IP addresses that are asked for by value, each once and in order; what is no address is not among them.
    pub fn ip_addresses(&self) -> Vec<IpAddr> {
        let of_type = self.addresses.iter().filter(|address| address.r#type == AddressType::IpAddress);
        let values = of_type.filter_map(|address| address.value.as_deref());
        // `::ffff:192.0.2.1` is the same address as 192.0.2.1.
        let parsed = values.filter_map(|value| value.parse::<IpAddr>().ok()).map(|ip| ip.to_canonical());
        let mut addresses: Vec<IpAddr> = parsed.collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}

open_enum! {
    /// For which routes a Gateway is a default, or whether a route asks for default Gateways.
    pub enum GatewayDefaultScope {
        /// For none.
        None = "None",
        /// For all.
        All = "All",
    }
}

/// An address a Gateway asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpecAddress {
    /// Type of the value.
    #[serde(default)]
    pub r#type: AddressType,
    /// The address; absent asks for any of its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// From where it shall be reachable (experimental, GEP-5093).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routability: Option<String>,
}

/// An address a Gateway got.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatusAddress {
    /// Type of the value.
    #[serde(default)]
    pub r#type: AddressType,
    /// The address.
    pub value: String,
    /// From where it is reachable (experimental, GEP-5093).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routability: Option<String>,
}

open_enum! {
    /// Type of an address.
    pub enum AddressType {
        /// IPv4 or IPv6.
        IpAddress = "IPAddress",
        /// A DNS name.
        Hostname = "Hostname",
        /// A name the implementation knows.
        NamedAddress = "NamedAddress",
    }
}

/// Marks for what is created on behalf of a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayInfrastructure {
    /// Labels to put on it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations to put on it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Parameters of the controller's own making.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_ref: Option<LocalParametersReference>,
    /// What the source found the parameters to be; not part of the API.
    #[serde(skip)]
    pub parameters: Parameters,
}

/// What a source found the parameters of a Gateway or GatewayClass to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Parameters {
    /// It reads none.
    #[default]
    Unread,
    /// They are there, and sound.
    Good,
    /// They cannot be used, because of this.
    Bad(Arc<str>),
}

/// Which ListenerSets may attach to a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllowedListeners {
    /// The namespaces they may come from.
    #[serde(default)]
    pub namespaces: ListenerNamespaces,
}

/// The namespaces ListenerSets may come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerNamespaces {
    /// Which; none when the user gave nothing.
    #[serde(default = "from_none")]
    pub from: FromNamespaces,
    /// With `Selector`: the labels of the namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

fn from_none() -> FromNamespaces {
    FromNamespaces::None
}

impl Default for ListenerNamespaces {
    fn default() -> Self {
        Self { from: from_none(), selector: None }
    }
}

/// TLS of a whole Gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayTlsConfig {
    /// Towards backends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<GatewayBackendTls>,
    /// Towards clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontend: Option<FrontendTlsConfig>,
}

/// TLS of a Gateway towards backends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayBackendTls {
    /// The certificate the gateway shows to backends that ask for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_ref: Option<SecretObjectReference>,
}

/// TLS of a Gateway towards clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendTlsConfig {
    /// For every HTTPS port that has no entry of its own.
    pub default: FrontendTls,
    /// For single ports; an entry replaces the default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_port: Vec<FrontendTlsPort>,
}

/// TLS towards the clients of one port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendTlsPort {
    /// Port number.
    pub port: u16,
    /// What holds there.
    pub tls: FrontendTls,
}

/// What clients must show.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendTls {
    /// How client certificates are verified; absent asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<FrontendTlsValidation>,
}

/// How client certificates are verified.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendTlsValidation {
    /// The trust anchors, 1 to 16.
    pub ca_certificate_refs: Vec<ObjectReference>,
    /// What a missing or invalid certificate leads to.
    #[serde(default)]
    pub mode: FrontendValidationMode,
}

open_enum! {
    /// What a missing or invalid client certificate leads to.
    pub enum FrontendValidationMode {
        /// The connection fails.
        AllowValidOnly = "AllowValidOnly",
        /// The connection goes on all the same.
        AllowInsecureFallback = "AllowInsecureFallback",
    }
}

/// What the controller answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatus {
    /// Addresses it got.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<GatewayStatusAddress>,
    /// Verdicts on the whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Verdicts on each listener.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerStatus>,
    /// How many ListenerSets are attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached_listener_sets: Option<i32>,
}
