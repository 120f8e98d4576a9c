//! The PROXY protocol, from clients and to backends.

use lasthop_dataplane_api::BackendTls;

use crate::fixtures::*;

fn gateway(annotation: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, annotations: {{lasthop.dev/proxy-protocol: {annotation}}}}}
spec:
  gatewayClassName: lasthop
  allowedListeners: {{namespaces: {{from: Same}}}}
  listeners:
  - {{name: http, port: 80, protocol: HTTP}}
  - {{name: tcp, port: 5432, protocol: TCP}}
  - {{name: udp, port: 53, protocol: UDP}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {{name: set}}
spec:
  parentRef: {{name: gw}}
  listeners:
  - {{name: more, port: 80, protocol: HTTP, hostname: a.example}}
  - {{name: tcp, port: 5433, protocol: TCP}}
"
    )
}

/// The listeners that serve; those that expect a header are marked.
fn listeners(world: &World) -> Vec<String> {
    let listeners = world.translator.snapshot().listeners.values();
    let mark = |expected| if expected { "+" } else { "" };
    listeners.map(|l| format!("{}:{}{}", l.key.name, l.port, mark(l.proxy_protocol))).collect()
}

#[test]
fn the_ports_of_named_listeners_expect_a_header() {
    let world = World::of(&[&gateway("http")]);
    assert_eq!(listeners(&world), ["http:80+", "tcp:5432", "udp:53", "more:80+", "tcp:5433"]);
    let world = World::of(&[&gateway("'tcp , http'")]);
    assert_eq!(listeners(&world), ["http:80+", "tcp:5432+", "udp:53", "more:80+", "tcp:5433"]);
    let world = World::of(&[&gateway("'*'")]);
    assert_eq!(listeners(&world), ["http:80+", "tcp:5432+", "udp:53", "more:80+", "tcp:5433+"]);
}

#[test]
fn a_name_that_no_listener_has_refuses_those_that_may_be_meant() {
    for annotation in ["'http, tpc'", "'http,'"] {
        let world = World::of(&[&gateway(annotation)]);
        assert_eq!(listeners(&world), ["http:80+", "udp:53", "more:80+"], "{annotation}");
        assert_eq!(world.listener("gw", "tcp")[0], "Accepted=False/UnsupportedValue");
        assert_eq!(world.last.notices.len(), 1);
        assert_eq!(world.last.notices[0].field, "metadata.annotations[lasthop.dev/proxy-protocol]");
    }
    let world = World::of(&[&gateway("more")]);
    assert_eq!(listeners(&world), ["udp:53"], "a set's listener is not the Gateway's");
    let world = World::of(&[&gateway("udp")]);
    assert_eq!(world.listener("gw", "udp")[0], "Accepted=False/UnsupportedValue");
    assert_eq!(listeners(&world), ["http:80", "tcp:5432", "more:80", "tcp:5433"]);
}

#[test]
fn a_set_does_not_decide_about_the_gateways_ports() {
    let set = gateway("http").replace(
        "metadata: {name: set}",
        "metadata: {name: set, annotations: {lasthop.dev/proxy-protocol: '*'}}",
    );
    let world = World::of(&[&set]);
    assert_eq!(listeners(&world), ["http:80+", "tcp:5432", "udp:53", "more:80+", "tcp:5433"]);
    assert_eq!(world.last.notices.len(), 1);
}

#[test]
fn gateways_that_differ_in_it_cannot_share_a_port() {
    let head = GATEWAY
        .replace("{name: gw}", "{name: z}")
        .replace("protocol: HTTP,", "protocol: HTTP, hostname: z.example,");
    let world = World::of(&[&gateway("http"), &head]);
    assert!(!world.serves("z", "http"));
    assert!(world.listener("z", "http").contains(&"Conflicted=True/ProtocolConflict".to_owned()));
    let same = head.replace("{name: z}", "{name: z, annotations: {lasthop.dev/proxy-protocol: http}}");
    assert!(World::of(&[&gateway("http"), &same]).serves("z", "http"));
}

#[test]
fn a_service_asks_for_a_header_by_its_version() {
    let annotated = |value: &str| {
        SERVICE.replace(
            "metadata: {name: web}",
            &format!("metadata: {{name: web, annotations: {{lasthop.dev/proxy-protocol: {value}}}}}"),
        )
    };
    let ca = Ca::new("ca").config_map("ca");
    let mut world = World::of(&[GATEWAY, ROUTE, SERVICE]);
    assert!(!world.backend("web", 443).unwrap().proxy_protocol);
    world.apply(&[&annotated("v2")]);
    assert!(world.backend("web", 443).unwrap().proxy_protocol);
    world.apply(&[POLICY, &ca]);
    let backend = world.backend("web", 443).unwrap();
    assert!(backend.proxy_protocol && matches!(backend.tls, BackendTls::Policy(_)));
    for wrong in ["v1", "'true'", "''"] {
        world.apply(&[&annotated(wrong)]);
        assert_eq!(&*world.refusal("web", 443).reason, "UnsupportedValue", "{wrong}");
        assert!(world.last.notices.iter().any(|notice| notice.object.name == "web"), "{wrong}");
    }
}
