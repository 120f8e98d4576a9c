//! Where routes attach, and where their references lead.

use lasthop_api_model::ResourceKind;
use lasthop_dataplane_api::{BackendTarget, RouteKind};

use crate::fixtures::*;

fn route_to(parent: &str) -> String {
    ROUTE.replace("{name: gw}", parent)
}

fn backend(reference: &str) -> String {
    ROUTE.replace("{name: web, port: 443}", reference)
}

#[test]
fn the_reason_names_the_hurdle() {
    let gateway = GATEWAY
        .replace("from: All", "from: Same")
        .replace("protocol: HTTP,", "protocol: HTTP, hostname: '*.example.com',");
    let mut world = World::of(&[&gateway, SERVICE]);
    for (parent, hosts, accepted) in [
        ("{name: gw}", "shop.example.com", "True/Accepted"),
        ("{name: gw, sectionName: http, port: 80}", "shop.example.com", "True/Accepted"),
        ("{name: gw, sectionName: nothing}", "shop.example.com", "False/NoMatchingParent"),
        ("{name: gw, port: 8080}", "shop.example.com", "False/NoMatchingParent"),
        ("{name: gw, sectionName: http, port: 81}", "shop.example.com", "False/NoMatchingParent"),
        ("{name: gw}", "example.org", "False/NoMatchingListenerHostname"),
        ("{name: gw}", "example.com", "False/NoMatchingListenerHostname"),
    ] {
        world.apply(&[&route_to(parent).replace("shop.example.com", hosts)]);
        assert_eq!(world.route("route")[0], format!("Accepted={accepted}"), "{parent} {hosts}");
        let attached = i32::from(accepted.starts_with("True"));
        assert_eq!(world.listener_status("gw", "http").attached_routes, attached);
        assert_eq!(world.rules(RouteKind::HTTPRoute, "route").len() as i32, attached);
    }
    world.delete(ResourceKind::HttpRoute, "route");
    let far =
        route_to("{name: gw, namespace: default}").replace("{name: route}", "{name: route, namespace: far}");
    world.apply(&[&far]);
    assert_eq!(world.route("route")[0], "Accepted=False/NotAllowedByListeners");
}

#[test]
fn hosts_are_the_routes_own_as_far_as_the_listener_takes_them() {
    let gateway = GATEWAY.replace("protocol: HTTP,", "protocol: HTTP, hostname: '*.a.example.com',");
    let hosts = "'*.example.com', b.a.example.com, c.example.com";
    let world = World::of(&[&gateway, SERVICE, &ROUTE.replace("shop.example.com", hosts)]);
    let rules = world.rules(RouteKind::HTTPRoute, "route");
    let found: Vec<String> =
        rules[0].attachments[0].hosts.iter().map(|h| format!("{} {}", h.own, h.effective)).collect();
    assert_eq!(found, ["*.example.com *.a.example.com", "b.a.example.com b.a.example.com"]);
}

#[test]
fn a_selector_follows_the_labels_of_namespaces() {
    let gateway = GATEWAY.replace("from: All", "from: Selector, selector: {matchLabels: {team: shop}}");
    let mut world = World::of(&[&gateway, SERVICE, ROUTE]);
    assert_eq!(world.route("route")[0], "Accepted=False/NotAllowedByListeners");
    let namespace = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {team: shop}}\n";
    world.apply(&[namespace]);
    assert_eq!(world.route("route")[0], "Accepted=True/Accepted");
    world.apply(&[&namespace.replace("team: shop", "team: bank")]);
    assert_eq!(world.route("route")[0], "Accepted=False/NotAllowedByListeners");
    let by_name = "kubernetes.io/metadata.name: default";
    world.delete(ResourceKind::Namespace, "default");
    world.apply(&[&gateway.replace("team: shop", by_name)]);
    assert_eq!(world.route("route")[0], "Accepted=True/Accepted", "the name needs no object");
}

#[test]
fn a_gateway_that_does_not_exist_is_told_where_all_are_ours() {
    let mut world = World::of(&[&route_to("{name: nowhere}"), SERVICE]);
    assert_eq!(world.route("route")[0], "Accepted=False/NoMatchingParent");
    world.apply(&[&GATEWAY.replace("{name: gw}", "{name: nowhere}")]);
    assert_eq!(world.route("route")[0], "Accepted=True/Accepted");
}

#[test]
fn several_gateways_reach_the_same_service_each_in_its_own_way() {
    let second = GATEWAY.replace("{name: gw}", "{name: gw2}").replace("port: 80", "port: 81");
    let world =
        World::of(&[GATEWAY, &second, SERVICE, &ROUTE.replace("[{name: gw}]", "[{name: gw2}, {name: gw}]")]);
    let rules = world.rules(RouteKind::HTTPRoute, "route");
    assert_eq!(rules.len(), 2);
    for rule in rules {
        let gateway = &rule.attachments[0].listener.gateway;
        assert!(rule.attachments.iter().all(|attachment| attachment.listener.gateway == *gateway));
        let BackendTarget::Backend(key) = &rule.backends[0].target else { panic!("{rule:?}") };
        assert_eq!(key.gateway, *gateway);
    }
    assert_eq!(world.route_status("route").parents.len(), 2);
    assert_eq!(world.translator.snapshot().endpoints.len(), 1);
}

#[test]
fn two_references_to_one_listener_attach_once() {
    let refs = "[{name: gw, port: 80}, {name: gw, sectionName: http}]";
    // The experimental rules let port and sectionName stand side by side; the model does not forbid it.
    let mut route = objects(&ROUTE.replace("[{name: gw}]", "[{name: gw, sectionName: http}]"));
    let lasthop_api_model::Resource::HttpRoute(object) = &mut route[0] else { panic!("{refs}") };
    let object = std::sync::Arc::make_mut(object);
    let mut second = object.spec.parent_refs[0].clone();
    second.section_name = None;
    second.port = Some(80);
    object.spec.parent_refs.push(second);
    let mut world = World::of(&[GATEWAY, SERVICE]);
    world.put(route.remove(0));
    assert_eq!(world.rules(RouteKind::HTTPRoute, "route")[0].attachments.len(), 1);
    assert_eq!(world.listener_status("gw", "http").attached_routes, 1);
    assert_eq!(world.route_status("route").parents.len(), 2);
}

#[test]
fn references_that_lead_nowhere_keep_their_share() {
    let mut world = World::of(&[GATEWAY, SERVICE]);
    for (reference, reason) in [
        ("{name: missing, port: 1, weight: 7}", "BackendNotFound"),
        ("{name: web, port: 444, weight: 7}", "BackendNotFound"),
        ("{name: web, kind: Nonsense, port: 1, weight: 7}", "InvalidKind"),
        ("{name: web, group: example.com, kind: Service, port: 1, weight: 7}", "InvalidKind"),
        ("{name: web, namespace: far, port: 443, weight: 7}", "RefNotPermitted"),
        ("{name: web, namespace: far, kind: Nonsense, port: 443, weight: 7}", "RefNotPermitted"),
    ] {
        world.apply(&[&backend(reference)]);
        let resolved = format!("ResolvedRefs=False/{reason}");
        assert_eq!(world.route("route"), ["Accepted=True/Accepted".to_owned(), resolved], "{reference}");
        let rules = world.rules(RouteKind::HTTPRoute, "route");
        assert_eq!(rules[0].backends[0].weight, 7);
        let BackendTarget::Invalid(invalid) = &rules[0].backends[0].target else { panic!("{reference}") };
        assert_eq!(&*invalid.reason, reason);
    }
}

#[test]
fn a_grant_opens_and_closes_a_reference() {
    let mut world = World::of(&[GATEWAY, &backend("{name: web, namespace: far, port: 443}")]);
    world.apply(&[&SERVICE.replace("{name: web}", "{name: web, namespace: far}")]);
    let resolved = |world: &World| world.route("route")[1].clone();
    assert_eq!(resolved(&world), "ResolvedRefs=False/RefNotPermitted");
    let grant = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: grant, namespace: far}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]
  to: [{group: '', kind: Service, name: web}]
";
    world.apply(&[grant]);
    assert_eq!(resolved(&world), "ResolvedRefs=True/ResolvedRefs");
    for wrong in [
        grant.replace("kind: HTTPRoute", "kind: GRPCRoute"),
        grant.replace("namespace: default", "namespace: another"),
        grant.replace("kind: Service", "kind: Secret"),
        grant.replace("name: web}]", "name: another}]"),
    ] {
        world.apply(&[&wrong]);
        assert_eq!(resolved(&world), "ResolvedRefs=False/RefNotPermitted", "{wrong}");
    }
}

#[test]
fn external_names_are_refused() {
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\n\
                   spec: {type: ExternalName, externalName: example.com, ports: [{port: 443}]}\n";
    let world = World::of(&[GATEWAY, ROUTE, service]);
    assert_eq!(world.route("route")[1], "ResolvedRefs=False/InvalidKind");
    let parents = &world.route_status("route").parents;
    assert!(message(&parents[0].conditions, "ResolvedRefs").contains("ExternalName"));
    assert!(world.translator.snapshot().backends.is_empty());
}

#[test]
fn websockets_over_tls_need_a_policy() {
    let service = SERVICE.replace("port: 443, ", "port: 443, appProtocol: kubernetes.io/wss, ");
    let mut world = World::of(&[GATEWAY, ROUTE, &service]);
    assert_eq!(world.route("route")[1], "ResolvedRefs=False/UnsupportedProtocol");
    world.apply(&[POLICY, &Ca::new("ca").config_map("ca")]);
    assert_eq!(world.route("route")[1], "ResolvedRefs=True/ResolvedRefs");
    world.tls("web", 443);
    let grpc = ROUTE.replace("HTTPRoute", "GRPCRoute").replace("name: route", "name: calls");
    world.apply(&[&grpc]);
    assert_eq!(world.route("calls")[1], "ResolvedRefs=False/UnsupportedProtocol");
}

#[test]
fn routes_of_other_kinds_are_told_that_no_listener_takes_them() {
    let tcp =
        ROUTE.replace("kind: HTTPRoute", "kind: TCPRoute").replace("  hostnames: [shop.example.com]\n", "");
    let world = World::of(&[GATEWAY, SERVICE, &tcp]);
    assert_eq!(
        world.route("route"),
        ["Accepted=False/NotAllowedByListeners", "ResolvedRefs=True/ResolvedRefs"]
    );
}

#[test]
fn a_route_may_ask_for_default_gateways() {
    let default = GATEWAY.replace("  listeners:", "  defaultScope: All\n  listeners:");
    let asking = ROUTE.replace("  parentRefs: [{name: gw}]", "  useDefaultGateways: All");
    let mut world = World::of(&[GATEWAY, SERVICE, &asking]);
    assert!(world.rules(RouteKind::HTTPRoute, "route").is_empty());
    world.apply(&[&default]);
    assert_eq!(world.route("route")[0], "Accepted=True/Accepted");
    assert_eq!(world.rules(RouteKind::HTTPRoute, "route").len(), 1);
    let both = ROUTE.replace("  parentRefs:", "  useDefaultGateways: All\n  parentRefs:");
    world.apply(&[&both]);
    assert_eq!(world.route_status("route").parents.len(), 1, "a Gateway that is named counts once");
    world.apply(&[&asking.replace("useDefaultGateways: All", "useDefaultGateways: None")]);
    assert!(world.rules(RouteKind::HTTPRoute, "route").is_empty());
    world.apply(&[&asking, GATEWAY]);
    assert!(world.rules(RouteKind::HTTPRoute, "route").is_empty());
}
