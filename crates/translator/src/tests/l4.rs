//! TLSRoute, TCPRoute and UDPRoute: where they attach, where they lead, and how the hop is encrypted.

use lasthop_dataplane_api::{
    BackendKey, BackendTarget, BackendTls, EndpointsKey, PlaintextReason, RouteKind, Transport,
};

use crate::{HopTls, fixtures::*};

/// A Gateway with a listener of each protocol.
const ALL: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: lasthop
  listeners:
  - {name: pass, port: 443, protocol: TLS, hostname: '*.example.com', tls: {mode: Passthrough}}
  - name: end
    port: 443
    protocol: TLS
    hostname: end.example.net
    tls: {mode: Terminate, certificateRefs: [{name: tls}]}
  - {name: tcp, port: 5432, protocol: TCP}
  - {name: udp, port: 5432, protocol: UDP}
";

const DNS: &str = "
---
apiVersion: v1
kind: Service
metadata: {name: dns}
spec:
  ports:
  - {name: udp, port: 53, targetPort: 5353, protocol: UDP}
  - {name: tcp, port: 53, targetPort: 5354}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: dns-1, labels: {kubernetes.io/service-name: dns}}
addressType: IPv4
ports:
- {name: udp, port: 5353, protocol: UDP}
- {name: tcp, port: 5354, protocol: TCP}
endpoints: [{addresses: [10.0.0.3]}]
";

fn route(kind: &str, listener: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: route}}\nspec:\n  \
         parentRefs: [{{name: gw{listener}}}]\n{rest}\n"
    )
}

fn tls_route(listener: &str, hostnames: &str) -> String {
    let rest = format!("  hostnames: [{hostnames}]\n  rules: [{{backendRefs: [{{name: web, port: 443}}]}}]");
    route("TLSRoute", listener, &rest)
}

fn udp_backend(world: &World) -> &BackendTls {
    let endpoints = EndpointsKey { transport: Transport::UDP, ..EndpointsKey::service(name("dns"), 53) };
    &world.translator.snapshot().backends[&BackendKey { gateway: name("gw"), endpoints }].tls
}

const GOOD: [&str; 2] = ["Accepted=True/Accepted", "ResolvedRefs=True/ResolvedRefs"];

#[test]
fn a_tls_route_serves_listeners_that_pass_through_and_that_terminate() {
    let certificate = Ca::new("ca").secret("default", "tls", "end.example.net");
    let both = tls_route("", "a.example.com, end.example.net, other.example");
    let mut world = World::of(&[ALL, SERVICE, &certificate, &both]);
    assert_eq!(world.route("route"), GOOD);
    let rules = world.l4_rules(RouteKind::TLSRoute, "route");
    assert_eq!(rules.len(), 1);
    let attached: Vec<String> = rules[0]
        .attachments
        .iter()
        .map(|a| {
            let hosts: Vec<_> = a.hosts.iter().map(|host| host.effective.to_string()).collect();
            format!("{} {}", a.listener.name, hosts.join(","))
        })
        .collect();
    assert_eq!(attached, ["pass a.example.com", "end end.example.net"]);
    for (listener, terminates) in [("pass", false), ("end", true)] {
        let status = world.listener_status("gw", listener);
        assert_eq!(said(&status.conditions)[0], "Accepted=True/Accepted");
        assert_eq!(status.attached_routes, 1);
        assert_eq!(status.supported_kinds.iter().map(|kind| &*kind.kind).collect::<Vec<_>>(), ["TLSRoute"]);
        let mut listeners = world.translator.snapshot().listeners.values();
        assert_eq!(listeners.find(|l| *l.key.name == *listener).unwrap().tls.is_some(), terminates);
    }

    // The same listener without its certificate serves nothing, and the other one goes on.
    world.delete(lasthop_api_model::ResourceKind::Secret, "tls");
    assert!(world.serves("gw", "pass") && !world.serves("gw", "end"));
    assert_eq!(world.listener("gw", "end")[2], "ResolvedRefs=False/InvalidCertificateRef");
    assert_eq!(world.l4_rules(RouteKind::TLSRoute, "route")[0].attachments.len(), 1);
}

#[test]
fn a_gateway_that_asks_clients_for_certificates_is_told_which_listener_does_not() {
    let ca = Ca::new("ca");
    let asks = ALL.replace(
        "  listeners:",
        "  tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}}}\n  listeners:",
    );
    let secret = ca.secret("default", "tls", "end.example.net");
    let world = World::of(&[&asks, &ca.config_map("ca"), &secret]);
    let listeners = world.translator.snapshot().listeners.values();
    assert!(listeners.filter_map(|l| l.tls.as_ref()).all(|tls| tls.client_validation.is_none()));
    assert_eq!(world.last.notices.len(), 1);
    assert_eq!(world.last.notices[0].field, "spec.tls.frontend");
    assert!(World::of(&[ALL, &ca.config_map("ca"), &secret]).last.notices.is_empty());
}

#[test]
fn the_hosts_of_a_tls_route_decide_where_it_attaches() {
    let world = World::of(&[ALL, SERVICE, &tls_route("", "a.example.org")]);
    assert_eq!(world.route("route")[0], "Accepted=False/NoMatchingListenerHostname");
    assert!(world.translator.snapshot().l4_rules.is_empty());
    assert_eq!(world.listener_status("gw", "pass").attached_routes, 0);

    // What the route wrote decides the precedence; what both have in common is served.
    let world = World::of(&[ALL, SERVICE, &tls_route(", sectionName: pass", "'*.com'")]);
    let hosts = &world.l4_rules(RouteKind::TLSRoute, "route")[0].attachments[0].hosts;
    assert_eq!(hosts.len(), 1);
    assert_eq!((&*hosts[0].own.to_string(), &*hosts[0].effective.to_string()), ("*.com", "*.example.com"));
}

#[test]
fn routes_attach_to_listeners_of_their_protocol_only() {
    let stream = "  rules: [{backendRefs: [{name: web, port: 443}]}]";
    for (kind, listener, reason) in [
        ("TCPRoute", ", sectionName: tcp", "Accepted=True/Accepted"),
        ("TCPRoute", ", port: 5432", "Accepted=True/Accepted"),
        ("TCPRoute", ", sectionName: udp", "Accepted=False/NotAllowedByListeners"),
        ("TCPRoute", ", sectionName: end", "Accepted=False/NotAllowedByListeners"),
        ("UDPRoute", ", sectionName: pass", "Accepted=False/NotAllowedByListeners"),
        ("UDPRoute", "", "Accepted=True/Accepted"),
        ("TCPRoute", ", sectionName: none", "Accepted=False/NoMatchingParent"),
        ("TCPRoute", ", port: 1", "Accepted=False/NoMatchingParent"),
    ] {
        let world = World::of(&[ALL, SERVICE, &route(kind, listener, stream)]);
        assert_eq!(world.route("route")[0], reason, "{kind} {listener}");
    }
    let world = World::of(&[ALL, SERVICE, &tls_route(", sectionName: tcp", "a.example.com")]);
    assert_eq!(world.route("route")[0], "Accepted=False/NotAllowedByListeners");
    let kinds = ALL.replace(
        "tls: {mode: Passthrough}",
        "tls: {mode: Passthrough}, allowedRoutes: {kinds: [{kind: TCPRoute}, {kind: TLSRoute}]}",
    );
    let world = World::of(&[&kinds]);
    assert_eq!(world.listener("gw", "pass")[2], "ResolvedRefs=False/InvalidRouteKinds");
    assert_eq!(world.listener_status("gw", "pass").supported_kinds.len(), 1);
}

#[test]
fn backends_of_a_tcp_route_have_shares_and_those_that_lead_nowhere_keep_theirs() {
    let rest = "  rules: [{name: all, backendRefs: [{name: web, port: 443, weight: 3}, {name: missing, port: 1}, \
                {name: far, namespace: other, port: 1}, {name: web, port: 9}]}]";
    let world = World::of(&[ALL, SERVICE, &route("TCPRoute", ", sectionName: tcp", rest)]);
    assert_eq!(world.route("route"), [GOOD[0], "ResolvedRefs=False/BackendNotFound"]);
    let rule = world.l4_rules(RouteKind::TCPRoute, "route")[0];
    assert_eq!(rule.name.as_deref(), Some("all"));
    let backends: Vec<String> = rule
        .backends
        .iter()
        .map(|backend| match &backend.target {
            BackendTarget::Backend(key) => format!("{} {}", backend.weight, key.endpoints),
            BackendTarget::Invalid(invalid) => format!("{} {}", backend.weight, invalid.reason),
        })
        .collect();
    assert_eq!(
        backends,
        ["3 default/web:443", "1 BackendNotFound", "1 RefNotPermitted", "1 BackendNotFound"]
    );
}

#[test]
fn all_routes_of_a_tcp_listener_are_accepted_and_counted() {
    let stream = "  rules: [{backendRefs: [{name: web, port: 443}]}]";
    let one = route("TCPRoute", ", sectionName: tcp", stream);
    let newer = one.replace("{name: route}", "{name: newer, creationTimestamp: '2024-01-01T00:00:00Z'}");
    let world = World::of(&[ALL, SERVICE, &one, &newer]);
    assert_eq!((world.route("route")[0].as_str(), world.route("newer")[0].as_str()), (GOOD[0], GOOD[0]));
    assert_eq!(world.listener_status("gw", "tcp").attached_routes, 2);
    // The dataplane lets the older serve, and the other's owner is told.
    assert_eq!(world.last.notices.len(), 1);
    assert_eq!(
        (&*world.last.notices[0].object.name, &*world.last.notices[0].field),
        ("newer", "spec.parentRefs")
    );
    assert!(world.last.notices[0].message.contains("TCPRoute default/route"));
    assert_eq!(world.l4_rules(RouteKind::TCPRoute, "route")[0].created, 0);
    assert_eq!(world.l4_rules(RouteKind::TCPRoute, "newer")[0].created, 1_704_067_200);
}

#[test]
fn a_tcp_hop_is_encrypted_as_a_policy_says() {
    let ca = Ca::new("ca").config_map("ca");
    let tcp = route("TCPRoute", ", sectionName: tcp", "  rules: [{backendRefs: [{name: web, port: 443}]}]");
    let mut world = World::of(&[ALL, SERVICE, &tcp]);
    assert_eq!(world.backend("web", 443).unwrap().tls, BackendTls::Plaintext(PlaintextReason::NoPolicy));
    world.apply(&[POLICY, &ca]);
    assert_eq!(world.tls("web", 443).source.as_ref(), "default/policy");
    assert_eq!(world.policy("policy"), GOOD);
    assert!(matches!(world.translator.hops()[0].tls, HopTls::Policy(_)));
    world.delete(lasthop_api_model::ResourceKind::ConfigMap, "ca");
    assert_eq!(&*world.refusal("web", 443).reason, "InvalidCACertificateRef");
}

#[test]
fn a_policy_does_not_hold_where_tls_passes_through_but_where_it_ends() {
    let ca = Ca::new("ca");
    let certificate = ca.secret("default", "tls", "end.example.net");
    let all = [ALL, SERVICE, POLICY, &ca.config_map("ca"), &certificate];
    let mut world = World::of(&all);
    let message = |world: &World| {
        message(&world.policy_status("policy").unwrap().ancestors[0].conditions, "Accepted").to_owned()
    };
    let hops = |world: &World| -> Vec<&'static str> {
        let hops = world.translator.hops();
        hops.iter()
            .map(|hop| match hop.tls {
                HopTls::Passthrough => "through",
                HopTls::Policy(_) => "policy",
                _ => "other",
            })
            .collect()
    };
    world.apply(&[&tls_route(", sectionName: end", "end.example.net")]);
    assert_eq!(message(&world), "The policy is in force");
    assert_eq!(hops(&world), ["policy"]);
    world.apply(&[&tls_route(", sectionName: pass", "a.example.com")]);
    assert!(message(&world).contains("Passthrough"), "{}", message(&world));
    assert_eq!(hops(&world), ["through"]);
    // The backend is what it is to other routes: verified.
    world.tls("web", 443);
    world.apply(&[&tls_route("", "a.example.com, end.example.net")]);
    assert_eq!(hops(&world), ["through", "policy"]);
    assert!(message(&world).contains("Passthrough"));
}

#[test]
fn a_token_cannot_go_with_a_tcp_route() {
    let ca = Ca::new("ca").config_map("ca");
    let tcp = route("TCPRoute", "", "  rules: [{backendRefs: [{name: web, port: 443}]}]");
    let mut world = World::of(&[ALL, SERVICE, &tcp, POLICY, &ca]);
    assert_eq!(world.route("route"), GOOD);
    world.apply(&[&format!("{POLICY}  options: {{lasthop.dev/bearer-token: shop}}\n")]);
    assert_eq!(world.policy("policy")[0], "Accepted=True/Accepted");
    assert_eq!(world.route("route"), [GOOD[0], "ResolvedRefs=False/UnsupportedProtocol"]);
    world.apply(&[POLICY]);
    assert_eq!(world.route("route"), GOOD);
}

#[test]
fn a_token_goes_with_a_tls_route_only_where_tls_passes_through() {
    let ca = Ca::new("ca");
    let certificate = ca.secret("default", "tls", "end.example.net");
    let policy = format!("{POLICY}  options: {{lasthop.dev/bearer-token: shop}}\n");
    let pass = tls_route(", sectionName: pass", "a.example.com");
    let mut world = World::of(&[ALL, SERVICE, &pass, &policy, &ca.config_map("ca"), &certificate]);
    assert_eq!(world.route("route"), GOOD);
    world.apply(&[&tls_route(", sectionName: end", "end.example.net")]);
    let refused = [GOOD[0], "ResolvedRefs=False/UnsupportedProtocol"];
    assert_eq!(world.route("route"), refused);
    // Of two listeners, one would refuse its connections.
    world.apply(&[&tls_route("", "a.example.com, end.example.net")]);
    assert_eq!(world.route("route"), refused);
    world.apply(&[POLICY]);
    assert_eq!(world.route("route"), GOOD);
}

#[test]
fn a_udp_route_leads_to_udp_ports() {
    let rest = "  rules: [{backendRefs: [{name: dns, port: 53}, {name: web, port: 443}]}]";
    let world = World::of(&[ALL, SERVICE, DNS, &route("UDPRoute", "", rest)]);
    assert_eq!(world.route("route"), [GOOD[0], "ResolvedRefs=False/BackendNotFound"], "443 is TCP");
    let key = EndpointsKey { transport: Transport::UDP, ..EndpointsKey::service(name("dns"), 53) };
    let set = &world.translator.snapshot().endpoints[&key];
    assert_eq!(set.endpoints[0].address.to_string(), "10.0.0.3:5353");
    // The slice's port must be of UDP, too.
    let tcp = DNS.replace("port: 5353, protocol: UDP}", "port: 5353}");
    let world = World::of(&[ALL, &tcp, &route("UDPRoute", "", rest)]);
    assert!(world.translator.snapshot().endpoints[&key].endpoints.is_empty());
    // The same number for TCP is another port with other endpoints.
    let tcp = route("TCPRoute", "", "  rules: [{backendRefs: [{name: dns, port: 53}]}]");
    let world = World::of(&[ALL, DNS, &tcp]);
    assert_eq!(world.endpoints("dns", 53), ["10.0.0.3:5354"]);
    assert_eq!(world.translator.snapshot().endpoints.len(), 1);
}

#[test]
fn a_policy_for_a_udp_port_refuses_the_hop_and_says_so_on_both_sides() {
    let ca = Ca::new("ca").config_map("ca");
    let udp = route("UDPRoute", "", "  rules: [{backendRefs: [{name: dns, port: 53}]}]");
    let policy = |section: &str| POLICY.replace("name: web}", &format!("name: dns{section}}}"));
    let mut world = World::of(&[ALL, DNS, &udp, &policy(", sectionName: udp"), &ca]);
    assert_eq!(world.policy("policy")[0], "Accepted=False/Invalid");
    assert_eq!(world.route("route"), [GOOD[0], "ResolvedRefs=False/UnsupportedProtocol"]);
    let BackendTls::Refused(refusal) = udp_backend(&world) else { panic!("{:?}", udp_backend(&world)) };
    assert_eq!((&*refusal.reason, &*refusal.policy), ("Invalid", "default/policy"));

    // One for the whole Service holds for its TCP ports.
    world.apply(&[&policy("")]);
    assert_eq!(world.policy("policy")[0], "Accepted=True/Accepted");
    assert!(
        message(&world.policy_status("policy").unwrap().ancestors[0].conditions, "Accepted").contains("UDP")
    );
    assert_eq!(world.route("route"), GOOD);
    assert_eq!(*udp_backend(&world), BackendTls::Plaintext(PlaintextReason::NoPolicy));

    // Without any, it was meant for UDP.
    world.apply(&[&DNS.replace("  - {name: tcp, port: 53, targetPort: 5354}\n", "")]);
    assert_eq!(world.policy("policy")[0], "Accepted=False/Invalid");
    assert_eq!(world.route("route")[1], "ResolvedRefs=False/UnsupportedProtocol");
    assert!(matches!(udp_backend(&world), BackendTls::Refused(_)));
}

#[test]
fn a_backend_of_another_namespace_needs_a_grant_for_the_kind_of_route() {
    let rest = "  rules: [{backendRefs: [{name: far, namespace: other, port: 80}]}]";
    let grant = |kind: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\n\
             metadata: {{name: grant, namespace: other}}\nspec:\n\
             \x20 from: [{{group: gateway.networking.k8s.io, kind: {kind}, namespace: default}}]\n\
             \x20 to: [{{group: '', kind: Service}}]\n"
        )
    };
    let far = "---\napiVersion: v1\nkind: Service\nmetadata: {name: far, namespace: other}\nspec: {ports: [{port: 80}]}\n";
    let mut world = World::of(&[ALL, far, &route("TCPRoute", "", rest), &grant("UDPRoute")]);
    assert_eq!(world.route("route")[1], "ResolvedRefs=False/RefNotPermitted");
    world.apply(&[&grant("TCPRoute")]);
    assert_eq!(world.route("route"), GOOD);
}

#[test]
fn older_versions_are_read_and_rules_that_nothing_reaches_are_told() {
    let rules = "  rules: [{backendRefs: [{name: web, port: 443}]}, {backendRefs: [{name: web, port: 80}]}]";
    let old = |kind: &str, rest: &str| route(kind, "", rest).replace("k8s.io/v1\n", "k8s.io/v1alpha2\n");
    let world = World::of(&[ALL, SERVICE, &old("TCPRoute", rules)]);
    assert_eq!(world.route("route"), GOOD);
    let places: Vec<u32> =
        world.l4_rules(RouteKind::TCPRoute, "route").iter().map(|rule| rule.key.index).collect();
    assert_eq!(places, [0, 1]);
    assert_eq!(world.last.notices.len(), 1);
    assert_eq!(world.last.notices[0].field, "spec.rules[1]");

    // A TLSRoute of v1alpha2 may do without host names: it serves every name that its listener takes.
    let world =
        World::of(&[ALL, SERVICE, &old("TLSRoute", "  rules: [{backendRefs: [{name: web, port: 443}]}]")]);
    assert_eq!(world.route("route"), GOOD);
    let attachments = &world.l4_rules(RouteKind::TLSRoute, "route")[0].attachments;
    assert!(attachments.iter().all(|attachment| attachment.hosts.is_empty()));
    assert!(world.last.notices.is_empty());
    for version in ["v1alpha2", "v1alpha3"] {
        let written = tls_route("", "a.example.com").replace("k8s.io/v1\n", &format!("k8s.io/{version}\n"));
        assert_eq!(World::of(&[ALL, SERVICE, &written]).route("route"), GOOD, "{version}");
    }
}
