use std::io;

use lasthop_dataplane_api::{
    BackendKey, EndpointsKey, ObjectName, Sni, UpstreamTlsPolicy, UpstreamTlsSettings,
};
use lasthop_tls_verify::{CertifiedKey, Identity};
use lasthop_translator::HopPolicy;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

use super::*;
use crate::probe::plan::Speaks;

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn params(names: Vec<SanType>) -> CertificateParams {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "the leaf");
    params.subject_alt_names = names;
    params
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn leaf(ca: &Ca, params: &CertificateParams) -> CertificateDer<'static> {
    params.signed_by(&KeyPair::generate().unwrap(), ca).unwrap().der().clone()
}

fn anchors(ca: &Ca) -> TrustAnchors {
    TrustAnchors::from_der(vec![ca.der().clone()]).unwrap().0
}

/// A policy that trusts the CA and expects `a.test`.
fn settings(ca: &Ca) -> UpstreamTlsSettings {
    let peer = PeerRequirements::new(Arc::new(anchors(ca)), vec![Identity::dns("a.test").unwrap()]);
    UpstreamTlsSettings::new(peer, Sni::Name("a.test".parse().unwrap()))
}

fn target(settings: UpstreamTlsSettings) -> Target {
    target_of("default/shop", settings)
}

fn target_of(source: &str, settings: UpstreamTlsSettings) -> Target {
    let policy = Arc::new(UpstreamTlsPolicy::new(source, settings));
    let stack = lasthop_tls_backends::backend(lasthop_tls_backends::available()[0]).unwrap();
    let tls = stack.upstream(&policy).unwrap();
    let described = HopPolicy {
        policy: policy.source.clone(),
        id: String::new(),
        authorities: vec![("ConfigMap default/ca".into(), 1)],
        identities: policy.settings().peer.identities.clone(),
        required: policy.settings().peer.required.clone(),
        verify: policy.settings().peer.mode,
        sni: policy.settings().sni.clone(),
        client_certificate: Some("default/ours".into()),
        min_version: policy.settings().min_version,
        max_version: policy.settings().max_version,
    };
    let service = EndpointsKey::service(ObjectName::new("default", "shop"), 443);
    Target {
        backend: BackendKey { gateway: ObjectName::new("default", "front"), endpoints: service },
        address: "192.0.2.1:8443".parse().unwrap(),
        policy,
        tls,
        described: Arc::new(described),
        speaks: Speaks::Http1,
        host: None,
    }
}

/// The advice for what the policy's own verdict on this chain is, with a system store that knows `system` only.
fn judged(
    settings: UpstreamTlsSettings,
    chain: Vec<CertificateDer<'static>>,
    system: &Ca,
) -> (String, String) {
    let target = target(settings);
    let now = UnixTime::now();
    let error =
        verify(target.policy.settings().peer.clone(), &chain, now).expect_err("the policy refuses it");
    let reason = error.reason().to_owned();
    let outcome = Outcome { failure: Some(FailureReason::UpstreamTls(error)), chain, ..Outcome::default() };
    let advice =
        advise(&target, outcome.failure.as_ref(), &outcome, &mut SystemStore::of(anchors(system)), now);
    (reason, advice.remedies.join("\n"))
}

fn failed(settings: UpstreamTlsSettings, error: TlsError) -> Advice {
    let outcome = Outcome { failure: Some(FailureReason::UpstreamTls(error)), ..Outcome::default() };
    advise(
        &target(settings),
        outcome.failure.as_ref(),
        &outcome,
        &mut SystemStore(Some(None)),
        UnixTime::now(),
    )
}

#[test]
fn another_name_is_spelt_as_the_policy_would() {
    let (ours, other) = (ca("ours"), ca("other"));
    let names = vec![
        dns("b.test"),
        dns("*.c.test"),
        SanType::URI("spiffe://x/y".try_into().unwrap()),
        SanType::IpAddress("192.0.2.1".parse().unwrap()),
    ];
    let chain = vec![leaf(&ours, &params(names))];
    let (reason, advice) = judged(settings(&ours), chain.clone(), &other);
    assert_eq!(reason, "NameMismatch");
    let expected = [
        "spec.validation.hostname: b.test",
        "spec.validation.subjectAltNames: [{type: URI, uri: \"spiffe://x/y\"}]",
        "spec.options: lasthop.dev/subject-ip-sans: \"192.0.2.1\"",
        "spec.validation.hostname: a name of one label below c.test, which *.c.test covers",
    ];
    assert_eq!(advice.lines().collect::<Vec<_>>(), expected);

    // A policy with subjectAltNames keeps its hostname, which is the SNI only.
    let mut with_alt_names = settings(&ours);
    with_alt_names.peer.identities = vec![Identity::uri("spiffe://x/z").unwrap()];
    let (_, advice) = judged(with_alt_names, chain, &other);
    assert!(
        advice.starts_with("spec.validation.subjectAltNames: [{type: Hostname, hostname: b.test}]"),
        "{advice}"
    );
}

#[test]
fn an_xbackend_is_advised_in_its_own_fields() {
    let (ours, theirs) = (ca("ours"), ca("theirs"));
    let advice = |error: TlsError, chain: Vec<CertificateDer<'static>>, settings| {
        let outcome =
            Outcome { failure: Some(FailureReason::UpstreamTls(error)), chain, ..Outcome::default() };
        let (target, now) = (target_of("XBackend default/pay", settings), UnixTime::now());
        let mut system = SystemStore::of(anchors(&theirs));
        advise(&target, outcome.failure.as_ref(), &outcome, &mut system, now).remedies.join("\n")
    };
    let names = vec![dns("b.test"), SanType::IpAddress("192.0.2.1".parse().unwrap())];
    let mismatch = TlsError::NameMismatch { expected: vec![], required: vec![], presented: vec![] };
    let told = advice(mismatch, vec![leaf(&ours, &params(names))], settings(&ours));
    assert_eq!(told, "spec.tls.validation.hostname: b.test", "an address cannot be named there");
    let chain = vec![leaf(&theirs, &params(vec![dns("a.test")]))];
    let told = advice(TlsError::UntrustedChain, chain, settings(&ours));
    assert!(told.contains("or spec.tls.validation.wellKnownCACertificates: System"), "{told}");
    let mut http1 = settings(&ours);
    http1.alpn = vec!["http/1.1".into()];
    let taken = |selected: Option<&str>| TlsError::AlpnMismatch {
        offered: vec!["http/1.1".to_owned()],
        selected: selected.map(str::to_owned),
    };
    for (error, wanted) in [
        (taken(None), "let the backend take http/1.1 by ALPN, or change spec.protocol"),
        (taken(Some("h2")), "the backend speaks h2, and http/1.1 is asked for: see spec.protocol"),
        (TlsError::ClientCertRefused(116), "spec.tls.clientCertificateRef"),
        (TlsError::PeerAlert(112), "into spec.tls.validation.hostname"),
    ] {
        let told = advice(error, Vec::new(), http1.clone());
        assert!(told.contains(wanted) && !told.contains("lasthop.dev/"), "{told}");
    }
}

#[test]
fn a_required_hostname_is_advised_beside_the_other_names() {
    let ours = ca("ours");
    let uri = |name: &str| SanType::URI(name.try_into().unwrap());
    let both = |names: Vec<SanType>| {
        let mut both = settings(&ours);
        both.peer.identities = vec![Identity::uri("spiffe://x/y").unwrap()];
        both.peer.required = vec![Identity::dns("a.test").unwrap()];
        let (reason, advice) = judged(both, vec![leaf(&ours, &params(names))], &ours);
        assert_eq!(reason, "NameMismatch");
        advice.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let away = "take lasthop.dev/require-hostname away: then the hostname is the SNI only";
    assert_eq!(
        both(vec![dns("b.test"), uri("spiffe://x/y")]),
        ["spec.validation.hostname: b.test".to_owned(), format!("or {away}")]
    );
    assert_eq!(both(vec![uri("spiffe://x/y")]), [away]);
    let other = "spec.validation.subjectAltNames: [{type: URI, uri: \"spiffe://x/z\"}]";
    assert_eq!(both(vec![dns("a.test"), uri("spiffe://x/z")]), [other]);
    assert_eq!(both(vec![uri("spiffe://x/z")]), [away.to_owned(), format!("and {other}")]);
    let alone = both(vec![dns("a.test")]);
    assert!(alone.len() == 1 && alone[0].starts_with("name no subjectAltNames"), "{alone:?}");
}

#[test]
fn a_certificate_without_names_is_told() {
    let ours = ca("ours");
    let (_, advice) = judged(settings(&ours), vec![leaf(&ours, &params(vec![]))], &ours);
    assert!(advice.contains("a common name is never one"), "{advice}");
}

#[test]
fn the_missing_ca_is_named_and_the_system_asked() {
    let (ours, theirs) = (ca("ours"), ca("their CA"));
    let good = vec![leaf(&theirs, &params(vec![dns("a.test")]))];
    let (reason, advice) = judged(settings(&ours), good.clone(), &theirs);
    assert_eq!(reason, "UntrustedChain");
    assert!(advice.contains("ConfigMap default/ca lacks the CA CN=their CA:"), "{advice}");
    assert!(advice.contains("wellKnownCACertificates: System in place"), "{advice}");

    let (_, advice) = judged(settings(&ours), good, &ca("nobody"));
    assert!(advice.contains("the system's store does not verify it either"), "{advice}");

    let wrong_name = vec![leaf(&theirs, &params(vec![dns("b.test")])), theirs.der().clone()];
    let (_, advice) = judged(settings(&ours), wrong_name, &theirs);
    assert!(advice.contains("verifies the chain, but not the names"), "{advice}");
    assert!(advice.contains("and spec.validation.hostname: b.test"), "{advice}");
}

#[test]
fn a_ca_of_the_same_name_is_told_apart() {
    let (old, new) = (ca("the CA"), ca("the CA"));
    let chain = vec![leaf(&new, &params(vec![dns("a.test")]))];
    let (reason, advice) = judged(settings(&old), chain, &ca("nobody"));
    // The signature was tried with the namesake's key.
    assert_eq!(reason, "BadCertificate");
    assert!(advice.contains("holds a CA named CN=the CA that is not the one"), "{advice}");
}

#[test]
fn a_self_signed_leaf_may_be_its_own_ca() {
    let key = KeyPair::generate().unwrap();
    let alone = params(vec![dns("a.test")]).self_signed(&key).unwrap().der().clone();
    let (_, advice) = judged(settings(&ca("ours")), vec![alone], &ca("nobody"));
    assert!(advice.contains("self-signed certificate (CN=the leaf): put that very certificate"), "{advice}");
}

#[test]
fn dates_name_the_certificate() {
    let ours = ca("ours");
    let mut over = params(vec![dns("a.test")]);
    (over.not_before, over.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    let (reason, advice) = judged(settings(&ours), vec![leaf(&ours, &over)], &ours);
    assert_eq!(reason, "Expired");
    assert!(advice.starts_with("CN=the leaf expired on 2021-01-01: renew it"), "{advice}");
}

#[test]
fn a_pin_is_advised_only_if_it_would_do() {
    let ours = ca("ours");
    let mut pinned = settings(&ours);
    pinned.peer.pins = vec![lasthop_tls_verify::SpkiPin([7; 32])];
    let chain = vec![leaf(&ours, &params(vec![dns("a.test")]))];
    let pin = STANDARD.encode(CertificateSummary::of(&chain[0]).unwrap().pin.0);
    let (reason, advice) = judged(pinned.clone(), chain, &ours);
    assert_eq!(reason, "PinMismatch");
    assert!(advice.contains(&format!("lasthop.dev/spki-pins: {pin} (the key of CN=the leaf)")), "{advice}");

    // The name is wrong too, so no pin alone would do.
    let wrong = vec![leaf(&ours, &params(vec![dns("b.test")]))];
    assert_eq!(judged(pinned, wrong, &ours), ("PinMismatch".to_owned(), String::new()));
}

#[test]
fn a_client_certificate_is_asked_for_by_its_issuers() {
    let ours = ca("ours");
    let mut outcome = Outcome {
        failure: Some(FailureReason::UpstreamTls(TlsError::ClientCertRefused(116))),
        client_authorities: Some(vec!["CN=clients".to_owned()]),
        ..Outcome::default()
    };
    let mut system = SystemStore(Some(None));
    let advice =
        advise(&target(settings(&ours)), outcome.failure.as_ref(), &outcome, &mut system, UnixTime::now());
    let told = advice.remedies.join("");
    assert!(told.contains("wants a client certificate issued by CN=clients: name its Secret"), "{told}");

    let key = KeyPair::generate().unwrap();
    let shown = params(vec![dns("g.test")]).signed_by(&key, &ours).unwrap();
    let mut with_ours = settings(&ours);
    with_ours.client_certificate = Some(Arc::new(
        CertifiedKey::from_pem(shown.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap(),
    ));
    let advice =
        advise(&target(with_ours.clone()), outcome.failure.as_ref(), &outcome, &mut system, UnixTime::now());
    let told = advice.remedies.join("");
    assert!(told.contains("Secret default/ours (CN=the leaf, issued by CN=ours)"), "{told}");
    assert!(told.contains("show one issued by CN=clients"), "{told}");

    // It asks, and takes the handshake all the same.
    outcome.failure = None;
    let advice =
        advise(&target(settings(&ours)), outcome.failure.as_ref(), &outcome, &mut system, UnixTime::now());
    assert!(advice.remedies.is_empty());
    assert!(advice.notes[0].contains("it asks for a client certificate issued by CN=clients"), "{advice:?}");
    assert_eq!(
        advise(&target(with_ours), outcome.failure.as_ref(), &outcome, &mut system, UnixTime::now()),
        Advice::default()
    );
}

#[test]
fn versions_and_protocols_name_the_option() {
    let ours = ca("ours");
    let only = |min, max| UpstreamTlsSettings { min_version: min, max_version: max, ..settings(&ours) };
    for (settings, told) in [
        (only(TlsVersion::V1_3, TlsVersion::V1_3), "lasthop.dev/min-version: \"1.2\""),
        (only(TlsVersion::V1_2, TlsVersion::V1_2), "lasthop.dev/max-version: \"1.3\""),
        (only(TlsVersion::V1_2, TlsVersion::V1_3), "neither TLS 1.2 nor TLS 1.3"),
    ] {
        let advice = failed(settings, TlsError::NoCommonVersion).remedies.join("");
        assert!(advice.contains(told), "{advice}");
    }
    let mismatch = |offered: &str, selected: Option<&str>| TlsError::AlpnMismatch {
        offered: vec![offered.to_owned()],
        selected: selected.map(str::to_owned),
    };
    let by_policy = UpstreamTlsSettings { alpn: vec!["h2".into()], ..settings(&ours) };
    for (settings, error, told) in [
        (settings(&ours), mismatch("h2", None), "kubernetes.io/h2c, needs HTTP/2"),
        (by_policy, mismatch("h2", None), "none of the protocols of lasthop.dev/alpn"),
        (settings(&ours), mismatch("h2", Some("http/1.1")), "speaks http/1.1, and these requests need h2"),
        (settings(&ours), TlsError::NotTls, "point the Service's targetPort at the backend's TLS port"),
        (settings(&ours), TlsError::PeerAlert(112), "does not know the server name a.test"),
        (settings(&ours), TlsError::Io(io::ErrorKind::ConnectionReset), "closed the connection"),
    ] {
        let advice = failed(settings, error).remedies.join("");
        assert!(advice.contains(told), "{told} is not in {advice}");
    }
}
