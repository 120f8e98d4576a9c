//! What tests are made of.

use lasthop_api_model::{
    Change, Condition, GatewayStatus, ListenerStatus, PolicyStatus, Resource, ResourceKey, ResourceKind,
    ResourceStore, RouteStatus, read::read_file_bytes,
};
use lasthop_dataplane_api::{
    Backend, BackendKey, BackendTls, EndpointsKey, HttpRule, L4Rule, ListenerKey, ListenerState, ObjectName,
    Refusal, Report, RouteKind, UpstreamTlsPolicy,
};

use crate::{ClassPolicy, Options, Output, Status, Translator};

/// A certificate authority.
pub(crate) struct Ca {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Ca {
    /// A new one, of this name.
    pub(crate) fn new(name: &str) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: rcgen::Issuer::new(params, key) }
    }

    /// Its certificate.
    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate for a name, and its key.
    pub(crate) fn leaf(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A ConfigMap with its certificate.
    pub(crate) fn config_map(&self, name: &str) -> String {
        config_map(name, "ca.crt", &self.pem())
    }

    /// A Secret with a certificate for a name.
    pub(crate) fn secret(&self, namespace: &str, name: &str, host: &str) -> String {
        let (chain, key) = self.leaf(host);
        tls_secret(namespace, name, &chain, &key)
    }
}

/// A ConfigMap of one entry.
pub(crate) fn config_map(name: &str, key: &str, content: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{{key}: {content:?}}}\n"
    )
}

/// A Secret of type kubernetes.io/tls.
pub(crate) fn tls_secret(namespace: &str, name: &str, chain: &str, key: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\n\
         metadata: {{name: {name}, namespace: {namespace}}}\n\
         stringData: {{tls.crt: {chain:?}, tls.key: {key:?}}}\n"
    )
}

/// A Gateway `gw` with one HTTP listener `http` on port 80, for routes of all namespaces.
pub(crate) const GATEWAY: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: lasthop
  listeners:
  - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
";

/// A Service `web` with the ports `https` (443) and `plain` (80), and two endpoints.
pub(crate) const SERVICE: &str = "
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports:
  - {name: https, port: 443, targetPort: tls}
  - {name: plain, port: 80, targetPort: 8080}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports:
- {name: https, port: 8443}
- {name: plain, port: 8080}
endpoints:
- addresses: [10.0.0.2]
- addresses: [10.0.0.1]
  conditions: {ready: true}
";

/// An HTTPRoute `route` from `gw` to port 443 of `web`.
pub(crate) const ROUTE: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route}
spec:
  parentRefs: [{name: gw}]
  hostnames: [shop.example.com]
  rules:
  - backendRefs: [{name: web, port: 443}]
";

/// A BackendTLSPolicy `policy` for `web`, with the CA of ConfigMap `ca`.
pub(crate) const POLICY: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: policy}
spec:
  targetRefs: [{group: '', kind: Service, name: web}]
  validation:
    caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]
    hostname: web.internal
";

/// Resources, and a translator that follows them.
pub(crate) struct World {
    pub store: ResourceStore,
    pub translator: Translator,
    /// What came of the last change.
    pub last: Output,
}

impl World {
    /// Where every Gateway is ours.
    pub(crate) fn new() -> Self {
        Self::with(Options { class_policy: ClassPolicy::OwnAllWithoutClass, ..Options::default() })
    }

    /// With these options.
    pub(crate) fn with(options: Options) -> Self {
        let translator = Translator::new(options);
        Self { store: ResourceStore::new(), translator, last: Output::default() }
    }

    /// With the objects of these manifests.
    pub(crate) fn of(manifests: &[&str]) -> Self {
        let mut world = Self::new();
        world.apply(manifests);
        world
    }

    /// Applies manifests, all at once.
    pub(crate) fn apply(&mut self, manifests: &[&str]) -> &Output {
        let changes: Vec<Change> =
            objects(&manifests.concat()).into_iter().filter_map(|object| self.store.apply(object)).collect();
        self.change(&changes)
    }

    /// Applies an object as it is.
    pub(crate) fn put(&mut self, object: Resource) -> &Output {
        let changes: Vec<Change> = self.store.apply(object).into_iter().collect();
        self.change(&changes)
    }

    /// Deletes an object of the namespace `default`.
    pub(crate) fn delete(&mut self, kind: ResourceKind, name: &str) -> &Output {
        let namespace = if kind.is_namespaced() { "default" } else { "" };
        let changes: Vec<Change> =
            self.store.remove(&ResourceKey::new(kind, namespace, name)).into_iter().collect();
        self.change(&changes)
    }

    fn change(&mut self, changes: &[Change]) -> &Output {
        self.last = self.translator.apply(changes);
        &self.last
    }

    /// Reports every listener of the snapshot as bound.
    pub(crate) fn bind_all(&mut self) {
        let snapshot = self.translator.snapshot();
        let listeners = snapshot.listeners.values().map(|listener| {
            let address = std::net::SocketAddr::from(([0, 0, 0, 0], listener.port));
            (listener.key.clone(), ListenerState::Bound(vec![address]))
        });
        let report =
            Report { version: snapshot.version, listeners: listeners.collect(), ..Report::default() };
        self.translator.programmed(&report);
    }

    fn status(&self, kind: ResourceKind, name: &str) -> Option<&Status> {
        self.translator.statuses().find(|(key, _)| key.kind == kind && key.name == name).map(|(_, s)| s)
    }

    pub(crate) fn gateway_status(&self, name: &str) -> &GatewayStatus {
        match self.status(ResourceKind::Gateway, name) {
            Some(Status::Gateway(status)) => status,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn listener_status(&self, gateway: &str, name: &str) -> &ListenerStatus {
        self.gateway_status(gateway).listeners.iter().find(|listener| listener.name == name).unwrap()
    }

    pub(crate) fn route_status(&self, name: &str) -> &RouteStatus {
        let kinds = [
            ResourceKind::HttpRoute,
            ResourceKind::GrpcRoute,
            ResourceKind::TlsRoute,
            ResourceKind::TcpRoute,
            ResourceKind::UdpRoute,
        ];
        match kinds.iter().find_map(|kind| self.status(*kind, name)) {
            Some(Status::Route(status)) => status,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn policy_status(&self, name: &str) -> Option<&PolicyStatus> {
        match self.status(ResourceKind::BackendTlsPolicy, name) {
            Some(Status::Policy(status)) => Some(status),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    /// `Type=Status/Reason` of a route at its only parent.
    pub(crate) fn route(&self, name: &str) -> Vec<String> {
        let status = self.route_status(name);
        assert_eq!(status.parents.len(), 1, "{status:?}");
        said(&status.parents[0].conditions)
    }

    /// `Type=Status/Reason` of a policy at its only ancestor.
    pub(crate) fn policy(&self, name: &str) -> Vec<String> {
        let status = self.policy_status(name).unwrap();
        assert_eq!(status.ancestors.len(), 1, "{status:?}");
        said(&status.ancestors[0].conditions)
    }

    /// `Type=Status/Reason` of a Gateway.
    pub(crate) fn gateway(&self, name: &str) -> Vec<String> {
        said(&self.gateway_status(name).conditions)
    }

    /// `Type=Status/Reason` of a listener.
    pub(crate) fn listener(&self, gateway: &str, name: &str) -> Vec<String> {
        said(&self.listener_status(gateway, name).conditions)
    }

    /// The backend of a port of a Service of `default`, by way of `gw`.
    pub(crate) fn backend(&self, service: &str, port: u16) -> Option<&Backend> {
        let key = BackendKey { gateway: name("gw"), endpoints: endpoints_key(service, port) };
        self.translator.snapshot().backends.get(&key).map(|backend| &**backend)
    }

    /// The TLS policy of such a backend.
    pub(crate) fn tls(&self, service: &str, port: u16) -> &UpstreamTlsPolicy {
        match &self.backend(service, port).unwrap().tls {
            BackendTls::Policy(policy) => policy,
            other => panic!("{other:?}"),
        }
    }

    /// Why such a backend is refused.
    pub(crate) fn refusal(&self, service: &str, port: u16) -> &Refusal {
        match &self.backend(service, port).unwrap().tls {
            BackendTls::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    /// The endpoints of a port of a Service of `default`.
    pub(crate) fn endpoints(&self, service: &str, port: u16) -> Vec<String> {
        let set = &self.translator.snapshot().endpoints[&endpoints_key(service, port)];
        set.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect()
    }

    /// The rules of a route of `default`.
    pub(crate) fn rules(&self, kind: RouteKind, route: &str) -> Vec<&HttpRule> {
        let rules = self.translator.snapshot().http_rules.values().map(|rule| &**rule);
        rules.filter(|rule| rule.key.route.kind == kind && *rule.key.route.object.name == *route).collect()
    }

    /// The rules of a TLS, TCP or UDP route of `default`.
    pub(crate) fn l4_rules(&self, kind: RouteKind, route: &str) -> Vec<&L4Rule> {
        let rules = self.translator.snapshot().l4_rules.values().map(|rule| &**rule);
        rules.filter(|rule| rule.key.route.kind == kind && *rule.key.route.object.name == *route).collect()
    }

    pub(crate) fn serves(&self, gateway: &str, listener: &str) -> bool {
        let key = ListenerKey { gateway: name(gateway), set: None, name: listener.into() };
        self.translator.snapshot().listeners.contains_key(&key)
    }
}

/// The objects of manifests, none of which may be wrong.
pub(crate) fn objects(manifests: &str) -> Vec<Resource> {
    let outcome = read_file_bytes("test.yaml", manifests.as_bytes());
    assert!(outcome.problems.is_empty(), "{:#?}", outcome.problems);
    outcome.objects.into_iter().map(|(object, _)| object).collect()
}

/// A name in the namespace `default`.
pub(crate) fn name(name: &str) -> ObjectName {
    ObjectName::new("default", name)
}

fn endpoints_key(service: &str, port: u16) -> EndpointsKey {
    EndpointsKey::service(name(service), port)
}

/// Conditions as `Type=Status/Reason`.
pub(crate) fn said(conditions: &[Condition]) -> Vec<String> {
    conditions.iter().map(|c| format!("{}={}/{}", c.type_, c.status, c.reason)).collect()
}

/// The message of a condition.
pub(crate) fn message<'a>(conditions: &'a [Condition], type_: &str) -> &'a str {
    &conditions.iter().find(|condition| condition.type_ == type_).unwrap().message
}
