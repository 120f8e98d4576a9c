//! Where backend references lead.

use lasthop_api_model::{BackendObjectReference, BackendRef, Service};
use lasthop_dataplane_api::{
    AppProtocol, BackendKey, BackendTarget, EndpointsKey, InvalidBackend, ObjectName, RouteKind,
};

use super::scope::Scope;
use crate::{
    grants::{self, Referent, Referrer},
    names,
    problem::Problem,
    services::{app_protocol, is_udp, ports, tcp_port},
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

    /// Notes what is wrong with the references of a rule that nothing can serve yet.
    pub(super) fn check(&mut self, references: &[BackendRef]) {
        for (index, reference) in references.iter().enumerate() {
            let field = self.field(&format!("backendRefs[{index}]"));
            if let Err(problem) = self.resolve(&reference.object(), &field) {
                self.unresolved(problem);
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
        if !group.is_empty() || kind != "Service" {
            let of = if group.is_empty() { "the core group" } else { group };
            let message = format!("{field}: kind {kind} of {of} is no backend; name a Service");
            return Err(Problem::new("InvalidKind", message));
        }
        let name = ObjectName::new(namespace, name);
        self.services.insert(name.clone());
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
        if self.route.kind == RouteKind::UDPRoute {
            let found = ports(service).iter().any(|port| is_udp(port) && port.port == i32::from(number));
            let missing = || format!("{field}: Service {name} has no UDP port {number}");
            return found
                .then(|| EndpointsKey::service(name.clone(), number))
                .ok_or_else(|| Problem::new("BackendNotFound", missing()));
        }
        let port = tcp_port(service, number).ok_or_else(|| {
            Problem::new("BackendNotFound", format!("{field}: Service {name} has no TCP port {number}"))
        })?;
        self.check_protocol(app_protocol(port), &name, port.name.as_deref(), field)?;
        Ok(EndpointsKey::service(name, number))
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
