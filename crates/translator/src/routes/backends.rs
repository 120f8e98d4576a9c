//! Where backend references lead.

use lasthop_api_model::{BackendObjectReference, ResourceKind, Service, XBackend, XBackendProtocol};
use lasthop_dataplane_api::{
    AppProtocol, BackendKey, BackendKind, BackendTarget, EndpointsKey, InvalidBackend, ObjectName, RouteKind,
    Transport,
};

use super::scope::Scope;
use crate::{
    grants::{self, Referent, Referrer},
    names,
    problem::Problem,
    services::{app_protocol, port, token_policy, udp_message, udp_policy},
    tls_policies::OPTION_PREFIX,
};

impl Scope<'_, '_> {
    /// Where a reference leads. One that leads nowhere keeps its place: its share of requests gets a 500.
    pub(super) fn target(&mut self, reference: &BackendObjectReference, field: &str) -> BackendTarget {
        match self.resolve(reference, field) {
            Ok(service) => {
                let key = BackendKey { gateway: self.gateway.clone(), endpoints: service };
                self.backends.insert(key.clone());
                BackendTarget::Backend(key)
            }
            Err(problem) => {
                let reason = problem.reason.into();
                self.unresolved(problem);
                BackendTarget::Invalid(InvalidBackend { reason, reference: self.text(reference).into() })
            }
        }
    }

    fn text(&self, reference: &BackendObjectReference) -> String {
        let namespace = reference.namespace.as_deref().unwrap_or(&self.route.object.namespace);
        let port = reference.port.map_or_else(String::new, |port| format!(":{port}"));
        let is_service = reference.group.is_empty() && reference.kind == "Service";
        let kind = if is_service { String::new() } else { format!("{} ", reference.kind) };
        format!("{kind}{namespace}/{}{port}", reference.name)
    }

    fn resolve(&mut self, reference: &BackendObjectReference, field: &str) -> Result<EndpointsKey, Problem> {
        let own = &*self.route.object.namespace;
        let namespace = reference.namespace.as_deref().unwrap_or(own);
        let from = Referrer { kind: names::route_resource(self.route).kind, namespace: own };
        let (group, kind, name) = (&*reference.group, &*reference.kind, &*reference.name);
        let to = Referent { group, kind, namespace, name };
        if !grants::allows(self.reader, from, to) {
            return Err(Problem::new("RefNotPermitted", format!("{field}: {}", grants::remedy(from, to))));
        }
        let name = ObjectName::new(namespace, name);
        match ResourceKind::find(group, kind) {
            Some(ResourceKind::Service) => self.service(reference, name, field),
            Some(ResourceKind::XBackend) => self.xbackend(reference, name, field),
            _ => {
                let of = if group.is_empty() { "the core group" } else { group };
                let message =
                    format!("{field}: kind {kind} of {of} is no backend; name a Service or an XBackend");
                Err(Problem::new("InvalidKind", message))
            }
        }
    }

    fn service(
        &mut self,
        reference: &BackendObjectReference,
        name: ObjectName,
        field: &str,
    ) -> Result<EndpointsKey, Problem> {
        self.referents.insert((BackendKind::Service, name.clone()));
        let service = self.reader.object::<Service>(&name).ok_or_else(|| {
            Problem::new("BackendNotFound", format!("{field}: Service {name} does not exist; create it"))
        })?;
        if service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("ExternalName") {
            let message = format!(
                "{field}: Service {name} is of type ExternalName, by which a route could reach any host there is; \
                 use a Service with EndpointSlices"
            );
            return Err(Problem::new("InvalidKind", message));
        }
        let Some(number) = reference.port else {
            return Err(Problem::new(
                "BackendNotFound",
                format!("{field}: port is missing; a Service needs one"),
            ));
        };
        let transport = match self.route.kind {
            RouteKind::UDPRoute => Transport::UDP,
            _ => Transport::TCP,
        };
        let port = port(service, number, transport).ok_or_else(|| {
            let message = format!("{field}: Service {name} has no {transport:?} port {number}");
            Problem::new("BackendNotFound", message)
        })?;
        if transport == Transport::UDP {
            if let Some(policy) = udp_policy(self.reader, service, &name, port.name.as_deref()) {
                // The backend keeps its place, refused: its share of datagrams is dropped.
                let message = format!("{field}: {}", udp_message(policy, &name));
                self.unresolved(Problem::new("UnsupportedProtocol", message));
            }
        } else {
            self.check_protocol(app_protocol(port), &name, port.name.as_deref(), field)?;
            if self.is_stream
                && let Some(policy) = token_policy(self.reader, &name, port.name.as_deref())
            {
                // It keeps its place; the dataplane opens no connection.
                let message = format!(
                    "{field}: BackendTLSPolicy {policy} asks for a bearer token with each request, and connections \
                     that a {} hands on have none; use another policy or take {OPTION_PREFIX}bearer-token out of its \
                     spec.options",
                    self.route.kind
                );
                self.unresolved(Problem::new("UnsupportedProtocol", message));
            }
        }
        Ok(EndpointsKey { kind: BackendKind::Service, object: name, port: number, transport })
    }

    /// An XBackend has one port of its own. Whether it can be used is said in its status, too; here it decides whether
    /// there is a place to go to.
    fn xbackend(
        &mut self,
        reference: &BackendObjectReference,
        name: ObjectName,
        field: &str,
    ) -> Result<EndpointsKey, Problem> {
        self.referents.insert((BackendKind::XBackend, name.clone()));
        let backend = self.reader.object::<XBackend>(&name).ok_or_else(|| {
            Problem::new("BackendNotFound", format!("{field}: XBackend {name} does not exist; create it"))
        })?;
        if reference.port.is_some() {
            let message = format!("{field}.port: an XBackend has its own port; remove the field");
            return Err(Problem::new("UnsupportedValue", message));
        }
        let number = backend.spec.port.number.ok_or_else(|| {
            let message = format!("{field}: XBackend {name} has no spec.port.number; write one");
            Problem::new("BackendNotFound", message)
        })?;
        if let Some(protocol) = &backend.spec.protocol
            && let Some(why) = unfit(self.route.kind, protocol)
        {
            let message = format!("{field}: XBackend {name} speaks {protocol}, {why}");
            return Err(Problem::new("UnsupportedProtocol", message));
        }
        if self.route.kind == RouteKind::UDPRoute {
            let message =
                format!("{field}: XBackend {name} is reached by TCP; use a Service with a UDP port");
            return Err(Problem::new("UnsupportedProtocol", message));
        }
        if let Some(problem) = self.reader.xbackend(&name).and_then(|outcome| outcome.hostname.as_ref().err())
        {
            let message = format!("{field}: XBackend {name} leads nowhere: {}", problem.message);
            return Err(Problem::new("BackendNotFound", message));
        }
        Ok(EndpointsKey {
            kind: BackendKind::XBackend,
            object: name,
            port: number,
            transport: Transport::TCP,
        })
    }

    fn check_protocol(
        &self,
        protocol: AppProtocol,
        service: &ObjectName,
        port: Option<&str>,
        field: &str,
    ) -> Result<(), Problem> {
        let unsupported = |why: &str| {
            let kind = self.route.kind;
            let message = format!("{field}: Service {service} speaks {protocol:?}, which a {kind} {why}");
            Err(Problem::new("UnsupportedProtocol", message))
        };
        match (self.route.kind, protocol) {
            (RouteKind::GRPCRoute, AppProtocol::WebSocket | AppProtocol::WebSocketTls) => {
                unsupported("cannot be served by; use kubernetes.io/h2c")
            }
            (RouteKind::HTTPRoute, AppProtocol::WebSocketTls) => {
                let encrypted =
                    self.reader.claims(service).is_some_and(|claims| claims.winner(port).is_some());
                if encrypted {
                    Ok(())
                } else {
                    unsupported("can use under a BackendTLSPolicy only; create one for the port")
                }
            }
            _ => Ok(()),
        }
    }
}

/// Why a route of this kind cannot lead to an XBackend of this protocol. Streams carry everything.
fn unfit(route: RouteKind, protocol: &XBackendProtocol) -> Option<&'static str> {
    use XBackendProtocol as P;
    match (route, protocol) {
        (RouteKind::HTTPRoute | RouteKind::GRPCRoute, P::Tcp) => {
            Some("which carries no requests; use a TCPRoute")
        }
        (RouteKind::GRPCRoute, P::Http11 | P::Mcp | P::Wss) => {
            Some("which carries no gRPC; use GRPC, HTTP2 or H2C")
        }
        _ => None,
    }
}
