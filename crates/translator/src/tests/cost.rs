//! One changed object costs what depends on it.

use crate::fixtures::*;

fn world_of(routes: usize) -> World {
    let mut world = World::of(&[GATEWAY, SERVICE, POLICY, &Ca::new("ca").config_map("ca")]);
    for index in 0..routes {
        world.apply(&[&ROUTE.replace("name: route", &format!("name: route-{index}"))]);
    }
    world
}

/// How many units of translation are done for a change.
fn work(world: &mut World, manifest: &str) -> u64 {
    let before = world.translator.tracker.done();
    world.apply(&[manifest]);
    world.translator.tracker.done() - before
}

#[test]
fn a_changed_route_costs_one_route_however_many_there_are() {
    let changed = ROUTE.replace("name: route", "name: route-3").replace("shop", "other");
    let added = ROUTE.replace("name: route", "name: one-more");
    let [few, many] = [10, 300].map(|routes| {
        let mut world = world_of(routes);
        (work(&mut world, &changed), work(&mut world, &added))
    });
    assert_eq!(few, many);
    assert_eq!(few, (1, 2), "the route; the route and the Gateway's count of routes");
}

#[test]
fn a_changed_secret_or_slice_costs_its_users() {
    let mut world = world_of(50);
    let slice = SERVICE.replace("10.0.0.2", "10.0.0.3");
    assert_eq!(work(&mut world, &slice), 1, "the endpoints");
    let ca = Ca::new("other").config_map("ca");
    assert_eq!(work(&mut world, &ca), 3, "the policy, its status, the backend");
    assert_eq!(work(&mut world, &Ca::new("x").config_map("unrelated")), 0);
}
