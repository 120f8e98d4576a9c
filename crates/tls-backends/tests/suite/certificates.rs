//! Which backend is trusted: the same verdict and the same alert from each stack, in each version of TLS.

use lasthop_dataplane_api::UpstreamTlsSettings;
use lasthop_tls_verify::{Identity, TrustAnchors};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, KeyPair, KeyUsagePurpose, NameConstraints, RsaKeySize, SanType, date_time_ymd,
};
use std::sync::Arc;

mod demands;
mod raw_names;

use demands::lists_pins_and_depths;
use raw_names::odd_names;

use super::{
    client::{HOST, compile, connect, exchange, settings},
    peer::{Peer, config_with, provider},
    pki::{Ca, Chain, anchors, ca_params, leaf_params},
};

/// A refusal: the reason and the alert.
type Refusal = Option<(&'static str, u8)>;

struct Case {
    name: &'static str,
    chain: Chain,
    settings: UpstreamTlsSettings,
    expected: Refusal,
}

const NAME: Refusal = Some(("NameMismatch", 42));
const PURPOSE: Refusal = Some(("WrongPurpose", 43));
const DATE: Refusal = Some(("Expired", 45));
const BAD: Refusal = Some(("BadCertificate", 46));
const CONSTRAINT: Refusal = Some(("ConstraintViolation", 46));
const USAGE: Refusal = Some(("WrongKeyUsage", 47));
const UNTRUSTED: Refusal = Some(("UntrustedChain", 48));

#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn add(&mut self, name: &'static str, chain: Chain, anchors: Arc<TrustAnchors>, expected: Refusal) {
        self.0.push(Case { name, chain, settings: settings(anchors), expected });
    }

    /// With other identities than the usual one.
    fn add_for(
        &mut self,
        name: &'static str,
        chain: Chain,
        anchors: Arc<TrustAnchors>,
        identities: &[Identity],
        expected: Refusal,
    ) {
        let mut settings = settings(anchors);
        settings.peer.identities = identities.to_vec();
        self.0.push(Case { name, chain, settings, expected });
    }
}

fn host() -> CertificateParams {
    leaf_params(&["DNS:backend.example"])
}

fn with(mut params: CertificateParams, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    change(&mut params);
    params
}

fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
}

fn chains() -> Cases {
    let mut cases = Cases::default();
    let ca = Ca::new("ca");
    let trusted = || ca.anchors();
    cases.add("right", ca.issue(host()), trusted(), None);
    cases.add("expired", ca.issue(with(host(), expired)), trusted(), DATE);
    let later = with(host(), |params| params.not_before = date_time_ymd(2090, 1, 1));
    cases.add("not yet valid", ca.issue(later), trusted(), Some(("NotYetValid", 45)));
    cases.add("unknown CA", Ca::new("other").issue(host()), trusted(), UNTRUSTED);
    cases.add("another CA of the same name", Ca::new("ca").issue(host()), trusted(), BAD);
    let old = Ca::root(with(ca_params("old"), expired));
    cases.add("expired root", old.issue(host()), old.anchors(), None);

    let intermediate = ca.intermediate(ca_params("intermediate"));
    cases.add("intermediate", intermediate.issue(host()).with(&intermediate), trusted(), None);
    cases.add(
        "chain out of order",
        intermediate.issue(host()).with(&ca).with(&intermediate),
        trusted(),
        None,
    );
    cases.add("intermediate missing", intermediate.issue(host()), trusted(), UNTRUSTED);
    cases.add("intermediate as anchor", intermediate.issue(host()), intermediate.anchors(), None);
    let stale = ca.intermediate(with(ca_params("stale"), expired));
    cases.add("expired intermediate", stale.issue(host()).with(&stale), trusted(), DATE);
    let leaf = ca.intermediate(leaf_params(&["DNS:not-a-ca.example"]));
    cases.add("issued by a leaf", leaf.issue(host()).with(&leaf), trusted(), CONSTRAINT);
    let short = Ca::root(ca_params("short"));
    let short = short.intermediate(with(ca_params("ends here"), |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    }));
    let below = short.intermediate(ca_params("below"));
    let chain = below.issue(host()).with(&below).with(&short);
    // The path length of an anchor binds nobody, so this one is not the anchor.
    let root = Ca::new("root");
    let first = root.intermediate(with(ca_params("ends here too"), |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    }));
    let second = first.intermediate(ca_params("second"));
    cases.add("path length of the anchor", chain, short.anchors(), None);
    cases.add("path length", second.issue(host()).with(&second).with(&first), root.anchors(), CONSTRAINT);
    let mut deep = vec![Ca::new("deep")];
    for name in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        deep.push(deep.last().unwrap().intermediate(ca_params(name)));
    }
    let chain = deep[1..].iter().rev().fold(deep[8].issue(host()), Chain::with);
    cases.add("eight intermediates", chain, deep[0].anchors(), CONSTRAINT);
    cases
}

fn self_signed() -> Cases {
    let mut cases = Cases::default();
    let as_ca = |params| with(params, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let pinned = |chain: &Chain| anchors(&[&chain.certificates[0]]);
    let stranger = Ca::new("stranger");
    let mut add = |name, params, known: bool, expected| {
        let chain = Chain::self_signed(params);
        let anchors = if known { pinned(&chain) } else { stranger.anchors() };
        cases.add(name, chain, anchors, expected);
    };
    add("self-signed", host(), false, UNTRUSTED);
    add("self-signed, in the bundle", host(), true, None);
    add("self-signed CA", as_ca(host()), false, CONSTRAINT);
    add("self-signed CA, in the bundle", as_ca(host()), true, None);
    add("self-signed CA in the bundle, wrong name", as_ca(leaf_params(&["DNS:other.example"])), true, NAME);
    add("self-signed CA in the bundle, expired", with(as_ca(host()), expired), true, DATE);
    let for_clients =
        with(as_ca(host()), |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    add("self-signed CA in the bundle, for clients", for_clients, true, PURPOSE);
    let ca = Ca::new("ca");
    let chain = ca.issue(host());
    let anchors = pinned(&chain);
    cases.add("a leaf of a CA as its own anchor", chain, anchors, UNTRUSTED);
    let chain = ca.issue(as_ca(host()));
    let anchors = pinned(&chain);
    cases.add("a CA of a CA as its own anchor", chain, anchors, CONSTRAINT);
    cases.add("a CA as leaf", ca.issue(as_ca(host())), ca.anchors(), CONSTRAINT);
    cases
}

fn names() -> Cases {
    let mut cases = Cases::default();
    let ca = Ca::new("ca");
    let dns = |name: &str| Identity::dns(name).unwrap();
    let uri = |name: &str| Identity::uri(name).unwrap();
    let ip = |name: &str| Identity::Ip(name.parse().unwrap());
    let mut add = |name, sans: &[&str], identities: &[Identity], expected| {
        cases.add_for(name, ca.leaf(sans), ca.anchors(), identities, expected);
    };
    add("wrong name", &["DNS:other.example"], &[dns(HOST)], NAME);
    add("no names expected", &["DNS:backend.example"], &[], NAME);
    add("one of several", &["DNS:a.example", "DNS:b.example"], &[dns("x.example"), dns("b.example")], None);
    add("upper case", &["DNS:BACKEND.example"], &[dns(HOST)], None);
    add("underscore", &["DNS:my_svc.ns.svc"], &[dns("my_svc.ns.svc")], None);
    add("wildcard", &["DNS:*.example"], &[dns("backend.example")], NAME);
    add("wildcard of a domain", &["DNS:*.ns.example"], &[dns("backend.ns.example")], None);
    add("wildcard and an underscore", &["DNS:*.ns.svc"], &[dns("my_svc.ns.svc")], None);
    add("wildcard over two labels", &["DNS:*.ns.example"], &[dns("a.b.ns.example")], NAME);
    add("wildcard over none", &["DNS:*.ns.example"], &[dns("ns.example")], NAME);
    add("partial wildcard", &["DNS:back*.ns.example"], &[dns("backend.ns.example")], NAME);
    add("wildcard alone", &["DNS:*"], &[dns("backend")], NAME);
    add("the host as email", &["email:backend.example"], &[dns(HOST)], NAME);
    add("the host as URI", &["URI:backend.example"], &[dns(HOST)], NAME);
    add("NUL after the host", &["DNS:backend.example\0.attacker.example"], &[dns(HOST)], NAME);
    let spiffe = "spiffe://abc.example.com/test-identity";
    add("URI", &["URI:spiffe://abc.example.com/test-identity"], &[uri(spiffe)], None);
    add("URI or DNS", &["DNS:backend.example"], &[uri(spiffe), dns(HOST)], None);
    add("URI in another case", &["URI:spiffe://ABC.example.com/test-identity"], &[uri(spiffe)], NAME);
    add("longer URI", &["URI:spiffe://abc.example.com/test-identity/x"], &[uri(spiffe)], NAME);
    add("URI and NUL", &["URI:spiffe://abc.example.com/test-identity\0x"], &[uri(spiffe)], NAME);
    add("URI as DNS name", &["DNS:abc.example.com"], &[uri("spiffe://abc.example.com")], NAME);
    add("IPv4", &["IP:10.0.0.1"], &[ip("10.0.0.1")], None);
    add("IPv6", &["IP:2001:db8::1"], &[ip("2001:db8:0::1")], None);
    add("another address", &["IP:10.0.0.2"], &[ip("10.0.0.1")], NAME);
    add("address as DNS name", &["DNS:10.0.0.1"], &[ip("10.0.0.1")], NAME);
    let mut add = |name, sans: &[&str], expected| {
        let mut settings = settings(ca.anchors());
        settings.peer.identities = vec![uri("spiffe://a/x"), uri("spiffe://a/y"), ip("10.0.0.1")];
        settings.peer.required = vec![dns(HOST)];
        cases.0.push(Case { name, chain: ca.leaf(sans), settings, expected });
    };
    add("required name and another", &["DNS:backend.example", "URI:spiffe://a/y"], None);
    add("required name and an address", &["IP:10.0.0.1", "DNS:backend.example"], None);
    add("required name alone", &["DNS:backend.example"], NAME);
    add("required name missing", &["URI:spiffe://a/y"], NAME);
    add("required name and a wrong one", &["DNS:backend.example", "URI:spiffe://a/z"], NAME);
    let mut common_name = leaf_params(&[]);
    common_name.distinguished_name.push(DnType::CommonName, HOST);
    cases.add("common name only", ca.issue(common_name), ca.anchors(), NAME);
    cases
}

fn constraints() -> Cases {
    let mut cases = Cases::default();
    let ca = Ca::new("ca");
    let mut add = |name, change: &dyn Fn(&mut CertificateParams), expected| {
        cases.add(name, ca.issue(with(host(), change)), ca.anchors(), expected);
    };
    add("for clients", &|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth], PURPOSE);
    add("for any purpose", &|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any], PURPOSE);
    add("for email", &|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection], PURPOSE);
    add("for no purpose in particular", &|p| p.extended_key_usages = vec![], None);
    add("key encipherment only", &|p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment], USAGE);
    add("no key usage", &|p| p.key_usages = vec![], None);
    add(
        "unknown critical extension",
        &|p| {
            let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
            extension.set_criticality(true);
            p.custom_extensions = vec![extension];
        },
        BAD,
    );
    let both = |p: &mut CertificateParams| {
        p.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
        p.subject_alt_names = vec![SanType::DnsName("other.example".try_into().unwrap())];
    };
    add("wrong usage and wrong name", &both, USAGE);
    for (name, permitted, excluded, expected) in [
        ("permitted", vec![GeneralSubtree::DnsName("example".into())], vec![], None),
        ("not permitted", vec![GeneralSubtree::DnsName("example.org".into())], vec![], CONSTRAINT),
        ("excluded", vec![], vec![GeneralSubtree::DnsName("example".into())], CONSTRAINT),
    ] {
        let constrained = Ca::root(with(ca_params(name), |params| {
            params.name_constraints =
                Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded });
        }));
        cases.add(name, constrained.issue(host()), constrained.anchors(), expected);
    }
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    cases.add("RSA", ca.issue_for(host(), rsa), ca.anchors(), None);
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    cases.add("P-384", ca.issue_for(host(), p384), ca.anchors(), None);
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    cases.add("Ed25519", ca.issue_for(host(), ed25519), ca.anchors(), None);
    cases
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let groups = [chains(), self_signed(), names(), odd_names(), constraints(), lists_pins_and_depths()];
    let mut names: Vec<&str> = groups.iter().flat_map(|cases| &cases.0).map(|case| case.name).collect();
    let cases = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases);
    assert!(cases >= 100, "{cases} cases only");
    eprintln!("{cases} cases in the matrix");
}

async fn run(cases: Cases, versions: &[&'static rustls::SupportedProtocolVersion]) {
    let mut wrong = Vec::new();
    for case in cases.0 {
        let mut peer = Peer::new(config_with(provider(), versions, &case.chain, None)).await;
        let verdict = connect(&compile(case.settings), peer.address, &[]).await;
        let got = match verdict {
            Ok((mut stream, _)) => {
                exchange(&mut stream).await.unwrap();
                None
            }
            Err(error) => Some((error.reason(), peer.alert().await)),
        };
        if got != case.expected {
            wrong.push(format!("{}: expected {:?}, got {got:?}", case.name, case.expected));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each group of cases in each version.
macro_rules! matrix {
    ($($group:ident)*) => {$(
        mod $group {
            #[tokio::test]
            async fn tls12() {
                super::run(super::$group(), &[&rustls::version::TLS12]).await;
            }

            #[tokio::test]
            async fn tls13() {
                super::run(super::$group(), &[&rustls::version::TLS13]).await;
            }
        }
    )*};
}

matrix! { chains self_signed names odd_names constraints lists_pins_and_depths }
