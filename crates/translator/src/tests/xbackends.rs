//! XBackends: where they lead, how the hop is encrypted, and what is said about them.

use lasthop_api_model::{Condition, ResourceKind};
use lasthop_dataplane_api::{
    AppProtocol, Backend, BackendKey, BackendKind, BackendTls, EndpointSet, EndpointsKey, HttpFilter,
    PlaintextReason, RouteKind, Sni, Transport, UpstreamTlsPolicy,
};
use lasthop_tls_verify::Identity;

use crate::{HopTls, Status, fixtures::*};

fn xbackend(rest: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {{name: pay}}
spec:
  type: ExternalHostname
  externalHostname: {{hostname: pay.example.com}}
  port: {{number: 443}}
{rest}
"
    )
}

const SERVER: &str = "  tls: {mode: ServerOnly, validation: {hostname: api.pay.example.com, \
                      caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}";

fn both(secret: &str) -> String {
    SERVER.replace("mode: ServerOnly", &format!("mode: ClientAndServer, clientCertificateRef: {{{secret}}}"))
}

const TO_PAY: &str = "[{group: gateway.networking.x-k8s.io, kind: XBackend, name: pay}]";

fn route() -> String {
    ROUTE.replace("[{name: web, port: 443}]", TO_PAY)
}

fn key() -> EndpointsKey {
    EndpointsKey { kind: BackendKind::XBackend, object: name("pay"), port: 443, transport: Transport::TCP }
}

fn backend(world: &World) -> Option<&Backend> {
    let key = BackendKey { gateway: name("gw"), endpoints: key() };
    world.translator.snapshot().backends.get(&key).map(|backend| &**backend)
}

fn endpoints(world: &World) -> &EndpointSet {
    &world.translator.snapshot().endpoints[&key()]
}

fn tls(world: &World) -> &UpstreamTlsPolicy {
    match &backend(world).unwrap().tls {
        BackendTls::Policy(policy) => policy,
        other => panic!("{other:?}"),
    }
}

fn refused(world: &World) -> &str {
    match &backend(world).unwrap().tls {
        BackendTls::Refused(refusal) => {
            assert_eq!(&*refusal.policy, "XBackend default/pay");
            &refusal.reason
        }
        other => panic!("{other:?}"),
    }
}

/// The conditions at each Gateway.
fn ancestors(world: &World) -> Vec<(String, &[Condition])> {
    let found = world.translator.statuses().find(|(key, _)| key.kind == ResourceKind::XBackend);
    match found.map(|(_, status)| status) {
        Some(Status::Policy(status)) => status
            .ancestors
            .iter()
            .map(|entry| (entry.ancestor_ref.name.clone(), entry.conditions.as_slice()))
            .collect(),
        None => Vec::new(),
        other => panic!("{other:?}"),
    }
}

fn accepted(world: &World) -> String {
    let ancestors = ancestors(world);
    assert_eq!((ancestors.len(), ancestors[0].0.as_str()), (1, "gw"));
    said(ancestors[0].1).join(" ")
}

const GOOD: [&str; 2] = ["Accepted=True/Accepted", "ResolvedRefs=True/ResolvedRefs"];

#[test]
fn a_host_outside_is_reached_in_plaintext_only_where_its_mode_says_so() {
    let mut world = World::of(&[GATEWAY, &route(), &xbackend("")]);
    assert_eq!(world.route("route"), GOOD);
    assert_eq!(backend(&world).unwrap().tls, BackendTls::Plaintext(PlaintextReason::ModeNone));
    assert_eq!(endpoints(&world).hostname.as_deref(), Some("pay.example.com"));
    assert!(endpoints(&world).endpoints.is_empty());
    assert_eq!(accepted(&world), "Accepted=True/Accepted");
    let hops = world.translator.hops();
    assert_eq!(
        (&*hops[0].backend, hops[0].hostname.as_deref()),
        ("XBackend/default/pay:443", Some("pay.example.com"))
    );

    world.delete(ResourceKind::XBackend, "pay");
    assert_eq!(world.route("route")[1], "ResolvedRefs=False/BackendNotFound");
    assert!(backend(&world).is_none() && world.translator.snapshot().endpoints.is_empty());
    assert!(ancestors(&world).is_empty());
    world.apply(&[&xbackend("")]);
    assert_eq!(world.route("route"), GOOD);
    world.delete(ResourceKind::HttpRoute, "route");
    assert!(ancestors(&world).is_empty());
}

#[test]
fn its_validation_is_compiled_as_that_of_a_policy() {
    let ca = Ca::new("ca");
    let mut world = World::of(&[GATEWAY, &route(), &xbackend(SERVER), &ca.config_map("ca")]);
    let settings = tls(&world).settings();
    assert_eq!(settings.peer.identities, [Identity::dns("api.pay.example.com").unwrap()]);
    assert_eq!(settings.sni, Sni::Name("api.pay.example.com".parse().unwrap()));
    assert!(settings.client_certificate.is_none() && settings.alpn.is_empty());
    assert_eq!(&*tls(&world).source, "XBackend default/pay");
    let hops = world.translator.hops();
    let HopTls::Policy(policy) = &hops[0].tls else { panic!("{hops:?}") };
    assert_eq!(policy.authorities, [("ConfigMap default/ca".into(), 1)]);

    // What the CA bundle does to it is what it does to a policy.
    let before = tls(&world).id();
    world.apply(&[&Ca::new("other").config_map("ca")]);
    assert_ne!(tls(&world).id(), before);
    world.delete(ResourceKind::ConfigMap, "ca");
    assert_eq!(refused(&world), "NoValidCACertificate");
    assert_eq!(accepted(&world), "Accepted=False/NoValidCACertificate");
    assert!(message(ancestors(&world)[0].1, "Accepted").contains("spec.tls.validation.caCertificateRefs[0]"));
    assert_eq!(world.route("route"), GOOD, "the reference leads somewhere; the hop is refused");
}

#[test]
fn the_certificate_of_its_own_is_shown_and_never_the_gateways() {
    let ca = Ca::new("ca");
    let gateway = GATEWAY
        .replace("  listeners:", "  tls: {backend: {clientCertificateRef: {name: gateway}}}\n  listeners:");
    let mut world = World::of(&[
        &gateway,
        &route(),
        &xbackend(SERVER),
        &ca.config_map("ca"),
        &ca.secret("default", "gateway", "gateway"),
    ]);
    assert!(tls(&world).settings().client_certificate.is_none(), "mode ServerOnly shows none");
    world.apply(&[&xbackend(&both("name: own"))]);
    assert_eq!(refused(&world), "InvalidClientCertificateRef");
    assert_eq!(accepted(&world), "Accepted=False/InvalidClientCertificateRef");
    world.apply(&[&ca.secret("default", "own", "own")]);
    assert!(tls(&world).settings().client_certificate.is_some());
    let hops = world.translator.hops();
    let HopTls::Policy(policy) = &hops[0].tls else { panic!("{hops:?}") };
    assert_eq!(policy.client_certificate.as_deref(), Some("Secret default/own"));

    world.apply(&[&xbackend(&both("name: own, namespace: other")), &ca.secret("other", "own", "own")]);
    assert_eq!(refused(&world), "RefNotPermitted");
    let grant = |group: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\n\
             metadata: {{name: grant, namespace: other}}\nspec:\n\
             \x20 from: [{{group: {group}, kind: XBackend, namespace: default}}]\n\
             \x20 to: [{{group: '', kind: Secret}}]\n"
        )
    };
    world.apply(&[&grant("gateway.networking.k8s.io")]);
    assert_eq!(refused(&world), "RefNotPermitted", "of the wrong group");
    world.apply(&[&grant("gateway.networking.x-k8s.io")]);
    assert!(tls(&world).settings().client_certificate.is_some());
}

#[test]
fn protocols_decide_the_version_of_http() {
    let ca = Ca::new("ca").config_map("ca");
    let mut world = World::of(&[GATEWAY, &route(), &ca]);
    for (protocol, encrypted, expected) in [
        ("HTTP", true, AppProtocol::Unspecified),
        ("HTTP11", true, AppProtocol::Unspecified),
        ("HTTP2", true, AppProtocol::H2c),
        ("GRPC", true, AppProtocol::H2c),
        ("H2C", false, AppProtocol::H2c),
        ("WSS", true, AppProtocol::WebSocketTls),
        ("MCP", false, AppProtocol::Unspecified),
    ] {
        let tls_text = if encrypted { SERVER } else { "" };
        world.apply(&[&xbackend(&format!("  protocol: {protocol}\n{tls_text}"))]);
        assert_eq!(backend(&world).unwrap().protocol, expected, "{protocol}");
        assert_eq!(matches!(backend(&world).unwrap().tls, BackendTls::Policy(_)), encrypted, "{protocol}");
        assert_eq!(world.route("route"), GOOD);
        if encrypted {
            let offered: Vec<&str> = tls(&world).settings().alpn.iter().map(|id| &**id).collect();
            let own: &[&str] = match protocol {
                "HTTP2" | "GRPC" => &["h2"],
                "HTTP11" | "WSS" => &["http/1.1"],
                _ => &[],
            };
            assert_eq!(offered, own, "{protocol}");
        }
    }
    world.apply(&[&xbackend("  protocol: TCP")]);
    assert_eq!(world.route("route")[1], "ResolvedRefs=False/UnsupportedProtocol");
    assert!(backend(&world).is_none());
}

#[test]
fn pods_are_not_selected_and_it_is_said() {
    let selector = xbackend("").replace(
        "  type: ExternalHostname\n  externalHostname: {hostname: pay.example.com}\n",
        "  type: EndpointSelector\n  endpointSelector: {matchLabels: {app: pay}}\n",
    );
    let world = World::of(&[GATEWAY, &route(), &selector]);
    assert_eq!(accepted(&world), "Accepted=False/UnsupportedValue");
    assert!(message(ancestors(&world)[0].1, "Accepted").contains("Service"));
    assert_eq!(world.route("route")[1], "ResolvedRefs=False/BackendNotFound");
    assert!(backend(&world).is_none());
    // Where nobody uses it there is no status, but a notice.
    let world = World::of(&[GATEWAY, &selector]);
    assert!(ancestors(&world).is_empty());
    assert_eq!(world.last.notices.len(), 1);
}

#[test]
fn names_of_the_gateways_own_machine_are_no_external_hosts() {
    for host in ["localhost", "a.localhost"] {
        let world = World::of(&[GATEWAY, &route(), &xbackend("").replace("pay.example.com", host)]);
        assert_eq!(accepted(&world), "Accepted=False/UnsupportedValue", "{host}");
        assert!(backend(&world).is_none());
    }
}

#[test]
fn values_that_are_not_known_refuse_the_hop() {
    use lasthop_api_model::{Resource, XBackendProtocol, XBackendTlsMode, XBackendType};
    let ca = Ca::new("ca").config_map("ca");
    let good = || match objects(&xbackend(SERVER)).remove(0) {
        Resource::XBackend(backend) => std::sync::Arc::unwrap_or_clone(backend),
        other => panic!("{other:?}"),
    };
    let put = |change: fn(&mut lasthop_api_model::XBackend)| {
        let mut world = World::of(&[GATEWAY, &route(), &ca]);
        let mut changed = good();
        change(&mut changed);
        world.put(Resource::XBackend(changed.into()));
        assert_eq!(accepted(&world), "Accepted=False/UnsupportedValue");
        world
    };
    let world = put(|backend| backend.spec.protocol = Some(XBackendProtocol::Other("QUIC".to_owned())));
    assert_eq!(refused(&world), "UnsupportedValue");
    let world = put(|backend| backend.spec.tls.mode = XBackendTlsMode::Other("Maybe".to_owned()));
    assert_eq!(refused(&world), "UnsupportedValue");
    let world = put(|backend| backend.spec.tls.mode = XBackendTlsMode::None);
    assert_eq!(refused(&world), "UnsupportedValue", "validation without TLS is a contradiction");
    let world = put(|backend| backend.spec.r#type = XBackendType::Other("Moon".to_owned()));
    assert!(backend(&world).is_none());
}

#[test]
fn all_kinds_of_routes_and_mirrors_may_lead_there() {
    let tcp = GATEWAY.replace(
        "  - {name: http,",
        "  - {name: tcp, port: 9000, protocol: TCP}\n  - {name: udp, port: 9000, protocol: UDP}\n  - {name: http,",
    );
    let stream = |kind: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: route}}\nspec:\n  \
             parentRefs: [{{name: gw}}]\n  rules: [{{backendRefs: {TO_PAY}}}]\n"
        )
    };
    for kind in ["TCPRoute", "GRPCRoute"] {
        let world = World::of(&[&tcp, &stream(kind), &xbackend("")]);
        assert_eq!(world.route("route"), GOOD, "{kind}");
        assert!(backend(&world).is_some());
    }
    let world = World::of(&[&tcp, &stream("UDPRoute"), &xbackend("")]);
    assert_eq!(world.route("route")[1], "ResolvedRefs=False/UnsupportedProtocol");

    let mirror = ROUTE.replace(
        "  - backendRefs",
        "  - filters: [{type: RequestMirror, requestMirror: {backendRef: \
         {group: gateway.networking.x-k8s.io, kind: XBackend, name: pay}}}]\n    backendRefs",
    );
    let world = World::of(&[GATEWAY, SERVICE, &mirror, &xbackend("")]);
    assert_eq!(world.route("route"), GOOD);
    assert!(matches!(world.rules(RouteKind::HTTPRoute, "route")[0].filters[0], HttpFilter::Mirror(_)));
    assert!(backend(&world).is_some());
}

#[test]
fn one_of_another_namespace_needs_a_grant() {
    let far = xbackend("").replace("{name: pay}", "{name: pay, namespace: other}");
    let to_far = route().replace("name: pay}", "name: pay, namespace: other}");
    let mut world = World::of(&[GATEWAY, &to_far, &far]);
    assert_eq!(world.route("route")[1], "ResolvedRefs=False/RefNotPermitted");
    world.apply(&["---\napiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\n\
                   metadata: {name: grant, namespace: other}\nspec:\n  \
                   from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]\n  \
                   to: [{group: gateway.networking.x-k8s.io, kind: XBackend}]\n"]);
    assert_eq!(world.route("route"), GOOD);
}

#[test]
fn a_policy_does_not_target_it() {
    let ca = Ca::new("ca").config_map("ca");
    let policy = POLICY.replace("{group: '', kind: Service, name: web}", &TO_PAY[1..TO_PAY.len() - 1]);
    let world = World::of(&[GATEWAY, &route(), &xbackend(""), &policy, &ca]);
    assert!(world.policy_status("policy").is_none());
    assert!(world.last.notices.iter().any(|notice| notice.message.contains("XBackend cannot be targeted")));
}
