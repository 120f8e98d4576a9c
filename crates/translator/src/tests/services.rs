//! Endpoints.

use crate::fixtures::*;

fn slice(name: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: {name}, labels: {{kubernetes.io/service-name: web}}}}\n{rest}\n"
    )
}

const HEADLESS: &str = "
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, ports: [{port: 443, targetPort: 9}]}
";

#[test]
fn a_named_target_port_may_differ_from_slice_to_slice() {
    let mut world = World::of(&[GATEWAY, ROUTE, SERVICE]);
    world.apply(&[&slice(
        "web-2",
        "addressType: IPv4\nports: [{name: https, port: 9443}, {name: udp, port: 1, protocol: UDP}]\n\
         endpoints: [{addresses: [10.0.0.7]}, {addresses: [10.0.0.7]}]",
    )]);
    assert_eq!(world.endpoints("web", 443), ["10.0.0.1:8443", "10.0.0.2:8443", "10.0.0.7:9443"]);
}

#[test]
fn ports_without_a_name_belong_together_and_ipv6_counts() {
    let world = World::of(&[
        GATEWAY,
        ROUTE,
        HEADLESS,
        &slice("v6", "addressType: IPv6\nports: [{port: 8443}]\nendpoints: [{addresses: ['fd00::1']}]"),
        &slice(
            "v4",
            "addressType: IPv4\nports: [{name: '', port: 8444}]\nendpoints: [{addresses: [10.0.0.1]}]",
        ),
        &slice(
            "named",
            "addressType: IPv4\nports: [{name: x, port: 1}]\nendpoints: [{addresses: [10.0.0.9]}]",
        ),
        &slice("fqdn", "addressType: FQDN\nports: [{port: 8443}]\nendpoints: [{addresses: [a.example]}]"),
    ]);
    assert_eq!(world.endpoints("web", 443), ["10.0.0.1:8444", "[fd00::1]:8443"]);
}

#[test]
fn who_is_leaving_serves_only_when_nobody_is_ready() {
    let endpoints = |first: &str| {
        slice(
            "one",
            &format!(
                "addressType: IPv4\nports: [{{port: 8443}}]\nendpoints:\n\
                 - {{addresses: [10.0.0.1], conditions: {first}}}\n\
                 - {{addresses: [10.0.0.2], conditions: {{ready: false, serving: true, terminating: true}}}}\n\
                 - {{addresses: [10.0.0.3], conditions: {{ready: false, serving: false}}}}"
            ),
        )
    };
    let mut world = World::of(&[GATEWAY, ROUTE, HEADLESS, &endpoints("{ready: true}")]);
    assert_eq!(world.endpoints("web", 443), ["10.0.0.1:8443"]);
    world.apply(&[&endpoints("{ready: false}")]);
    assert_eq!(world.endpoints("web", 443), ["10.0.0.2:8443"]);
    world.apply(&[&endpoints("{}")]);
    assert_eq!(world.endpoints("web", 443), ["10.0.0.1:8443"], "unknown counts as ready");
}

#[test]
fn a_slice_that_changes_its_service_leaves_the_old_one() {
    let mut world = World::of(&[GATEWAY, ROUTE, SERVICE]);
    world.apply(&[&SERVICE.replace("service-name: web", "service-name: another")]);
    assert!(world.endpoints("web", 443).is_empty());
    assert_eq!(world.translator.hops()[0].endpoints, 0);
}

#[test]
fn a_port_of_udp_is_no_backend() {
    let udp = HEADLESS.replace("targetPort: 9", "protocol: UDP");
    let world = World::of(&[GATEWAY, ROUTE, &udp]);
    assert_eq!(world.route("route")[1], "ResolvedRefs=False/BackendNotFound");
}
