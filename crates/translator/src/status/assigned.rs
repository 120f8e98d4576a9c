//! The addresses of a Gateway that has Services of its own.

use std::net::IpAddr;

use lasthop_api_model::{AddressType, EndpointSlice, GatewayStatusAddress, Service};
use lasthop_dataplane_api::ObjectName;

use super::{Verdict, types};
use crate::{gateways::GatewayOutcome, index::Reader};

/// The API takes no more.
const MOST: usize = 16;

/// The addresses that the cluster gave to the Services of a Gateway that asks for these; `None` where Gateways have no
/// Services.
pub(super) fn addresses(
    reader: &Reader<'_>,
    gateway: &ObjectName,
    asked: &[IpAddr],
) -> Option<Vec<GatewayStatusAddress>> {
    let mut addresses: Vec<GatewayStatusAddress> = Vec::new();
    for name in (reader.options.services_of?)(gateway, asked) {
        let service = reader.find::<Service>(&gateway.namespace, &name);
        for address in service.map(|service| of_service(service)).unwrap_or_default() {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    addresses.truncate(MOST);
    Some(addresses)
}

/// What the load balancer says, or the Service's own addresses where no load balancer was asked for.
fn of_service(service: &Service) -> Vec<GatewayStatusAddress> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let address =
        |r#type, value: &str| GatewayStatusAddress { r#type, value: value.to_owned(), routability: None };
    if spec.type_.as_deref() != Some("LoadBalancer") {
        let own = spec.cluster_ips.iter().flatten().filter(|ip| *ip != "None");
        return own.map(|ip| address(AddressType::IpAddress, ip)).collect();
    }
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    ingress
        .iter()
        .filter_map(|entry| match (&entry.ip, &entry.hostname) {
            (Some(ip), _) if !ip.is_empty() => Some(address(AddressType::IpAddress, ip)),
            (_, Some(name)) if !name.is_empty() => Some(address(AddressType::Hostname, name)),
            _ => None,
        })
        .collect()
}

/// Whether the Gateway's Service leads to a proxy that is ready. What a proxy says of itself comes earlier: clients that
/// are sent to the Service before it leads anywhere are refused.
fn leads_somewhere(reader: &Reader<'_>, gateway: &ObjectName) -> bool {
    let Some(services_of) = reader.options.services_of else { return true };
    // All of them lead to the same proxies.
    let Some(first) = services_of(gateway, &[]).into_iter().next() else { return false };
    let service = ObjectName::new(gateway.namespace.clone(), first);
    let slices = reader.slices(&service).into_iter().filter_map(|name| reader.object::<EndpointSlice>(name));
    let mut endpoints = slices.flat_map(|slice| slice.endpoints.iter().flatten());
    endpoints
        .any(|endpoint| endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready != Some(false)))
}

/// Why a Gateway cannot be reached where it asks to be. Where it is known not to be programmed for another reason, only
/// an address that the user asked for and has not got is said instead.
pub(super) fn shortfall(
    reader: &Reader<'_>,
    gateway: &ObjectName,
    outcome: &GatewayOutcome,
    assigned: &[GatewayStatusAddress],
    programmed: &Verdict,
) -> Option<Verdict> {
    let has = |ip: &IpAddr| assigned.iter().any(|address| address.value.parse() == Ok(*ip));
    let missing: Vec<String> =
        outcome.addresses.iter().filter(|ip| !has(ip)).map(ToString::to_string).collect();
    if !missing.is_empty() {
        let message = format!(
            "The cluster has not given the Gateway the address {}; name in spec.addresses what the load balancer can \
             give, or nothing",
            missing.join(", ")
        );
        return Some(Verdict::no(types::PROGRAMMED, "AddressNotUsable", message));
    }
    if programmed.status == "False" {
        return None;
    }
    if assigned.is_empty() {
        let message = "The cluster has not given the Gateway's Service an address yet";
        return Some(Verdict::no(types::PROGRAMMED, "AddressNotAssigned", message));
    }
    let message = "No proxy of the Gateway is ready yet";
    (!leads_somewhere(reader, gateway)).then(|| Verdict::pending(types::PROGRAMMED, message))
}
