//! Gateways: class, addresses, client certificate, what is asked of clients.

use lasthop_api_model::ResourceKind;
use lasthop_dataplane_api::{BackendTls, ClientValidationMode, ListenerKey, ListenerState, Report};

use crate::{Options, fixtures::*};

fn class(controller: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: lasthop}}\n\
         spec: {{controllerName: {controller}}}\n"
    )
}

fn with(spec: &str) -> String {
    GATEWAY.replace("  gatewayClassName: lasthop\n", &format!("  gatewayClassName: lasthop\n{spec}\n"))
}

fn grant(from: &str, to: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\n\
         metadata: {{name: grant, namespace: other}}\nspec:\n\
         \x20 from: [{{group: gateway.networking.k8s.io, kind: {from}, namespace: default}}]\n\
         \x20 to: [{{group: '', kind: {to}}}]\n"
    )
}

#[test]
fn only_gateways_of_our_classes_are_ours() {
    let mut world = World::with(Options::default());
    world.apply(&[GATEWAY]);
    assert!(!world.serves("gw", "http"), "no class, and nobody said that all are ours");
    world.apply(&[&class("example.com/other")]);
    assert!(!world.serves("gw", "http"));
    assert_eq!(world.translator.statuses().count(), 0);
    let ours = class("lasthop.dev/gateway").replace("name: lasthop}", "name: lasthop, uid: x}");
    world.delete(ResourceKind::GatewayClass, "lasthop");
    world.apply(&[&ours]);
    assert!(world.serves("gw", "http"));
    assert_eq!(world.translator.statuses().count(), 2);
}

#[test]
fn the_first_class_ends_the_time_when_all_gateways_are_ours() {
    let mut world = World::of(&[GATEWAY, ROUTE, SERVICE]);
    assert!(world.serves("gw", "http"));
    world.apply(&[&class("example.com/other")]);
    assert!(!world.serves("gw", "http"));
    assert!(world.translator.snapshot().http_rules.is_empty());
    world.delete(ResourceKind::GatewayClass, "lasthop");
    assert!(world.serves("gw", "http"));
}

#[test]
fn parameters_and_unknown_addresses_are_refused() {
    let parameters = "  infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: x}}";
    for (spec, reason) in [
        (parameters, "InvalidParameters"),
        ("  addresses: [{type: NamedAddress, value: x}]", "UnsupportedAddress"),
        ("  addresses: [{type: Hostname, value: x.example}]", "UnsupportedAddress"),
        ("  addresses: [{value: 10.1.1.1, routability: Cluster}]", "UnsupportedAddress"),
    ] {
        let world = World::of(&[&with(spec), ROUTE, SERVICE]);
        assert_eq!(world.gateway("gw")[0], format!("Accepted=False/{reason}"));
        assert_eq!(world.gateway("gw")[1], "Programmed=False/Invalid");
        assert!(!world.serves("gw", "http"));
        assert!(world.translator.snapshot().http_rules.is_empty());
    }
}

#[test]
fn requested_addresses_are_bound_and_reported() {
    let mut world = World::of(&[&with("  addresses: [{value: 10.1.1.1}, {type: IPAddress}]")]);
    let listener = world.translator.snapshot().listeners.values().next().unwrap();
    assert_eq!(listener.addresses, ["10.1.1.1".parse::<std::net::IpAddr>().unwrap()]);
    let key = listener.key.clone();
    let report = |state| Report { version: 1, listeners: vec![(key.clone(), state)], ..Report::default() };
    world.translator.programmed(&report(ListenerState::Failed {
        reason: "AddressNotUsable".into(),
        message: "no such address".into(),
    }));
    assert_eq!(world.gateway("gw")[..2], ["Accepted=True/Accepted", "Programmed=False/AddressNotUsable"]);
    world.translator.programmed(&report(ListenerState::Bound(vec![([10, 1, 1, 1], 80).into()])));
    assert_eq!(world.gateway("gw")[1], "Programmed=True/Programmed");
    assert_eq!(world.gateway_status("gw").addresses[0].value, "10.1.1.1");
}

#[test]
fn a_port_in_use_is_that_listeners_condition() {
    let mut world = World::of(&[GATEWAY]);
    let key = ListenerKey { gateway: name("gw"), set: None, name: "http".into() };
    let state =
        ListenerState::Failed { reason: "PortUnavailable".into(), message: "port 80 is in use".into() };
    world.translator.programmed(&Report { version: 1, listeners: vec![(key, state)], ..Report::default() });
    let said = world.listener("gw", "http");
    assert_eq!(said[..2], ["Accepted=False/PortUnavailable", "Programmed=False/PortUnavailable"]);
    assert_eq!(message(&world.listener_status("gw", "http").conditions, "Programmed"), "port 80 is in use");
    assert_eq!(world.gateway("gw")[1], "Programmed=False/Invalid");
}

#[test]
fn the_client_certificate_is_shown_to_tls_backends() {
    let ca = Ca::new("ca");
    let gateway = with("  tls: {backend: {clientCertificateRef: {name: client}}}");
    let mut world = World::of(&[&gateway, ROUTE, SERVICE, POLICY, &ca.config_map("ca")]);

    // Missing: the Gateway serves, its TLS backends do not.
    assert_eq!(
        world.gateway("gw"),
        [
            "Accepted=True/Accepted",
            "Programmed=Unknown/Pending",
            "ResolvedRefs=False/InvalidClientCertificateRef"
        ]
    );
    assert_eq!(&*world.refusal("web", 443).reason, "InvalidClientCertificateRef");

    world.apply(&[&ca.secret("default", "client", "client")]);
    assert_eq!(world.gateway("gw")[2], "ResolvedRefs=True/ResolvedRefs");
    assert!(world.tls("web", 443).settings().client_certificate.is_some());
    let first = world.tls("web", 443).id();
    world.apply(&[&ca.secret("default", "client", "client")]);
    assert_ne!(world.tls("web", 443).id(), first, "another certificate is another policy");
}

#[test]
fn a_forbidden_client_certificate_is_forbidden_whether_it_exists_or_not() {
    let ca = Ca::new("ca");
    let gateway = with("  tls: {backend: {clientCertificateRef: {name: client, namespace: other}}}");
    let mut world = World::of(&[&gateway, ROUTE, SERVICE, POLICY, &ca.config_map("ca")]);
    let forbidden = "ResolvedRefs=False/RefNotPermitted";
    assert_eq!(world.gateway("gw")[2], forbidden);
    world.apply(&[&ca.secret("other", "client", "client")]);
    assert_eq!(world.gateway("gw")[2], forbidden);
    assert_eq!(&*world.refusal("web", 443).reason, "RefNotPermitted");
    world.apply(&[&grant("Gateway", "Secret")]);
    assert!(matches!(world.backend("web", 443).unwrap().tls, BackendTls::Policy(_)));
    world.apply(&[&grant("HTTPRoute", "Secret")]);
    assert_eq!(world.gateway("gw")[2], forbidden);
}

const HTTPS: &str = "
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: tls}]}}
  - {name: https2, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: tls}]}}
";

fn frontend(default: &str, per_port: &str) -> String {
    let tls = format!("  tls: {{frontend: {{default: {default}, perPort: {per_port}}}}}");
    format!("{}{HTTPS}", with(&tls).trim_end())
}

fn trust(name: &str, mode: &str) -> String {
    format!(
        "{{validation: {{mode: {mode}, caCertificateRefs: [{{group: '', kind: ConfigMap, name: {name}}}]}}}}"
    )
}

#[test]
fn clients_are_verified_by_default_or_by_port() {
    let ca = Ca::new("ca");
    let mut world = World::of(&[&ca.secret("default", "tls", "a.example"), &ca.config_map("ca")]);
    let per_port = format!("[{{port: 8443, tls: {}}}]", trust("ca", "AllowInsecureFallback"));
    world.apply(&[&frontend(&trust("ca", "AllowValidOnly"), &per_port)]);
    let mode = |world: &World, port: u16| {
        let listeners = &world.translator.snapshot().listeners;
        let listener = listeners.values().find(|listener| listener.port == port).unwrap();
        listener.tls.as_ref().and_then(|tls| Some(tls.client_validation.as_ref()?.mode))
    };
    assert_eq!(mode(&world, 443), Some(ClientValidationMode::AllowValidOnly));
    assert_eq!(mode(&world, 8443), Some(ClientValidationMode::AllowInsecureFallback));
    assert_eq!(mode(&world, 80), None);
    let insecure = "InsecureFrontendValidationMode=True/ConfigurationChanged".to_owned();
    assert!(world.gateway("gw").contains(&insecure));

    world.apply(&[&frontend(&trust("ca", "AllowValidOnly"), "[{port: 8443, tls: {}}]")]);
    assert_eq!(mode(&world, 8443), None, "an entry without validation switches it off");
    assert!(!world.gateway("gw").contains(&insecure));
}

#[test]
fn without_a_valid_ca_for_clients_the_https_listeners_do_not_serve() {
    let ca = Ca::new("ca");
    let tls = ca.secret("default", "tls", "a.example");
    let mut world = World::of(&[&tls, &frontend(&trust("missing", "AllowValidOnly"), "[]")]);
    let said = world.listener("gw", "https");
    assert_eq!(
        said[..3],
        [
            "Accepted=False/NoValidCACertificate",
            "Programmed=False/Invalid",
            "ResolvedRefs=False/InvalidCACertificateRef"
        ]
    );
    assert!(world.serves("gw", "http") && !world.serves("gw", "https"));
    world.bind_all();
    assert_eq!(world.gateway("gw")[..2], ["Accepted=True/ListenersNotValid", "Programmed=True/Programmed"]);

    let kind = trust("ca", "AllowValidOnly").replace("ConfigMap", "Service");
    world.apply(&[&frontend(&kind, "[]")]);
    assert_eq!(world.listener("gw", "https")[2], "ResolvedRefs=False/InvalidCACertificateKind");

    let far = trust("ca", "AllowValidOnly").replace("name: ca", "name: ca, namespace: other");
    world.apply(&[&frontend(&far, "[]")]);
    assert_eq!(world.listener("gw", "https")[2], "ResolvedRefs=False/RefNotPermitted");
    world.apply(&[&grant("Gateway", "ConfigMap")]);
    assert_eq!(world.listener("gw", "https")[2], "ResolvedRefs=False/InvalidCACertificateRef");
    let there = ca.config_map("ca").replace("{name: ca}", "{name: ca, namespace: other}");
    world.apply(&[&there]);
    assert!(world.serves("gw", "https"));
}
