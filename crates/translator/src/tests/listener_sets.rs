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
