//! ListenerSets: who may join, and who goes first.

use crate::{Status, fixtures::*};

const SET: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: set}
spec:
  parentRef: {name: gw}
  listeners:
  - {name: own, port: 81, protocol: HTTP, hostname: own.example}
  - {name: http, port: 80, protocol: HTTP}
";

fn gateway(from: &str) -> String {
    GATEWAY.replace(
        "  listeners:",
        &format!("  allowedListeners: {{namespaces: {{from: {from}}}}}\n  listeners:"),
    )
}

fn set(world: &World, name: &str) -> (Vec<String>, Vec<(String, Vec<String>)>) {
    let found = world.translator.statuses().find(|(key, _)| key.name == name).map(|(_, status)| status);
    let Some(Status::ListenerSet(status)) = found else { panic!("{found:?}") };
    let listeners = status.listeners.iter().map(|l| (l.name.clone(), said(&l.conditions))).collect();
    (said(&status.conditions), listeners)
}

#[test]
fn a_set_joins_where_the_gateway_lets_it_in() {
    let mut world = World::of(&[GATEWAY, SET]);
    assert_eq!(set(&world, "set").0, ["Accepted=False/NotAllowed", "Programmed=False/NotAllowed"]);
    assert_eq!(world.gateway_status("gw").attached_listener_sets, Some(0));
    assert_eq!(world.translator.snapshot().listeners.len(), 1);

    world.apply(&[&gateway("Same")]);
    let (own, listeners) = set(&world, "set");
    assert_eq!(own[0], "Accepted=True/ListenersNotValid");
    assert_eq!(listeners[0].1[0], "Accepted=True/Accepted");
    assert_eq!(listeners[1].1[0], "Accepted=False/HostnameConflict", "the Gateway's own goes first");
    assert!(world.serves("gw", "http"));
    assert_eq!(world.gateway_status("gw").attached_listener_sets, Some(1));
    assert_eq!(world.translator.snapshot().listeners.len(), 2);
    world.bind_all();
    assert_eq!(set(&world, "set").0[1], "Programmed=True/Programmed");
}

#[test]
fn of_two_sets_the_older_goes_first() {
    let created = |name: &str, year: u32| {
        let metadata = format!("{{name: {name}, creationTimestamp: '{year}-01-01T00:00:00Z'}}");
        SET.replace("{name: set}", &metadata).replace("  - {name: http, port: 80, protocol: HTTP}\n", "")
    };
    let world = World::of(&[&gateway("Same"), &created("a", 2025), &created("b", 2024)]);
    assert_eq!(set(&world, "b").0[0], "Accepted=True/Accepted");
    let (own, listeners) = set(&world, "a");
    assert_eq!(own, ["Accepted=False/ListenersNotValid", "Programmed=False/ListenersNotValid"]);
    assert!(listeners[0].1.contains(&"Conflicted=True/HostnameConflict".to_owned()));
}

#[test]
fn routes_attach_to_a_set_or_to_the_gateway_but_not_to_one_by_way_of_the_other() {
    let to_set = ROUTE
        .replace("name: gw}", "name: set, kind: ListenerSet}")
        .replace("hostnames: [shop.example.com]", "hostnames: []");
    let mut world = World::of(&[&gateway("Same"), SET, &to_set, SERVICE]);
    assert_eq!(world.route("route")[0], "Accepted=True/Accepted");
    assert_eq!(world.listener_status("gw", "http").attached_routes, 0);
    let rules = world.rules(lasthop_dataplane_api::RouteKind::HTTPRoute, "route");
    let listeners: Vec<String> = rules[0].attachments.iter().map(|a| a.listener.to_string()).collect();
    assert_eq!(listeners, ["default/gw/own (ListenerSet default/set)"]);
    world.apply(&[&ROUTE.replace("name: gw}", "name: gw, sectionName: own}")]);
    assert_eq!(world.route("route")[0], "Accepted=False/NoMatchingParent");
}

/// The sets `name: [listeners]` at `gw`, made in this order.
fn sets(sets: &[(&str, &[&str])]) -> String {
    let mut text = String::new();
    for (year, (name, listeners)) in (2000..).zip(sets) {
        text.push_str(&format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\n\
             metadata: {{name: {name}, creationTimestamp: '{year}-01-01T00:00:00Z'}}\n\
             spec:\n  parentRef: {{name: gw}}\n  listeners:\n"
        ));
        listeners.iter().for_each(|listener| text.push_str(&format!("  - {{{listener}}}\n")));
    }
    text
}

/// The listeners of a set that are accepted, and for the others the reason.
fn verdicts(world: &World, name: &str) -> Vec<String> {
    let of = |conditions: &[String]| conditions[0].split('/').nth(1).unwrap_or_default().to_owned();
    set(world, name)
        .1
        .into_iter()
        .map(|(listener, conditions)| format!("{listener} {}", of(&conditions)))
        .collect()
}

#[test]
fn a_listener_that_loses_to_another_object_takes_no_sibling_with_it() {
    let world = World::of(&[
        &gateway("Same")
            .replace("port: 80, protocol: HTTP,", "port: 80, protocol: HTTP, hostname: gw.example,"),
        &sets(&[
            (
                "one",
                &[
                    "name: a, port: 80, protocol: HTTP, hostname: one.example",
                    "name: b, port: 80, protocol: TCP",
                    "name: c, port: 80, protocol: HTTP, hostname: gw.example",
                ],
            ),
            (
                "two",
                &[
                    "name: d, port: 80, protocol: TCP",
                    "name: e, port: 80, protocol: HTTP, hostname: one.example",
                ],
            ),
            ("three", &["name: f, port: 81, protocol: HTTP", "name: g, port: 81, protocol: TCP"]),
        ]),
    ]);
    assert_eq!(verdicts(&world, "one"), ["a Accepted", "b ProtocolConflict", "c HostnameConflict"]);
    assert_eq!(set(&world, "one").0[0], "Accepted=True/ListenersNotValid");
    assert_eq!(verdicts(&world, "two"), ["d ProtocolConflict", "e HostnameConflict"]);
    assert_eq!(
        set(&world, "two").0,
        ["Accepted=False/ListenersNotValid", "Programmed=False/ListenersNotValid"]
    );
    // Among its own none wins.
    assert_eq!(verdicts(&world, "three"), ["f ProtocolConflict", "g ProtocolConflict"]);
    assert!(world.serves("gw", "http"));
    assert_eq!(world.gateway("gw")[0], "Accepted=True/Accepted", "the Gateway's own are fine");
    assert_eq!(world.gateway_status("gw").attached_listener_sets, Some(1));
}

#[test]
fn listeners_of_all_protocols_join_and_share_ports_by_the_same_rules() {
    let ca = Ca::new("ca").secret("default", "tls", "a.example");
    let world = World::of(&[
        &gateway("Same"),
        &ca,
        &sets(&[
            (
                "one",
                &[
                    "name: pass, port: 443, protocol: TLS, tls: {mode: Passthrough}",
                    "name: https, port: 443, protocol: HTTPS, hostname: a.example, tls: {certificateRefs: [{name: tls}]}",
                    "name: tcp, port: 53, protocol: TCP",
                ],
            ),
            (
                "two",
                &[
                    "name: udp, port: 53, protocol: UDP",
                    "name: tcp, port: 53, protocol: TCP",
                    "name: end, port: 443, protocol: TLS, hostname: b.example, tls: {mode: Terminate, certificateRefs: [{name: tls}]}",
                ],
            ),
        ]),
    ]);
    assert_eq!(verdicts(&world, "one"), ["pass Accepted", "https Accepted", "tcp Accepted"]);
    assert_eq!(verdicts(&world, "two"), ["udp Accepted", "tcp ProtocolConflict", "end Accepted"]);
    assert_eq!(world.translator.snapshot().listeners.len(), 6);
}

#[test]
fn a_set_needs_a_grant_of_its_own_for_certificates_elsewhere() {
    let https = sets(&[(
        "one",
        &["name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: tls, namespace: other}]}"],
    )]);
    let grant = |kind: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\n\
             metadata: {{name: grant, namespace: other}}\nspec:\n\
             \x20 from: [{{group: gateway.networking.k8s.io, kind: {kind}, namespace: default}}]\n\
             \x20 to: [{{group: '', kind: Secret}}]\n"
        )
    };
    let ca = Ca::new("ca").secret("other", "tls", "a.example");
    let mut world = World::of(&[&gateway("Same"), &https, &ca, &grant("Gateway")]);
    assert_eq!(set(&world, "one").1[0].1[2], "ResolvedRefs=False/RefNotPermitted");
    let none = ["Accepted=False/ListenersNotValid", "Programmed=False/ListenersNotValid"];
    assert_eq!(set(&world, "one").0, none, "it is all the set has");
    world.apply(&[&grant("ListenerSet")]);
    assert_eq!(set(&world, "one").1[0].1[2], "ResolvedRefs=True/ResolvedRefs");
    assert_eq!(set(&world, "one").0[0], "Accepted=True/Accepted");
    assert_eq!(world.translator.snapshot().listeners.len(), 2);
}

#[test]
fn a_selector_and_the_set_s_own_namespace_decide_who_joins_and_who_attaches() {
    let selected = gateway("Selector, selector: {matchLabels: {team: shop}}");
    let far = SET
        .replace("{name: set}", "{name: set, namespace: other}")
        .replace("{name: gw}", "{name: gw, namespace: default}");
    let namespace = |team: &str| {
        format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: other, labels: {{team: {team}}}}}\n")
    };
    let mut world = World::of(&[&selected, &far, &namespace("bank")]);
    assert_eq!(set(&world, "set").0[0], "Accepted=False/NotAllowed");
    world.apply(&[&namespace("shop")]);
    assert_eq!(set(&world, "set").1[0].1[0], "Accepted=True/Accepted");

    // `Same` is the set's namespace, not the Gateway's.
    let route = ROUTE
        .replace("name: gw}", "name: set, namespace: other, kind: ListenerSet, sectionName: own}")
        .replace("hostnames: [shop.example.com]", "hostnames: []");
    world.apply(&[&route, SERVICE]);
    assert_eq!(world.route("route")[0], "Accepted=False/NotAllowedByListeners");
    let own = route.replace("{name: route}", "{name: own, namespace: other}");
    world.apply(&[&own]);
    assert_eq!(world.route("own")[0], "Accepted=True/Accepted");
    let Some(Status::ListenerSet(status)) =
        world.translator.statuses().find(|(key, _)| key.name == "set").map(|(_, status)| status)
    else {
        panic!()
    };
    assert_eq!(status.listeners[0].attached_routes, 1);
}

#[test]
fn two_parents_of_one_route_are_answered_apart() {
    let both = ROUTE
        .replace("[{name: gw}]", "[{name: gw}, {name: set, kind: ListenerSet}]")
        .replace("hostnames: [shop.example.com]", "hostnames: [own.example]");
    let mut world = World::of(&[&gateway("Same"), SET, SERVICE, &both]);
    let accepted = |world: &World| -> Vec<String> {
        let status = world.route_status("route");
        status
            .parents
            .iter()
            .map(|parent| format!("{} {}", parent.parent_ref.kind, said(&parent.conditions)[0]))
            .collect()
    };
    assert_eq!(accepted(&world), ["Gateway Accepted=True/Accepted", "ListenerSet Accepted=True/Accepted"]);
    // One rule, with both for its listeners.
    let rules = world.rules(lasthop_dataplane_api::RouteKind::HTTPRoute, "route");
    assert_eq!((rules.len(), rules[0].attachments.len()), (1, 2));
    world.apply(&[&SET
        .replace("own.example", "other.example")
        .replace("  - {name: http, port: 80, protocol: HTTP}\n", "")]);
    assert_eq!(
        accepted(&world),
        ["Gateway Accepted=True/Accepted", "ListenerSet Accepted=False/NoMatchingListenerHostname"]
    );
}

#[test]
fn a_set_without_a_gateway_is_noticed() {
    let mut world = World::of(&[SET]);
    assert_eq!(world.last.notices.len(), 1);
    assert_eq!(world.last.notices[0].field, "spec.parentRef");
    world.apply(&[&gateway("Same")]);
    assert!(world.last.notices.is_empty());
    assert_eq!(set(&world, "set").1[0].1[0], "Accepted=True/Accepted");
}

#[test]
fn a_set_of_a_gateway_that_is_not_accepted_says_so() {
    let refused = gateway("Same")
        .replace("  listeners:", "  addresses: [{type: Hostname, value: a.example}]\n  listeners:");
    let world = World::of(&[&refused, SET]);
    assert_eq!(set(&world, "set").0[0], "Accepted=False/ParentNotAccepted");
    assert!(world.translator.snapshot().listeners.is_empty());
}
