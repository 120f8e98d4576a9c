//! Listeners: protocols, kinds, certificates, conflicts.

use lasthop_dataplane_api::ListenerProtocol;

use crate::fixtures::*;

fn gateway(listeners: &str) -> String {
    let head = GATEWAY.split("  listeners:").next().unwrap();
    format!("{head}  listeners:\n{listeners}\n")
}

#[test]
fn https_needs_a_certificate_that_fits_its_key() {
    let ca = Ca::new("ca");
    let https =
        gateway("  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: tls}]}}");
    let mut world = World::of(&[&https]);
    let unresolved = |world: &World| {
        let said = world.listener("gw", "https");
        assert_eq!(said[0], "Accepted=True/Accepted");
        assert_eq!(said[1], "Programmed=False/Invalid");
        assert_eq!(said[2], "ResolvedRefs=False/InvalidCertificateRef");
        assert_eq!(world.gateway("gw")[2], "ResolvedRefs=False/ListenersNotResolved");
        assert!(!world.serves("gw", "https"));
        message(&world.listener_status("gw", "https").conditions, "ResolvedRefs").to_owned()
    };
    assert!(unresolved(&world).contains("does not exist"));
    let (chain, key) = ca.leaf("a.example");
    let (_, other_key) = ca.leaf("a.example");
    world.apply(&[&tls_secret("default", "tls", &chain, &other_key)]);
    assert!(unresolved(&world).contains("does not belong"), "{}", unresolved(&world));
    world.apply(&[&tls_secret("default", "tls", "rubbish", "rubbish")]);
    unresolved(&world);
    let opaque =
        tls_secret("default", "tls", &chain, &key).replace("type: kubernetes.io/tls", "type: Opaque");
    world.apply(&[&opaque]);
    assert!(unresolved(&world).contains("Opaque"));

    world.apply(&[&tls_secret("default", "tls", &chain, &key)]);
    assert!(world.serves("gw", "https"));
    let listener = world.translator.snapshot().listeners.values().next().unwrap();
    assert_eq!(listener.protocol, ListenerProtocol::HTTPS);
    assert_eq!(listener.tls.as_ref().unwrap().certificates.len(), 1);
}

#[test]
fn an_ocsp_response_beside_the_certificate_is_stapled() {
    let https =
        gateway("  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: tls}]}}");
    let (chain, key) = Ca::new("ca").leaf("a.example");
    let secret = |staple: &str| {
        tls_secret("default", "tls", &chain, &key) + &format!("data: {{tls.ocsp-staple: {staple}}}\n")
    };
    let mut world = World::of(&[&https, &secret("MAMKAQA=")]);
    let staple = |world: &World| {
        let listener = world.translator.snapshot().listeners.values().next().unwrap();
        listener.tls.as_ref().unwrap().certificates[0].ocsp().map(<[u8]>::to_vec)
    };
    assert_eq!(staple(&world).as_deref(), Some([0x30, 3, 10, 1, 0].as_slice()));
    // Another response is another certificate to the dataplane.
    let output = world.apply(&[&secret("MAMKAQY=")]);
    assert_eq!(output.update.listeners.0.len(), 1);
    assert_eq!(staple(&world).as_deref(), Some([0x30, 3, 10, 1, 6].as_slice()));
    // What is no response is told, and the certificate serves without it.
    let output = world.apply(&[&secret("aGVsbG8=")]);
    assert_eq!(output.notices.len(), 1);
    assert_eq!(output.notices[0].field, "data[tls.ocsp-staple]");
    assert!(world.serves("gw", "https"));
    assert_eq!(staple(&world), None);
}

#[test]
fn one_good_certificate_serves_while_another_is_missing() {
    let https = gateway(
        "  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: missing}, {name: tls}]}}",
    );
    let world = World::of(&[&https, &Ca::new("ca").secret("default", "tls", "a.example")]);
    assert!(world.serves("gw", "https"));
    assert_eq!(world.listener("gw", "https")[2], "ResolvedRefs=False/InvalidCertificateRef");
}

#[test]
fn a_certificate_of_another_namespace_needs_a_grant() {
    let https = gateway(
        "  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: tls, namespace: other}]}}",
    );
    let mut world = World::of(&[&https]);
    assert_eq!(
        world.listener("gw", "https")[2],
        "ResolvedRefs=False/RefNotPermitted",
        "though it is missing"
    );
    world.apply(&[&Ca::new("ca").secret("other", "tls", "a.example")]);
    assert_eq!(world.listener("gw", "https")[2], "ResolvedRefs=False/RefNotPermitted");
    let grant = |name: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\n\
             metadata: {{name: grant, namespace: other}}\nspec:\n\
             \x20 from: [{{group: gateway.networking.k8s.io, kind: Gateway, namespace: default}}]\n\
             \x20 to: [{{group: '', kind: Secret, name: {name}}}]\n"
        )
    };
    world.apply(&[&grant("another")]);
    assert!(!world.serves("gw", "https"));
    world.apply(&[&grant("tls")]);
    assert!(world.serves("gw", "https"));
}

#[test]
fn protocols_we_do_not_speak_are_refused_and_take_no_routes() {
    let world = World::of(&[
        &gateway(
            "  - {name: http, port: 80, protocol: HTTP}\n  - {name: quic, port: 9000, protocol: example.com/quic}",
        ),
        &ROUTE.replace("name: gw}", "name: gw, sectionName: quic}"),
        SERVICE,
    ]);
    assert_eq!(world.listener("gw", "quic")[0], "Accepted=False/UnsupportedProtocol");
    assert!(world.listener_status("gw", "quic").supported_kinds.is_empty());
    assert_eq!(world.gateway("gw")[0], "Accepted=True/ListenersNotValid");
    assert_eq!(world.route("route")[0], "Accepted=False/NotAllowedByListeners");
    let only = World::of(&[&gateway("  - {name: quic, port: 53, protocol: example.com/quic}")]);
    assert_eq!(only.gateway("gw")[..2], ["Accepted=False/ListenersNotValid", "Programmed=False/Invalid"]);
}

#[test]
fn protocols_of_one_port_conflict_unless_traffic_tells_them_apart() {
    let tls = "tls: {certificateRefs: [{name: tls}]}";
    let ca = Ca::new("ca").secret("default", "tls", "b.example");
    let serving = |listeners: &[&str]| -> Vec<String> {
        let lines: Vec<String> = listeners.iter().map(|listener| format!("  - {{{listener}}}")).collect();
        let world = World::of(&[&gateway(&lines.join("\n")), &ca]);
        let listeners = world.translator.snapshot().listeners.keys();
        listeners.map(|listener| listener.name.to_string()).collect()
    };
    let https = format!("name: https, port: 443, protocol: HTTPS, hostname: a.example, {tls}");
    let pass = "name: pass, port: 443, protocol: TLS, tls: {mode: Passthrough}, hostname: b.example";
    let end = format!("name: end, port: 443, protocol: TLS, hostname: c.example, {tls}")
        .replace("{certificateRefs", "{mode: Terminate, certificateRefs");
    let udp = "name: udp, port: 443, protocol: UDP";
    let tcp = "name: tcp, port: 443, protocol: TCP";
    let other = "name: other, port: 80, protocol: HTTP";
    assert_eq!(serving(&[&https, pass, &end, udp]), ["end", "https", "pass", "udp"]);
    assert_eq!(serving(&[&https, pass, tcp, other]), ["other"]);
    assert_eq!(serving(&[tcp, udp]), ["tcp", "udp"]);
    assert_eq!(
        serving(&[pass, &https.replace("HTTPS", "HTTP").replace(&format!(", {tls}"), ""), other]),
        ["other"]
    );
    // HTTPS and TLS of one host cannot be told apart.
    assert_eq!(serving(&[&https, &pass.replace("b.example", "a.example"), other]), ["other"]);
}

#[test]
fn gateways_share_ports_by_the_same_rules() {
    let second = |listener: &str| {
        let head = GATEWAY.split("  listeners:").next().unwrap().replace("{name: gw}", "{name: z}");
        format!("{head}  listeners:\n  - {{name: z, port: 443, {listener}}}\n")
    };
    let first = |listener: &str| gateway(&format!("  - {{name: a, port: 443, {listener}}}"));
    for (one, two, serves) in [
        ("protocol: TCP", "protocol: UDP", true),
        ("protocol: TCP", "protocol: TCP", false),
        ("protocol: UDP", "protocol: UDP", false),
        ("protocol: HTTP", "protocol: TCP", false),
        ("protocol: HTTP", "protocol: UDP", true),
        ("protocol: TLS, tls: {mode: Passthrough}", "protocol: TLS, tls: {mode: Passthrough}", false),
        (
            "protocol: TLS, tls: {mode: Passthrough}",
            "protocol: HTTPS, hostname: a.example, tls: {certificateRefs: [{name: tls}]}",
            true,
        ),
    ] {
        let world =
            World::of(&[&first(one), &second(two), &Ca::new("ca").secret("default", "tls", "a.example")]);
        assert!(world.serves("gw", "a"), "{one} {two}");
        assert_eq!(world.serves("z", "z"), serves, "{one} {two}");
        assert_eq!(world.gateway("z")[0].starts_with("Accepted=True"), serves);
    }
}

#[test]
fn kinds_that_do_not_fit_are_named_and_the_others_stay() {
    let world = World::of(&[&gateway(
        "  - {name: http, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: HTTPRoute}, {kind: TCPRoute}]}}\n\
         \x20 - {name: bad, port: 81, protocol: HTTP, allowedRoutes: {kinds: [{kind: Nonsense}]}}",
    )]);
    let kinds = |name: &str| -> Vec<String> {
        world.listener_status("gw", name).supported_kinds.iter().map(|kind| kind.kind.clone()).collect()
    };
    assert_eq!(kinds("http"), ["HTTPRoute"]);
    assert!(kinds("bad").is_empty());
    for listener in ["http", "bad"] {
        assert_eq!(world.listener("gw", listener)[2], "ResolvedRefs=False/InvalidRouteKinds");
    }
}

#[test]
fn listeners_that_cannot_be_told_apart_are_all_out() {
    let tls = "tls: {certificateRefs: [{name: tls}]}";
    let world = World::of(&[
        &gateway(&format!(
            "  - {{name: a, port: 80, protocol: HTTP, hostname: a.example}}\n\
             \x20 - {{name: b, port: 80, protocol: HTTPS, hostname: b.example, {tls}}}\n\
             \x20 - {{name: c, port: 81, protocol: HTTP}}"
        )),
        &Ca::new("ca").secret("default", "tls", "b.example"),
    ]);
    for listener in ["a", "b"] {
        let said = world.listener("gw", listener);
        assert!(said.contains(&"Conflicted=True/ProtocolConflict".to_owned()), "{said:?}");
        assert!(said.contains(&"Programmed=False/ProtocolConflict".to_owned()), "{said:?}");
        assert!(said[0].starts_with("Accepted=False"));
        assert!(!world.serves("gw", listener));
    }
    assert!(world.listener("gw", "c").contains(&"Conflicted=False/NoConflicts".to_owned()));
    assert_eq!(world.gateway("gw")[0], "Accepted=True/ListenersNotValid");
}

#[test]
fn overlapping_host_names_of_a_tls_port_are_noted_on_each() {
    let tls = "tls: {certificateRefs: [{name: tls}]}";
    let world = World::of(&[
        &gateway(&format!(
            "  - {{name: a, port: 443, protocol: HTTPS, hostname: foo.example.com, {tls}}}\n\
             \x20 - {{name: b, port: 443, protocol: HTTPS, hostname: foo.example.org, {tls}}}\n\
             \x20 - {{name: c, port: 443, protocol: HTTPS, hostname: '*.example.com', {tls}}}"
        )),
        &Ca::new("ca").secret("default", "tls", "foo.example.com"),
    ]);
    let overlapping = "OverlappingTLSConfig=True/OverlappingHostnames".to_owned();
    let noted = |name| world.listener("gw", name).contains(&overlapping);
    assert!(noted("a") && noted("c") && !noted("b"));
    assert!(world.serves("gw", "a") && world.serves("gw", "c"));
}

#[test]
fn an_option_of_ours_that_does_not_exist_is_refused() {
    let world = World::of(&[
        &gateway(
            "  - {name: https, port: 443, protocol: HTTPS, \
             tls: {certificateRefs: [{name: tls}], options: {lasthop.dev/x: z, example.com/z: '1'}}}",
        ),
        &Ca::new("ca").secret("default", "tls", "a.example"),
    ]);
    assert_eq!(world.listener("gw", "https")[0], "Accepted=False/UnsupportedValue");
}

#[test]
fn gateways_of_one_dataplane_share_its_ports() {
    let second = |port: u16| {
        GATEWAY
            .replace("{name: gw}", "{name: another, creationTimestamp: '2024-01-01T00:00:00Z'}")
            .replace("port: 80", &format!("port: {port}"))
    };
    // One without a date counts as the oldest, as files that say nothing do; then the name decides.
    let mut world = World::of(&[GATEWAY, &second(80), SERVICE, &ROUTE.replace("name: gw", "name: another")]);
    assert!(world.serves("gw", "http") && !world.serves("another", "http"));
    assert_eq!(world.listener("another", "http")[0], "Accepted=False/HostnameConflict");
    assert_eq!(world.gateway("another")[0], "Accepted=False/ListenersNotValid");
    assert!(world.translator.snapshot().http_rules.is_empty());
    assert_eq!(world.gateway("gw")[0], "Accepted=True/Accepted");
    assert_eq!(world.listener_status("another", "http").attached_routes, 1);

    world.apply(&[&second(81)]);
    assert!(world.serves("another", "http"));
    assert_eq!(world.translator.snapshot().http_rules.len(), 1);
    world.apply(&[&second(80)]);
    assert!(!world.serves("another", "http"));
    world.delete(lasthop_api_model::ResourceKind::Gateway, "gw");
    assert!(world.serves("another", "http"), "the port is free");

    let options = crate::Options {
        class_policy: crate::ClassPolicy::OwnAllWithoutClass,
        gateways_share_ports: false,
        ..crate::Options::default()
    };
    let mut apart = World::with(options);
    apart.apply(&[GATEWAY, &second(80)]);
    assert!(apart.serves("gw", "http") && apart.serves("another", "http"));
}

#[test]
fn gateways_may_share_a_port_by_host_but_not_by_protocol() {
    let second = |listener: &str| {
        let head = GATEWAY.split("  listeners:").next().unwrap().replace("{name: gw}", "{name: z}");
        format!("{head}  listeners:\n  - {{name: http, port: 80, {listener}}}\n")
    };
    let ca = Ca::new("ca").secret("default", "tls", "a.example");
    let mut world = World::of(&[GATEWAY, &ca, &second("protocol: HTTP, hostname: a.example")]);
    assert!(world.serves("gw", "http") && world.serves("z", "http"));
    world.apply(&[&second("protocol: HTTPS, hostname: a.example, tls: {certificateRefs: [{name: tls}]}")]);
    assert!(world.serves("gw", "http") && !world.serves("z", "http"));
    assert!(world.listener("z", "http").contains(&"Conflicted=True/ProtocolConflict".to_owned()));
}

#[test]
fn gateways_of_different_addresses_do_not_share_their_ports() {
    let at = |name: &str, addresses: &str| {
        GATEWAY
            .replace("{name: gw}", &format!("{{name: {name}}}"))
            .replace("  listeners:", &format!("  addresses: [{addresses}]\n  listeners:"))
    };
    let (one, two, both) = ("{value: 10.0.0.1}", "{value: 10.0.0.2}", "{value: 10.0.0.1}, {value: 10.0.0.2}");
    let mut world = World::of(&[&at("a", one), &at("b", two)]);
    assert!(world.serves("a", "http") && world.serves("b", "http"));
    // Of those that meet, the first by name serves.
    for (a, b, serves) in [
        (one, one, false),
        (both, two, false),
        (one, both, false),
        ("", two, false),
        (one, "", false),
        (one, "{value: 0.0.0.0}", false),
        (one, "{value: '::ffff:10.0.0.1'}", false),
        (one, "{value: 'fd00::1'}", true),
    ] {
        world.apply(&[&at("a", a), &at("b", b)]);
        assert!(world.serves("a", "http"), "{a} {b}");
        assert_eq!(world.serves("b", "http"), serves, "{a} {b}");
    }
    let https = |addresses: &str| {
        at("b", addresses).replace("protocol: HTTP", "protocol: HTTPS, tls: {certificateRefs: [{name: tls}]}")
    };
    world.apply(&[&Ca::new("ca").secret("default", "tls", "a.example"), &at("a", one), &https(two)]);
    assert!(world.serves("a", "http") && world.serves("b", "http"));
    world.apply(&[&https(both)]);
    assert!(world.listener("b", "http").contains(&"Conflicted=True/ProtocolConflict".to_owned()));
}
