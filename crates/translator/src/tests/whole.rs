//! The main road: a Gateway, a route, a Service, a policy.

use lasthop_api_model::ResourceKind;
use lasthop_dataplane_api::{BackendTls, HttpMatch, PathMatch, PlaintextReason, RouteKind, Sni};
use lasthop_tls_verify::Identity;

use crate::{HopTls, fixtures::*};

#[test]
fn a_route_to_a_service_under_a_policy_is_verified_tls() {
    let ca = Ca::new("ca");
    let world = World::of(&[GATEWAY, SERVICE, ROUTE, POLICY, &ca.config_map("ca")]);

    let tls = world.tls("web", 443);
    assert_eq!(tls.settings().peer.identities, [Identity::dns("web.internal").unwrap()]);
    assert_eq!(tls.settings().sni, Sni::Name("web.internal".parse().unwrap()));
    assert_eq!(tls.settings().peer.anchors.certificates().len(), 1);
    assert_eq!(world.endpoints("web", 443), ["10.0.0.1:8443", "10.0.0.2:8443"]);

    let rules = world.rules(RouteKind::HTTPRoute, "route");
    assert_eq!(rules.len(), 1);
    let all = HttpMatch { path: Some(PathMatch::Prefix("/".into())), ..HttpMatch::default() };
    assert_eq!(rules[0].matches, [all]);
    assert_eq!(rules[0].attachments[0].hosts[0].own.to_string(), "shop.example.com");

    assert_eq!(world.route("route"), ["Accepted=True/Accepted", "ResolvedRefs=True/ResolvedRefs"]);
    assert_eq!(world.policy("policy"), ["Accepted=True/Accepted", "ResolvedRefs=True/ResolvedRefs"]);
    assert_eq!(world.policy_status("policy").unwrap().ancestors[0].ancestor_ref.name, "gw");
    assert_eq!(
        world.gateway("gw"),
        ["Accepted=True/Accepted", "Programmed=Unknown/Pending", "ResolvedRefs=True/ResolvedRefs"]
    );
    assert_eq!(world.listener_status("gw", "http").attached_routes, 1);

    let hops = world.translator.hops();
    assert_eq!(hops.len(), 1);
    assert_eq!((&*hops[0].backend, hops[0].endpoints), ("default/web:443", 2));
    let HopTls::Policy(policy) = &hops[0].tls else { panic!("{:?}", hops[0]) };
    assert_eq!(policy.authorities, [("ConfigMap default/ca".into(), 1)]);
}

#[test]
fn without_a_policy_the_hop_is_plaintext_and_says_so() {
    let world = World::of(&[GATEWAY, SERVICE, ROUTE]);
    let backend = world.backend("web", 443).unwrap();
    assert_eq!(backend.tls, BackendTls::Plaintext(PlaintextReason::NoPolicy));
}

#[test]
fn programmed_is_said_after_the_dataplane_said_so() {
    let mut world = World::of(&[GATEWAY, SERVICE, ROUTE]);
    assert!(world.listener("gw", "http").contains(&"Programmed=Unknown/Pending".to_owned()));
    world.bind_all();
    assert!(world.listener("gw", "http").contains(&"Programmed=True/Programmed".to_owned()));
    assert!(world.gateway("gw").contains(&"Programmed=True/Programmed".to_owned()));
}

#[test]
fn objects_may_come_in_any_order_and_go_again() {
    let ca = Ca::new("ca").config_map("ca");
    let all = [GATEWAY, SERVICE, ROUTE, POLICY, &ca];
    let forwards = World::of(&all);
    let mut backwards = World::new();
    for manifest in all.iter().rev() {
        backwards.apply(&[manifest]);
    }
    let (a, b) = (forwards.translator.snapshot(), backwards.translator.snapshot());
    assert_eq!((&a.listeners, &a.http_rules), (&b.listeners, &b.http_rules));
    assert_eq!((&a.backends, &a.endpoints), (&b.backends, &b.endpoints));

    // A policy whose CA is gone is refused, not forgotten.
    backwards.delete(ResourceKind::ConfigMap, "ca");
    assert_eq!(&*backwards.refusal("web", 443).reason, "InvalidCACertificateRef");
    assert_eq!(
        backwards.policy("policy"),
        ["Accepted=False/NoValidCACertificate", "ResolvedRefs=False/InvalidCACertificateRef"]
    );
    backwards.delete(ResourceKind::HttpRoute, "route");
    assert!(backwards.translator.snapshot().http_rules.is_empty());
    assert!(backwards.translator.snapshot().backends.is_empty());
    assert!(backwards.translator.snapshot().endpoints.is_empty());
    assert_eq!(backwards.listener_status("gw", "http").attached_routes, 0);
    assert!(backwards.policy_status("policy").is_none());
}

#[test]
fn one_change_updates_one_thing() {
    let ca = Ca::new("ca").config_map("ca");
    let mut world = World::of(&[GATEWAY, SERVICE, ROUTE, POLICY, &ca]);
    let other = ROUTE.replace("name: route", "name: other");
    let update = world.apply(&[&other]).update.clone();
    assert_eq!((update.http_rules.0.len(), update.listeners.0.len()), (1, 0));
    assert_eq!((update.backends.0.len(), update.endpoints.0.len()), (0, 0));

    let slice = SERVICE.replace("10.0.0.2", "10.0.0.3");
    let update = world.apply(&[&slice]).update.clone();
    assert_eq!(update.endpoints.0.len(), 1);
    assert_eq!((update.http_rules.0.len(), update.backends.0.len()), (0, 0));

    let update = world.apply(&[&Ca::new("other").config_map("ca")]).update.clone();
    assert_eq!((update.backends.0.len(), update.http_rules.0.len(), update.endpoints.0.len()), (1, 0, 0));
    let version = update.version;
    let unrelated = world.apply(&[&Ca::new("x").config_map("unrelated")]);
    assert!(unrelated.update.is_empty() && unrelated.statuses.is_empty());
    assert_eq!(unrelated.update.version, version);
}
