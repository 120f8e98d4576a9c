//! What routes of all kinds have in common.

use lasthop_api_model::{
    BackendRef, GatewayDefaultScope, GrpcRoute, GrpcRouteRule, HttpRoute, HttpRouteRule, ObjectMeta,
    ParentReference, RouteStatus, TcpRoute, TlsRoute, UdpRoute,
};
use lasthop_dataplane_api::{RouteKey, RouteKind};

use crate::index::Reader;

/// A route of any kind.
#[derive(Debug)]
pub(crate) struct RouteView<'a> {
    pub metadata: &'a ObjectMeta,
    pub parent_refs: &'a [ParentReference],
    pub default_gateways: Option<&'a GatewayDefaultScope>,
    pub hostnames: &'a [String],
    pub status: Option<&'a RouteStatus>,
    pub rules: Rules<'a>,
}

/// The rules of a route.
#[derive(Debug)]
pub(crate) enum Rules<'a> {
    Http(&'a [HttpRouteRule]),
    Grpc(&'a [GrpcRouteRule]),
    /// Of TLS, TCP and UDP routes.
    Streams(Vec<StreamRule<'a>>),
}

/// A rule of a TLS, TCP or UDP route: where connections go.
#[derive(Debug)]
pub(crate) struct StreamRule<'a> {
    pub name: Option<&'a str>,
    pub backend_refs: &'a [BackendRef],
}

/// A route by its key.
pub(crate) fn view<'a>(reader: &Reader<'a>, key: &RouteKey) -> Option<RouteView<'a>> {
    macro_rules! streams {
        ($route:expr) => {
            Rules::Streams(
                $route
                    .spec
                    .rules
                    .iter()
                    .map(|rule| StreamRule { name: rule.name.as_deref(), backend_refs: &rule.backend_refs })
                    .collect(),
            )
        };
    }
    macro_rules! view {
        ($kind:ty, $hostnames:expr, $rules:expr) => {{
            let route = reader.object::<$kind>(&key.object)?;
            let hostnames: fn(&'a $kind) -> &'a [String] = $hostnames;
            let rules: fn(&'a $kind) -> Rules<'a> = $rules;
            RouteView {
                metadata: &route.metadata,
                parent_refs: &route.spec.parent_refs,
                default_gateways: route.spec.use_default_gateways.as_ref(),
                hostnames: hostnames(route),
                status: route.status.as_ref(),
                rules: rules(route),
            }
        }};
    }
    Some(match key.kind {
        RouteKind::HTTPRoute => {
            view!(HttpRoute, |route| &route.spec.hostnames, |route| Rules::Http(&route.spec.rules))
        }
        RouteKind::GRPCRoute => {
            view!(GrpcRoute, |route| &route.spec.hostnames, |route| Rules::Grpc(&route.spec.rules))
        }
        RouteKind::TLSRoute => view!(TlsRoute, |route| &route.spec.hostnames, |route| streams!(route)),
        RouteKind::TCPRoute => view!(TcpRoute, |_| &[], |route| streams!(route)),
        RouteKind::UDPRoute => view!(UdpRoute, |_| &[], |route| streams!(route)),
    })
}
