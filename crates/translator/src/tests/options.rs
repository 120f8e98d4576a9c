//! Options of policies.

use lasthop_dataplane_api::{
    CipherSuite, Group, Sni, TlsCapabilities, TlsStack, TlsVersion, UpstreamTlsSettings,
};
use lasthop_tls_verify::{Identity, TrustAnchors, VerifyMode};

use crate::{ClassPolicy, Options, fixtures::*};

fn options() -> Options {
    Options { class_policy: ClassPolicy::OwnAllWithoutClass, ..Options::default() }
}

fn with(options: Options, spec: &str, more: &[&str]) -> World {
    let mut world = World::with(options);
    let policy = format!("{POLICY}  options: {{{spec}}}\n");
    world.apply(&[GATEWAY, SERVICE, ROUTE, &policy, &Ca::new("ca").config_map("ca")]);
    world.apply(more);
    world
}

fn settings(spec: &str) -> UpstreamTlsSettings {
    with(options(), spec, &[]).tls("web", 443).settings().clone()
}

fn refused(options: Options, spec: &str) -> String {
    let world = with(options, spec, &[]);
    assert_eq!(world.policy("policy")[0], "Accepted=False/Invalid", "{spec}");
    let refusal = world.refusal("web", 443);
    assert_eq!(&*refusal.reason, "Invalid");
    refusal.message.to_string()
}

#[test]
fn what_an_option_says_is_what_the_policy_carries() {
    let versions = settings("lasthop.dev/min-version: '1.3', lasthop.dev/max-version: '1.3'");
    assert_eq!((versions.min_version, versions.max_version), (TlsVersion::V1_3, TlsVersion::V1_3));
    let suites = settings("lasthop.dev/cipher-suites: 'TLS_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256'");
    let wanted = [CipherSuite::TLS_AES_256_GCM_SHA384, CipherSuite::TLS_AES_128_GCM_SHA256];
    assert_eq!(suites.cipher_suites, wanted);
    let groups = settings("lasthop.dev/groups: 'X25519MLKEM768,secp384r1'");
    assert_eq!(groups.groups, [Group::X25519MLKEM768, Group::Secp384r1]);
    let alpn = settings("lasthop.dev/alpn: 'h2, http/1.1'");
    assert_eq!(alpn.alpn.iter().map(|p| &**p).collect::<Vec<_>>(), ["h2", "http/1.1"]);
    assert!(!settings("lasthop.dev/session-resumption: 'false'").resumption);
    assert_eq!(settings("lasthop.dev/sni: none").sni, Sni::None);
    assert_eq!(settings("lasthop.dev/sni: request-host").sni, Sni::RequestHost);
    let named = settings("lasthop.dev/sni: other.internal");
    assert_eq!(named.sni, Sni::Name("other.internal".parse().unwrap()));
    assert_eq!(named.peer.identities, [Identity::dns("web.internal").unwrap()], "SNI verifies nothing");
    let addresses = settings("lasthop.dev/subject-ip-sans: '10.0.0.1, fd00::1'");
    let ip = |text: &str| Identity::Ip(text.parse().unwrap());
    assert_eq!(addresses.peer.identities, [ip("10.0.0.1"), ip("fd00::1")]);
    assert_eq!(settings("lasthop.dev/verify-depth: '2'").peer.max_depth, Some(2));
    let pins = settings("lasthop.dev/spki-pins: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='");
    assert_eq!(pins.peer.pins[0].0, [0; 32]);
    let token = settings("lasthop.dev/bearer-token: shop.token-1");
    assert_eq!(token.bearer_token.as_deref(), Some("shop.token-1"));
    settings("example.com/whatever: x");
}

#[test]
fn a_token_goes_to_a_backend_that_proves_its_name_only() {
    for bad in ["''", "../ca", "a/b", ".data", "'a b'", "a%2f"] {
        let message = refused(options(), &format!("lasthop.dev/bearer-token: {bad}"));
        assert!(message.starts_with("spec.options[lasthop.dev/bearer-token]: "), "{message}");
    }
    for mode in ["chain", "none"] {
        let leave = Options { allow_insecure_verify: true, ..options() };
        let message = refused(leave, &format!("lasthop.dev/bearer-token: a, lasthop.dev/verify: {mode}"));
        assert!(message.contains("proves its name"), "{message}");
    }
    let plain = settings("lasthop.dev/min-version: '1.2'");
    assert_eq!(plain.bearer_token, None);
}

#[test]
fn unknown_options_and_values_are_refused_with_what_exists() {
    assert!(refused(options(), "lasthop.dev/min-versoin: '1.3'").contains("lasthop.dev/min-version"));
    for bad in [
        "lasthop.dev/min-version: '1.1'",
        "lasthop.dev/min-version: '1.3', lasthop.dev/max-version: '1.2'",
        "lasthop.dev/cipher-suites: TLS_NULL",
        "lasthop.dev/cipher-suites: ''",
        "lasthop.dev/cipher-suites: 'TLS_AES_128_GCM_SHA256,'",
        "lasthop.dev/cipher-suites: TLS_AES_128_GCM_SHA256, lasthop.dev/max-version: '1.2'",
        "lasthop.dev/groups: secp521r1",
        "lasthop.dev/alpn: 'h2,,x'",
        "lasthop.dev/session-resumption: maybe",
        "lasthop.dev/require-hostname: 'yes'",
        "lasthop.dev/require-hostname: 'True'",
        "lasthop.dev/require-hostname: ''",
        "lasthop.dev/sni: '*.example.com'",
        "lasthop.dev/subject-ip-sans: web.internal",
        "lasthop.dev/verify-depth: '99'",
        "lasthop.dev/spki-pins: 'AAAA'",
        "lasthop.dev/verify: sometimes",
        "lasthop.dev/ca-key: 'ca.crt,tls.key'",
        "lasthop.dev/ca-key: 'a/b'",
        "lasthop.dev/client-certificate-ref: missing",
        "lasthop.dev/client-certificate-ref: other/secret",
        "lasthop.dev/crl-ref: ConfigMap/missing",
        "lasthop.dev/crl-ref: missing",
    ] {
        let message = refused(options(), bad);
        assert!(message.starts_with("spec.options[lasthop.dev/"), "{message}");
    }
}

#[test]
fn less_verification_needs_the_operators_leave() {
    for (value, mode) in [("chain", VerifyMode::Chain), ("none", VerifyMode::None)] {
        let spec = format!("lasthop.dev/verify: {value}");
        assert!(refused(options(), &spec).contains("operator"));
        let leave = Options { allow_insecure_verify: true, ..options() };
        assert_eq!(with(leave, &spec, &[]).tls("web", 443).settings().peer.mode, mode);
    }
    assert_eq!(settings("lasthop.dev/verify: full").peer.mode, VerifyMode::Full);
}

#[test]
fn a_host_name_is_required_beside_other_names_on_request() {
    let ca = Ca::new("ca").config_map("ca");
    let with_names = |names: &str, spec: &str| {
        let mut world = World::with(Options { allow_insecure_verify: true, ..options() });
        let policy = format!("{POLICY}{names}  options: {{{spec}}}\n");
        world.apply(&[GATEWAY, SERVICE, ROUTE, &policy, &ca]);
        world
    };
    let uri = "    subjectAltNames: [{type: URI, uri: 'spiffe://a/b'}]\n";
    let required = |names: &str, spec: &str| {
        let world = with_names(names, spec);
        let peer = &world.tls("web", 443).settings().peer;
        (peer.identities.len(), peer.required.clone(), world.tls("web", 443).id())
    };
    let (host, on) = (vec![Identity::dns("web.internal").unwrap()], "lasthop.dev/require-hostname: 'true'");
    let (count, names, id) = required(uri, on);
    assert_eq!((count, &names), (1, &host));
    assert_ne!(id, required(uri, "").2, "another policy");
    for off in ["", "lasthop.dev/require-hostname: 'false'"] {
        assert_eq!(required(uri, off).1, [], "{off}");
    }
    // What is sent as SNI does not matter.
    assert_eq!(required(uri, &format!("{on}, lasthop.dev/sni: none")).1, host);
    let address = format!("{on}, lasthop.dev/subject-ip-sans: 10.0.0.1");
    assert_eq!((required("", &address).1, required(uri, &address).0), (host, 2));
    // Without other names it is the one that counts anyway.
    assert_eq!((required("", on).0, required("", on).1), (1, vec![]));
    assert_eq!(required("", on).2, required("", "").2, "it changes nothing");
    for mode in ["chain", "none"] {
        let world = with_names(uri, &format!("{on}, lasthop.dev/verify: {mode}"));
        let message = world.refusal("web", 443).message.to_string();
        assert!(message.starts_with("spec.options[lasthop.dev/require-hostname]: "), "{message}");
        let off = on.replace("true", "false");
        with_names(uri, &format!("{off}, lasthop.dev/verify: {mode}")).tls("web", 443);
    }
    let hop = &with_names(uri, on).translator.hops()[0];
    let crate::HopTls::Policy(hop) = &hop.tls else { panic!() };
    assert_eq!(hop.required, [Identity::dns("web.internal").unwrap()]);
}

#[test]
fn what_the_stack_lacks_is_refused_not_weakened() {
    let limited = || Options {
        capabilities: TlsCapabilities {
            stack: TlsStack::Boringssl,
            versions: vec![TlsVersion::V1_2, TlsVersion::V1_3],
            cipher_suites: vec![CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256],
            tls13_suite_choice: false,
            groups: vec![Group::X25519],
        },
        ..options()
    };
    let suite = "lasthop.dev/cipher-suites: TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
    assert!(refused(limited(), "lasthop.dev/groups: secp256r1").contains("boringssl"));
    assert!(refused(limited(), "lasthop.dev/cipher-suites: TLS_AES_128_GCM_SHA256").contains("boringssl"));
    assert!(refused(limited(), suite).contains("max-version"), "TLS 1.3 would offer its own suites");
    with(limited(), &format!("{suite}, lasthop.dev/max-version: '1.2'"), &[]).tls("web", 443);
}

#[test]
fn a_policys_own_client_certificate_goes_before_the_gateways() {
    let ca = Ca::new("ca");
    let spec = "lasthop.dev/client-certificate-ref: own";
    let own = ca.secret("default", "own", "own");
    let mut world = with(options(), spec, &[&own]);
    let shown = world.tls("web", 443).settings().client_certificate.clone().unwrap();
    let gateway =
        GATEWAY.replace("  listeners:", "  tls: {backend: {clientCertificateRef: {name: gw}}}\n  listeners:");
    world.apply(&[&gateway, &ca.secret("default", "gw", "gw")]);
    assert_eq!(world.tls("web", 443).settings().client_certificate, Some(shown));
    let crate::HopTls::Policy(hop) = &world.translator.hops()[0].tls else { panic!() };
    assert_eq!(hop.client_certificate.as_deref(), Some("Secret default/own"));
}

#[test]
fn revocation_lists_are_followed() {
    let der = "-----BEGIN X509 CRL-----\nMAMCAQA=\n-----END X509 CRL-----\n";
    let world = with(options(), "lasthop.dev/crl-ref: ConfigMap/crl", &[&config_map("crl", "ca.crl", der)]);
    assert_eq!(world.tls("web", 443).settings().peer.crls.len(), 1);
    let empty = with(options(), "lasthop.dev/crl-ref: ConfigMap/crl", &[&config_map("crl", "ca.crl", "x")]);
    assert!(empty.refusal("web", 443).message.contains("ca.crl"));
}

/// A policy whose CAs stand in these references.
fn with_refs(refs: &str, spec: &str, more: &[&str]) -> World {
    let mut world = World::with(options());
    let policy = POLICY.replace("[{group: '', kind: ConfigMap, name: ca}]", refs);
    world.apply(&[GATEWAY, SERVICE, ROUTE, &format!("{policy}  options: {{{spec}}}\n")]);
    world.apply(more);
    world
}

/// The anchors in force are this CA's alone.
fn trusts(world: &World, ca: &Ca) -> bool {
    let (wanted, _) = TrustAnchors::from_pem(ca.pem().as_bytes()).unwrap();
    *world.tls("web", 443).settings().peer.anchors == wanted
}

#[test]
fn the_first_key_that_exists_holds_the_ca() {
    let mut world = with(options(), "lasthop.dev/ca-key: 'service-ca.crt, tls.crt'", &[]);
    let message = world.refusal("web", 443).message.to_string();
    assert!(message.contains("no key service-ca.crt, tls.crt; it has ca.crt"), "{message}");
    world.apply(&[&config_map("ca", "tls.crt", &Ca::new("ca").pem())]);
    assert_eq!(world.tls("web", 443).settings().peer.anchors.certificates().len(), 1);
}

#[test]
fn keys_count_in_the_order_in_which_they_are_named() {
    let (first, second) = (Ca::new("first"), Ca::new("second"));
    let data = |a: &str, b: &str| format!("{{service-ca.crt: {a:?}, ca-bundle.crt: {b:?}, ca.crt: rubbish}}");
    let map = format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: ca}}\ndata: {}\n",
        data(&first.pem(), &second.pem())
    );
    for (keys, counts) in [
        ("service-ca.crt,ca-bundle.crt,ca.crt", &first),
        ("ca-bundle.crt, service-ca.crt", &second),
        ("tls.crt, ca-bundle.crt, ca.crt", &second),
    ] {
        assert!(
            trusts(&with(options(), &format!("lasthop.dev/ca-key: '{keys}'"), &[&map]), counts),
            "{keys}"
        );
    }
    // One that exists counts even if nothing in it is of use: the next is no spare.
    for spec in ["lasthop.dev/ca-key: 'ca.crt, service-ca.crt'", ""] {
        let world = with(options(), spec, &[&map]);
        let message = world.refusal("web", 443).message.to_string();
        assert!(message.contains("no usable CA certificate"), "{message}");
    }
}

#[test]
fn a_secret_holds_its_ca_under_the_named_key() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let refs = "[{group: '', kind: Secret, name: ca}]";
    let secret = |field: &str, value: &str| {
        format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: ca}}\n{field}: {{ca-bundle.crt: {value:?}}}\n"
        )
    };
    let text = secret("stringData", &ca.pem());
    let bytes = secret("data", &base64::Engine::encode(&base64::engine::general_purpose::STANDARD, ca.pem()));
    for secret in [&text, &bytes] {
        assert!(trusts(&with_refs(refs, "lasthop.dev/ca-key: ca-bundle.crt", &[secret]), &ca), "{secret}");
        let message = with_refs(refs, "", &[secret]).refusal("web", 443).message.to_string();
        assert!(message.contains("Secret default/ca has no key ca.crt; it has ca-bundle.crt"), "{message}");
    }
    // `tls.crt` of a TLS Secret, beside a private key that is no CA's business.
    let tls = ca.secret("default", "ca", "a.internal");
    let world = with_refs(refs, "lasthop.dev/ca-key: tls.crt", &[&tls]);
    assert_eq!(world.tls("web", 443).settings().peer.anchors.certificates().len(), 1);
    // Each reference by itself; a bundle of the cluster has no keys.
    let refs = "[{group: '', kind: Secret, name: ca}, {group: '', kind: ConfigMap, name: more}, \
                {group: certificates.k8s.io, kind: ClusterTrustBundle, name: all}]";
    let bundle = format!(
        "---\napiVersion: certificates.k8s.io/v1\nkind: ClusterTrustBundle\nmetadata: {{name: all}}\n\
         spec: {{trustBundle: {:?}}}\n",
        Ca::new("third").pem()
    );
    let spec = "lasthop.dev/ca-key: 'ca-bundle.crt, ca.crt'";
    let world = with_refs(refs, spec, &[&text, &config_map("more", "ca.crt", &other.pem()), &bundle]);
    assert_eq!(world.tls("web", 443).settings().peer.anchors.certificates().len(), 3);
}

#[test]
fn a_key_means_nothing_beside_the_systems_store() {
    let (anchors, _) = TrustAnchors::from_pem(Ca::new("system").pem().as_bytes()).unwrap();
    let anchors = std::sync::Arc::new(anchors);
    let system = POLICY.replace(
        "caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]",
        "wellKnownCACertificates: System",
    );
    let mut world = World::with(Options {
        system_anchors: std::sync::Arc::new(move || Ok(anchors.clone())),
        ..options()
    });
    world.apply(&[GATEWAY, SERVICE, ROUTE, &format!("{system}  options: {{lasthop.dev/ca-key: ca.crt}}\n")]);
    let refusal = world.refusal("web", 443);
    assert_eq!(&*refusal.reason, "Invalid");
    let told = "spec.options[lasthop.dev/ca-key]: means nothing without caCertificateRefs; remove it";
    assert_eq!(&*refusal.message, told);
    assert_eq!(world.policy("policy")[0], "Accepted=False/Invalid");
    world.apply(&[&system]);
    world.tls("web", 443);
}
