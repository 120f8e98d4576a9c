//! The endpoints of a Service's port, from its EndpointSlices, and the host of an XBackend.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::discovery::v1::EndpointConditions;
use lasthop_api_model::{EndpointSlice, Service};
use lasthop_dataplane_api::{BackendKind, Endpoint, EndpointSet, EndpointsKey, Transport};

use super::port;
use crate::index::Reader;

/// The ready endpoints of a Service's port; if none is ready, those that are going away but still serve.
///
/// A slice's port belongs to the Service's port of the same name, so that a named target port may be another number
/// in each slice. This holds for Services with and without selector or cluster address alike.
pub(crate) fn endpoints(reader: &Reader<'_>, key: &EndpointsKey) -> EndpointSet {
    if key.kind == BackendKind::XBackend {
        // The dataplane resolves the name.
        let outcome = reader.xbackend(&key.object);
        let hostname = outcome.and_then(|outcome| outcome.hostname.as_ref().ok()).cloned();
        return EndpointSet { key: key.clone(), endpoints: Vec::new(), hostname };
    }
    let mut ready = Vec::new();
    let mut leaving = Vec::new();
    let service = reader.object::<Service>(&key.object);
    if let Some(port) = service.and_then(|service| port(service, key.port, key.transport)) {
        let port = (port.name.as_deref().unwrap_or_default(), key.transport);
        for slice in reader.slices(&key.object) {
            if let Some(slice) = reader.object::<EndpointSlice>(slice) {
                collect(slice, port, &mut ready, &mut leaving);
            }
        }
    }
    let mut endpoints = if ready.is_empty() { leaving } else { ready };
    endpoints.sort_unstable();
    endpoints.dedup();
    EndpointSet { key: key.clone(), endpoints, hostname: None }
}

fn collect(
    slice: &EndpointSlice,
    (name, transport): (&str, Transport),
    ready: &mut Vec<Endpoint>,
    leaving: &mut Vec<Endpoint>,
) {
    if !matches!(slice.address_type.as_str(), "IPv4" | "IPv6") {
        return;
    }
    let ports: Vec<u16> = slice
        .ports
        .iter()
        .flatten()
        .filter(|port| port.name.as_deref().unwrap_or_default() == name)
        .filter(|port| match transport {
            Transport::TCP => port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"),
            Transport::UDP => port.protocol.as_deref() == Some("UDP"),
        })
        .filter_map(|port| port.port.and_then(|number| u16::try_from(number).ok()))
        .collect();
    for endpoint in slice.endpoints.iter().flatten() {
        let to = match condition(endpoint.conditions.as_ref()) {
            Readiness::Ready => &mut *ready,
            Readiness::Leaving => &mut *leaving,
            Readiness::No => continue,
        };
        // All addresses of an endpoint are the same pod; the first is the one to use.
        let address = endpoint.addresses.first().and_then(|text| text.parse::<IpAddr>().ok());
        let sockets =
            address.into_iter().flat_map(|ip| ports.iter().map(move |port| SocketAddr::new(ip, *port)));
        to.extend(sockets.map(|address| Endpoint { address }));
    }
}

enum Readiness {
    Ready,
    Leaving,
    No,
}

fn condition(conditions: Option<&EndpointConditions>) -> Readiness {
    let Some(conditions) = conditions else { return Readiness::Ready };
    if conditions.ready != Some(false) {
        Readiness::Ready
    } else if conditions.serving == Some(true) && conditions.terminating == Some(true) {
        Readiness::Leaving
    } else {
        Readiness::No
    }
}
