//! BackendTLSPolicies: targets, conflicts, trust, identities.

use std::sync::Arc;

use lasthop_api_model::{ParentReference, PolicyAncestorStatus, PolicyStatus, Resource, ResourceKind};
use lasthop_dataplane_api::{BackendTls, Report};
use lasthop_tls_verify::{Identity, TrustAnchors};

use crate::{ClassPolicy, HopTls, Options, fixtures::*};

const TRUE: [&str; 2] = ["Accepted=True/Accepted", "ResolvedRefs=True/ResolvedRefs"];

fn with_ca(more: &[&str]) -> World {
    let mut world = World::of(&[GATEWAY, SERVICE, ROUTE, &Ca::new("ca").config_map("ca")]);
    world.apply(more);
    world
}

fn is_plaintext(world: &World, port: u16) -> bool {
    matches!(world.backend("web", port).unwrap().tls, BackendTls::Plaintext(_))
}

#[test]
fn every_way_to_have_no_ca_is_refused_and_named() {
    let mut world = with_ca(&[POLICY]);
    for (ca, part) in [
        (config_map("ca", "ca.crt", ""), "empty"),
        (config_map("ca", "other", "x"), "no key ca.crt"),
        (config_map("ca", "ca.crt", "rubbish"), "no usable CA certificate"),
    ] {
        world.apply(&[&ca]);
        let refusal = world.refusal("web", 443);
        assert_eq!(&*refusal.reason, "InvalidCACertificateRef");
        assert!(refusal.message.contains(part), "{}", refusal.message);
        assert!(refusal.message.contains("caCertificateRefs[0]"), "{}", refusal.message);
        assert_eq!(&*refusal.policy, "default/policy");
        let said = ["Accepted=False/NoValidCACertificate", "ResolvedRefs=False/InvalidCACertificateRef"];
        assert_eq!(world.policy("policy"), said);
        assert!(matches!(world.translator.hops()[0].tls, HopTls::Refused(_)));
        assert_eq!(world.route("route")[1], "ResolvedRefs=True/ResolvedRefs", "the route is not to blame");
    }
    world.apply(&[&POLICY.replace("kind: ConfigMap", "kind: Nonsense")]);
    assert_eq!(&*world.refusal("web", 443).reason, "InvalidKind");
    assert_eq!(
        world.policy("policy"),
        ["Accepted=False/NoValidCACertificate", "ResolvedRefs=False/InvalidKind"]
    );
    world.apply(&[POLICY, &Ca::new("ca").config_map("ca")]);
    assert_eq!(world.policy("policy"), TRUE);
}

#[test]
fn several_references_are_trusted_together_and_a_bad_one_is_told() {
    let refs = "[{group: '', kind: ConfigMap, name: ca}, {group: '', kind: Secret, name: more}, \
                {group: '', kind: ConfigMap, name: missing}]";
    let policy = POLICY.replace("[{group: '', kind: ConfigMap, name: ca}]", refs);
    let pem = Ca::new("more").pem();
    let secret = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: more}}\nstringData: {{ca.crt: {pem:?}}}\n"
    );
    let world = with_ca(&[&policy, &secret]);
    assert_eq!(
        world.policy("policy"),
        ["Accepted=True/Accepted", "ResolvedRefs=False/InvalidCACertificateRef"]
    );
    assert_eq!(world.tls("web", 443).settings().peer.anchors.certificates().len(), 2);
}

#[test]
fn policies_that_trust_the_same_share_one_store() {
    let (one, two) = (Ca::new("one"), Ca::new("two"));
    let refs = |names: [&str; 2]| {
        let refs = names.map(|name| format!("{{group: '', kind: ConfigMap, name: {name}}}"));
        POLICY.replace("[{group: '', kind: ConfigMap, name: ca}]", &format!("[{}]", refs.join(", ")))
    };
    let port = |policy: String, name: &str, port: &str| {
        policy
            .replace("name: policy", &format!("name: {name}"))
            .replace("name: web}", &format!("name: web, sectionName: {port}}}"))
            .replace("web.internal", &format!("{name}.internal"))
    };
    let both = ROUTE.replace("{name: web, port: 443}", "{name: web, port: 443}, {name: web, port: 80}");
    let world = with_ca(&[
        &one.config_map("one"),
        &two.config_map("two"),
        &config_map("both", "ca.crt", &format!("{}{}", two.pem(), one.pem())),
        &port(refs(["one", "two"]), "first", "https"),
        &port(refs(["both", "two"]), "second", "plain"),
        &both,
    ]);
    let store = |port| &world.tls("web", port).settings().peer.anchors;
    assert_ne!(world.tls("web", 443).id(), world.tls("web", 80).id());
    assert_eq!(store(443).certificates().len(), 2);
    assert!(Arc::ptr_eq(store(443), store(80)));
}

#[test]
fn a_bundle_of_the_cluster_is_followed_and_not_kept() {
    let bundle = |pem: &str| {
        format!(
            "---\napiVersion: certificates.k8s.io/v1\nkind: ClusterTrustBundle\nmetadata: {{name: ca}}\n\
             spec: {{trustBundle: {pem:?}}}\n"
        )
    };
    let reference = "{group: certificates.k8s.io, kind: ClusterTrustBundle, name: ca}";
    let policy = POLICY.replace("{group: '', kind: ConfigMap, name: ca}", reference);
    let mut world = with_ca(&[&policy, &bundle(&Ca::new("a").pem())]);
    let first = world.tls("web", 443).id();
    world.apply(&[&bundle(&Ca::new("b").pem())]);
    assert_ne!(world.tls("web", 443).id(), first);
    world.delete(ResourceKind::ClusterTrustBundle, "ca");
    assert_eq!(&*world.refusal("web", 443).reason, "InvalidCACertificateRef");
}

#[test]
fn one_bad_certificate_of_a_bundle_is_noticed_once() {
    let pem = format!("{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", Ca::new("a").pem());
    let mut world = with_ca(&[POLICY]);
    let output = world.apply(&[&config_map("ca", "ca.crt", &pem)]);
    assert_eq!(output.notices.len(), 1);
    assert_eq!(output.notices[0].field, "spec.validation.caCertificateRefs[0]");
    assert!(output.notices[0].message.contains("certificate 2"), "{}", output.notices[0]);
    assert_eq!(world.policy("policy"), TRUE);
    let again = world.apply(&[&POLICY.replace("web.internal", "other.internal")]);
    assert!(again.notices.is_empty());
}

#[test]
fn system_anchors_come_from_outside_and_their_lack_is_a_refusal() {
    let policy = POLICY.replace(
        "caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]",
        "wellKnownCACertificates: System",
    );
    let world = with_ca(&[&policy]);
    assert_eq!(world.policy("policy"), ["Accepted=False/Invalid", "ResolvedRefs=True/ResolvedRefs"]);
    assert_eq!(&*world.refusal("web", 443).reason, "Invalid");

    let (anchors, _) = TrustAnchors::from_pem(Ca::new("system").pem().as_bytes()).unwrap();
    let anchors = Arc::new(anchors);
    let given = anchors.clone();
    let mut world = World::with(Options {
        class_policy: ClassPolicy::OwnAllWithoutClass,
        system_anchors: Arc::new(move || Ok(given.clone())),
        ..Options::default()
    });
    world.apply(&[GATEWAY, SERVICE, ROUTE, &policy]);
    assert_eq!(world.tls("web", 443).settings().peer.anchors, anchors);
    world.apply(&[&policy.replace("System", "example.com/mine")]);
    assert_eq!(world.policy("policy")[0], "Accepted=False/Invalid");
}

#[test]
fn names_take_the_place_of_the_host_name() {
    let sans =
        "    subjectAltNames: [{type: Hostname, hostname: a.example}, {type: URI, uri: 'spiffe://a/b'}]\n";
    let policy = format!("{POLICY}{sans}");
    let world = with_ca(&[&policy]);
    let settings = world.tls("web", 443).settings();
    let wanted = [Identity::dns("a.example").unwrap(), Identity::uri("spiffe://a/b").unwrap()];
    assert_eq!(settings.peer.identities, wanted);

    for (host, part) in [("10.0.0.1", "hostname"), ("web.internal", "subjectAltNames[0]")] {
        let policy =
            policy.replace("web.internal", host).replace("hostname: a.example", "hostname: '*.a.example'");
        let world = with_ca(&[&policy]);
        assert_eq!(world.policy("policy")[0], "Accepted=False/Invalid");
        let refusal = world.refusal("web", 443);
        assert!(refusal.message.contains(part), "{}", refusal.message);
    }
}

#[test]
fn a_policy_for_the_port_goes_before_one_for_the_service_without_conflict() {
    let https = POLICY
        .replace("name: policy", "name: port")
        .replace("name: web}", "name: web, sectionName: https}")
        .replace("web.internal", "port.internal");
    let both = ROUTE.replace("{name: web, port: 443}", "{name: web, port: 443}, {name: web, port: 80}");
    let mut world = with_ca(&[POLICY, &https, &both]);
    assert_eq!(&*world.tls("web", 443).source, "default/port");
    assert_eq!(&*world.tls("web", 80).source, "default/policy");
    assert_eq!(
        (world.policy("policy"), world.policy("port")),
        (TRUE.map(str::to_owned).to_vec(), TRUE.map(str::to_owned).to_vec())
    );
    world.delete(ResourceKind::BackendTlsPolicy, "policy");
    assert!(is_plaintext(&world, 80));
    world.delete(ResourceKind::BackendTlsPolicy, "port");
    assert!(is_plaintext(&world, 443));
}

#[test]
fn of_two_for_the_same_the_older_holds_then_the_name() {
    let named = |name: &str, year: u32| {
        let metadata = format!("name: {name}, creationTimestamp: '{year}-01-01T00:00:00Z'");
        POLICY.replace("name: policy", &metadata)
    };
    let mut world = with_ca(&[&named("a", 2025), &named("b", 2024)]);
    assert_eq!(&*world.tls("web", 443).source, "default/b");
    assert_eq!(world.policy("b"), TRUE);
    assert_eq!(world.policy("a")[0], "Accepted=False/Conflicted");
    let conditions = &world.policy_status("a").unwrap().ancestors[0].conditions;
    assert!(message(conditions, "Accepted").contains("default/b"));
    world.apply(&[&named("b", 2025)]);
    assert_eq!(&*world.tls("web", 443).source, "default/a");
    // The winner holds even when it cannot be honoured: nothing else takes its place.
    world.apply(&[&named("a", 2020).replace("name: ca", "name: missing")]);
    assert_eq!(&*world.refusal("web", 443).policy, "default/a");
    assert_eq!(world.policy("b")[0], "Accepted=False/Conflicted");
}

#[test]
fn targets_that_are_not_there_are_told() {
    let nothing = POLICY.replace("name: web}", "name: web, sectionName: nothing}");
    let mut world = with_ca(&[&nothing]);
    assert_eq!(world.policy("policy")[0], "Accepted=False/TargetNotFound");
    assert!(is_plaintext(&world, 443));
    world.delete(ResourceKind::Service, "web");
    assert_eq!(world.policy("policy")[0], "Accepted=False/TargetNotFound", "the route names the Service");
    let output = world.apply(&[&POLICY.replace("name: web}", "name: typo}")]).clone();
    assert!(world.policy_status("policy").is_none(), "no Gateway has to do with it");
    let fields: Vec<_> = output.notices.iter().map(|notice| notice.field.as_str()).collect();
    assert_eq!(fields, ["spec.targetRefs", "spec.targetRefs[0]"]);
}

#[test]
fn udp_ports_cannot_be_targeted() {
    let service = |ports: &str| {
        format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{ports: [{ports}]}}\n")
    };
    let (tcp, udp) = ("{name: https, port: 443}", "{name: dns, port: 53, protocol: UDP}");
    let world = with_ca(&[&service(&format!("{tcp}, {udp}")), POLICY]);
    assert_eq!(world.policy("policy"), TRUE);
    let conditions = &world.policy_status("policy").unwrap().ancestors[0].conditions;
    assert!(message(conditions, "Accepted").contains("UDP"));

    let of_port = POLICY.replace("name: web}", "name: web, sectionName: dns}");
    let world = with_ca(&[&service(&format!("{tcp}, {udp}")), &of_port]);
    assert_eq!(world.policy("policy")[0], "Accepted=False/Invalid");
    let world = with_ca(&[&service(udp), POLICY]);
    assert_eq!(world.policy("policy")[0], "Accepted=False/Invalid");
}

#[test]
fn a_full_list_of_ancestors_means_refusal_not_plaintext() {
    let mut world = with_ca(&[POLICY]);
    let mut policy = objects(POLICY).remove(0);
    let Resource::BackendTlsPolicy(object) = &mut policy else { panic!() };
    let foreign = |index: usize| PolicyAncestorStatus {
        ancestor_ref: ParentReference { name: format!("gw-{index}"), ..ParentReference::default() },
        controller_name: "example.com/other".to_owned(),
        conditions: vec![],
    };
    Arc::make_mut(object).status = Some(PolicyStatus { ancestors: (0..16).map(foreign).collect() });
    world.put(policy);
    assert_eq!(&*world.refusal("web", 443).reason, "TooManyAncestors");
    assert!(world.last.notices.iter().any(|notice| notice.field == "status.ancestors"));
    assert!(world.policy_status("policy").is_none());
    world.apply(&[POLICY]);
    world.tls("web", 443);
}

#[test]
fn what_the_stack_cannot_set_up_is_told_until_the_backend_changes() {
    let mut world = with_ca(&[POLICY]);
    let backend = world.backend("web", 443).unwrap().key.clone();
    let refusal = lasthop_dataplane_api::Refusal {
        reason: "Local".into(),
        message: "no such suite".into(),
        policy: "default/policy".into(),
    };
    let report = Report { version: 1, refused_backends: vec![(backend, refusal)], ..Report::default() };
    let changes = world.translator.programmed(&report);
    assert_eq!(changes.len(), 1);
    assert_eq!(world.policy("policy")[0], "Accepted=False/Invalid");
    assert!(matches!(world.translator.hops()[0].tls, HopTls::Refused(_)));
    world.apply(&[&POLICY.replace("web.internal", "other.internal")]);
    assert_eq!(world.policy("policy"), TRUE);
}

#[test]
fn a_policy_whose_manifest_is_refused_keeps_its_targets_from_plaintext() {
    let mut world = with_ca(&[]);
    assert!(is_plaintext(&world, 443));
    let manifest = POLICY.replace("hostname:", "hostnam:");
    let outcome = lasthop_api_model::read::read_file_bytes("policy.yaml", manifest.as_bytes());
    assert!(outcome.objects.is_empty());
    world.put(outcome.refused_policies[0].0.clone());
    let refusal = world.refusal("web", 443);
    assert_eq!(&*refusal.reason, "Invalid");
    assert!(refusal.message.contains("hostnam"), "{}", refusal.message);
    assert_eq!(world.policy("policy")[0], "Accepted=False/Invalid");

    // Any other policy for the same target goes before it, even one whose name comes later.
    world.apply(&[&POLICY.replace("name: policy", "name: zz")]);
    assert_eq!(&*world.tls("web", 443).source, "default/zz");
    assert_eq!(world.policy("policy")[0], "Accepted=False/Conflicted");
}
