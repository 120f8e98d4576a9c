//! The Services that clients reach a Gateway by.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{Builder, Manifest, Placed};
use crate::{
    infrastructure::{names, plan::Port},
    parameters::ServiceType,
};

impl Builder<'_> {
    /// One Service, and one more for each further address: a Service can ask for one.
    pub(super) fn services(&self) -> Vec<Manifest> {
        let addresses = &self.plan.addresses;
        let further = addresses.iter().skip(1).filter(|_| self.service_type() == ServiceType::LoadBalancer);
        let first = self.service(&self.name, addresses.first());
        let more = further.map(|ip| self.service(&names::for_address(&self.plan.gateway, *ip), Some(ip)));
        std::iter::once(first).chain(more).collect()
    }

    fn service_type(&self) -> ServiceType {
        self.plan.parameters.service_type.unwrap_or_default()
    }

    fn service(&self, name: &str, address: Option<&IpAddr>) -> Manifest {
        let parameters = &self.plan.parameters;
        let ports: Vec<Value> = self
            .plan
            .ports
            .iter()
            .map(|port| {
                let protocol = protocol(*port);
                json!({
                    "name": format!("{}-{}", protocol.to_ascii_lowercase(), port.number),
                    "port": port.number,
                    "targetPort": port.number,
                    "protocol": protocol,
                })
            })
            .collect();
        let r#type = self.service_type();
        let mut spec = json!({"type": r#type, "selector": self.selector(), "ports": ports});
        if r#type != ServiceType::ClusterIP
            && let Some(policy) = &parameters.external_traffic_policy
        {
            spec["externalTrafficPolicy"] = policy.as_str().into();
        }
        if r#type == ServiceType::LoadBalancer {
            if let Some(address) = address {
                spec["loadBalancerIP"] = address.to_string().into();
            }
            if !parameters.load_balancer_source_ranges.is_empty() {
                spec["loadBalancerSourceRanges"] = json!(parameters.load_balancer_source_ranges);
            }
            if let Some(class) = &parameters.load_balancer_class {
                spec["loadBalancerClass"] = class.as_str().into();
            }
        }
        if let Some(policy) = &parameters.ip_family_policy {
            spec["ipFamilyPolicy"] = policy.as_str().into();
        }
        if !parameters.ip_families.is_empty() {
            spec["ipFamilies"] = json!(parameters.ip_families);
        } else if let Some(address) = address.filter(|_| name != self.name) {
            // Of the first Service it is the cluster's choice, which cannot be changed later.
            spec["ipFamilies"] = json!([if address.is_ipv4() { "IPv4" } else { "IPv6" }]);
        }
        self.named(Placed::Service, name, json!({"spec": spec}), &parameters.service_annotations)
    }
}

fn protocol(port: Port) -> &'static str {
    if port.is_udp { "UDP" } else { "TCP" }
}
