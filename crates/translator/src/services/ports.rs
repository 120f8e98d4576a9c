//! The ports of a Service.

use k8s_openapi::api::core::v1::ServicePort;
use lasthop_api_model::Service;
use lasthop_dataplane_api::{AppProtocol, Transport};

/// All ports.
pub(crate) fn ports(service: &Service) -> &[ServicePort] {
    service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default()
}

/// The port of this number.
pub(crate) fn port(service: &Service, number: u16, transport: Transport) -> Option<&ServicePort> {
    ports(service).iter().find(|port| port.port == i32::from(number) && speaks(port, transport))
}

fn speaks(port: &ServicePort, transport: Transport) -> bool {
    match transport {
        Transport::TCP => is_tcp(port),
        Transport::UDP => is_udp(port),
    }
}

/// Whether it is a TCP port, as ports are that do not say.
pub(crate) fn is_tcp(port: &ServicePort) -> bool {
    port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP")
}

/// Whether it is a UDP port.
pub(crate) fn is_udp(port: &ServicePort) -> bool {
    port.protocol.as_deref() == Some("UDP")
}

/// What the port says it speaks (KEP-3726). Values nobody standardised say nothing, `https` among them: whether the
/// hop is encrypted is the policy's to say.
pub(crate) fn app_protocol(port: &ServicePort) -> AppProtocol {
    match port.app_protocol.as_deref() {
        Some("kubernetes.io/h2c") => AppProtocol::H2c,
        Some("kubernetes.io/ws") => AppProtocol::WebSocket,
        Some("kubernetes.io/wss") => AppProtocol::WebSocketTls,
        _ => AppProtocol::Unspecified,
    }
}
