//! What is to stand for one Gateway.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use lasthop_api_model::Gateway;
use lasthop_dataplane_api::ObjectName;

use crate::parameters::LasthopParameters;

/// A port of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Port {
    pub number: u16,
    pub is_udp: bool,
}

/// What is to stand for one Gateway.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub gateway: ObjectName,
    pub uid: String,
    pub ports: BTreeSet<Port>,
    /// What the user wants on everything.
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// The addresses to ask the load balancer for.
    pub addresses: Vec<IpAddr>,
    pub parameters: Arc<LasthopParameters>,
}

impl Plan {
    pub(super) fn new(
        name: &ObjectName,
        gateway: &Gateway,
        ports: BTreeSet<Port>,
        parameters: Arc<LasthopParameters>,
    ) -> Self {
        let infrastructure = gateway.spec.infrastructure.clone().unwrap_or_default();
        Self {
            gateway: name.clone(),
            uid: gateway.metadata.uid.clone().unwrap_or_default(),
            ports,
            labels: infrastructure.labels,
            annotations: infrastructure.annotations,
            addresses: gateway.spec.ip_addresses(),
            parameters,
        }
    }
}
