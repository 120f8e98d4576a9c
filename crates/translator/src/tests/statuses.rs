//! Statuses: what others wrote survives, and nothing is written twice.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use lasthop_api_model::{
    Condition, GatewayStatus, ListenerStatus, ParentReference, Resource, RouteParentStatus, RouteStatus, Time,
};

use crate::{Status, fixtures::*};

fn condition(type_: &str, status: &str) -> Condition {
    Condition {
        last_transition_time: Time(Timestamp::from_second(1_000).unwrap()),
        message: "theirs".to_owned(),
        observed_generation: Some(1),
        reason: "Theirs".to_owned(),
        status: status.to_owned(),
        type_: type_.to_owned(),
    }
}

#[test]
fn foreign_conditions_of_gateways_and_listeners_survive() {
    let mut object = objects(GATEWAY).remove(0);
    let Resource::Gateway(gateway) = &mut object else { panic!() };
    let foreign = condition("example.com/Audited", "True");
    Arc::make_mut(gateway).status = Some(GatewayStatus {
        conditions: vec![foreign.clone(), condition("Accepted", "True")],
        listeners: vec![
            ListenerStatus {
                name: "http".to_owned(),
                conditions: vec![foreign.clone()],
                ..ListenerStatus::default()
            },
            ListenerStatus {
                name: "gone".to_owned(),
                conditions: vec![foreign.clone()],
                ..ListenerStatus::default()
            },
        ],
        ..GatewayStatus::default()
    });
    let mut world = World::new();
    world.put(object);
    let status = world.gateway_status("gw");
    assert_eq!(status.conditions[0], foreign);
    assert_eq!(status.conditions[1].last_transition_time, foreign.last_transition_time, "still True");
    assert_eq!(status.conditions[2].last_transition_time, Time(Timestamp::UNIX_EPOCH), "new");
    assert_eq!(status.listeners.len(), 1);
    assert_eq!(status.listeners[0].conditions[0], foreign);
}

#[test]
fn foreign_entries_of_routes_survive_and_a_route_that_left_us_is_cleaned() {
    let mut object = objects(&ROUTE.replace("name: gw}", "name: gw, group: example.com}")).remove(0);
    let Resource::HttpRoute(route) = &mut object else { panic!() };
    let entry = |controller: &str| RouteParentStatus {
        parent_ref: ParentReference { name: "x".to_owned(), ..ParentReference::default() },
        controller_name: controller.to_owned(),
        conditions: vec![condition("Accepted", "True")],
    };
    Arc::make_mut(route).status =
        Some(RouteStatus { parents: vec![entry("lasthop.dev/gateway"), entry("example.com/other")] });
    let mut world = World::of(&[GATEWAY, SERVICE]);
    let output = world.put(object);
    let Status::Route(status) = &output.statuses[0].status else { panic!() };
    assert_eq!(status.parents, [entry("example.com/other")]);
}

#[test]
fn nothing_is_given_out_twice_and_what_was_undone_is_given_out_again() {
    let mut world = World::of(&[GATEWAY, SERVICE, ROUTE]);
    assert_eq!(world.last.statuses.len(), 2);
    let route = world.last.statuses.iter().find(|change| change.key.name == "route").unwrap().clone();

    // A change that means nothing to it.
    assert_eq!(world.apply(&[&SERVICE.replace("10.0.0.1]", "10.0.0.5]")]).statuses, []);

    // The status comes back from where it was written, with times.
    let written = |world: &World, status: RouteStatus| {
        let mut object = world.store.http_routes().iter().next().unwrap().as_ref().clone();
        object.status = Some(status);
        Resource::from(object)
    };
    let Status::Route(mut status) = route.status else { panic!() };
    for condition in &mut status.parents[0].conditions {
        condition.last_transition_time = Time(Timestamp::from_second(2_000).unwrap());
    }
    let back = written(&world, status.clone());
    let output = world.put(back);
    assert!(output.update.is_empty());
    assert_eq!(output.statuses, []);

    // Somebody takes it away.
    let undone = written(&world, RouteStatus::default());
    assert_eq!(world.put(undone).statuses.len(), 1);
}

#[test]
fn every_condition_carries_the_generation() {
    let mut world = World::of(&[GATEWAY, SERVICE, ROUTE, POLICY, &Ca::new("ca").config_map("ca")]);
    world.apply(&[
        &GATEWAY.replace("from: All", "from: Same"),
        &ROUTE.replace("shop", "other"),
        &POLICY.replace("web.internal", "other.internal"),
    ]);
    world.bind_all();
    let generations = |conditions: &[Condition]| {
        conditions.iter().all(|condition| condition.observed_generation == Some(2))
    };
    let gateway = world.gateway_status("gw");
    assert!(generations(&gateway.conditions) && generations(&gateway.listeners[0].conditions));
    assert!(generations(&world.route_status("route").parents[0].conditions));
    assert!(generations(&world.policy_status("policy").unwrap().ancestors[0].conditions));
}

#[test]
fn until_the_dataplane_answers_programmed_speaks_of_the_generation_before() {
    let mut world = World::of(&[GATEWAY]);
    world.bind_all();
    world.apply(&[&GATEWAY.replace("port: 80", "port: 81")]);
    let programmed = |world: &World| {
        let conditions = &world.gateway_status("gw").conditions;
        let one = conditions.iter().find(|condition| condition.type_ == "Programmed").unwrap();
        (one.status.clone(), one.observed_generation)
    };
    assert_eq!(programmed(&world), ("True".to_owned(), Some(1)));
    world.bind_all();
    assert_eq!(programmed(&world), ("True".to_owned(), Some(2)));
    // A change that the dataplane has nothing to do with.
    world.apply(&[&GATEWAY.replace("port: 80", "port: 81").replace("from: All", "from: Same")]);
    assert_eq!(programmed(&world), ("True".to_owned(), Some(3)));
}

#[test]
fn an_answer_to_an_older_update_does_not_speak_of_a_newer_one() {
    use lasthop_dataplane_api::{ListenerState, Report};
    let mut world = World::of(&[GATEWAY]);
    let key = world.translator.snapshot().listeners.keys().next().unwrap().clone();
    let older = world.translator.snapshot().version;
    world.apply(&[&GATEWAY.replace("port: 80", "port: 81")]);
    let bound = |version, port: u16| Report {
        version,
        listeners: vec![(key.clone(), ListenerState::Bound(vec![([0, 0, 0, 0], port).into()]))],
        ..Report::default()
    };
    assert_eq!(world.translator.programmed(&bound(older, 80)), [], "nothing to say yet");
    assert_eq!(world.gateway("gw")[1], "Programmed=Unknown/Pending");
    world.translator.programmed(&bound(older + 1, 81));
    assert_eq!(world.gateway("gw")[1], "Programmed=True/Programmed");
}
