use std::sync::{Arc, LazyLock};

use lasthop_tls_verify::{CertifiedKey, Identity, PeerRequirements, SpkiPin, TrustAnchors, VerifyMode};
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::{CipherSuite, Group, Sni, TlsVersion};

struct Ca {
    anchor: Arc<TrustAnchors>,
    as_client: Arc<CertifiedKey>,
}

static CAS: LazyLock<Vec<Ca>> = LazyLock::new(|| {
    let ca = |_| {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap();
        let der = certificate.der().clone();
        Ca {
            anchor: Arc::new(TrustAnchors::from_der(vec![der]).unwrap().0),
            as_client: Arc::new(
                CertifiedKey::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap(),
            ),
        }
    };
    (0..3).map(ca).collect()
});

const NAMES: [&str; 3] = ["a.test", "b.test", "c.test"];
const SUITES: [CipherSuite; 3] = [
    CipherSuite::TLS_AES_128_GCM_SHA256,
    CipherSuite::TLS_AES_256_GCM_SHA384,
    CipherSuite::TLS_CHACHA20_POLY1305_SHA256,
];
const GROUPS: [Group; 3] = [Group::X25519MLKEM768, Group::X25519, Group::Secp256r1];

fn anchors(which: &[usize]) -> Arc<TrustAnchors> {
    Arc::new(TrustAnchors::union(which.iter().map(|i| &*CAS[*i].anchor)).unwrap())
}

fn settings(cas: &[usize], names: &[usize]) -> UpstreamTlsSettings {
    let identities = names.iter().map(|i| Identity::dns(NAMES[*i]).unwrap()).collect();
    UpstreamTlsSettings::new(PeerRequirements::new(anchors(cas), identities), Sni::None)
}

fn base() -> UpstreamTlsSettings {
    settings(&[0, 1], &[0, 1])
}

type Change = fn(&mut UpstreamTlsSettings);

/// A change, and whether it shrinks trust, done and undone.
const CHANGES: [(&str, Change, bool, bool); 15] = [
    ("nothing", |_| {}, false, false),
    ("a CA more", |new| new.peer.anchors = anchors(&[0, 1, 2]), false, true),
    ("another CA", |new| new.peer.anchors = anchors(&[2]), true, true),
    ("a name less", |new| drop(new.peer.identities.pop()), true, false),
    ("a required name", |new| new.peer.required = vec![Identity::dns(NAMES[0]).unwrap()], true, false),
    ("a pin", |new| new.peer.pins = vec![SpkiPin([1; 32])], true, false),
    ("a list", |new| new.peer.crls = vec![Arc::from([1])], true, false),
    ("1.3 only", |new| new.min_version = TlsVersion::V1_3, true, false),
    ("1.2 only", |new| new.max_version = TlsVersion::V1_2, true, false),
    ("a suite", |new| new.cipher_suites = vec![SUITES[0]], true, false),
    ("a group", |new| new.groups = vec![GROUPS[0]], true, false),
    ("another SNI", |new| new.sni = Sni::RequestHost, false, false),
    ("a client certificate", |new| new.client_certificate = Some(CAS[0].as_client.clone()), false, false),
    ("protocols", |new| new.alpn = vec![Arc::from("h2")], false, false),
    ("no resumption", |new| new.resumption = false, false, false),
];

#[test]
fn changes_shrink_trust_or_do_not() {
    for (what, change, done, undone) in CHANGES {
        let (old, mut new) = (base(), base());
        change(&mut new);
        assert_eq!(Trust::Proven(&old).shrinks_to(Trust::Proven(&new)), done, "{what}");
        assert_eq!(Trust::Proven(&new).shrinks_to(Trust::Proven(&old)), undone, "{what}, undone");
    }
}

#[test]
fn a_policy_that_comes_shrinks_trust_and_one_that_goes_does_not() {
    let policy = base();
    let kinds = [Trust::Anyone, Trust::Proven(&policy), Trust::Nobody];
    let shrinks = kinds.map(|old| kinds.map(|new| old.shrinks_to(new)));
    assert_eq!(shrinks, [[false, true, true], [false, false, true], [false, false, false]]);
}

#[test]
fn choices_are_compared_with_those_before() {
    assert!(widens(&[1, 2], &[2]) && widens::<u8>(&[], &[]) && widens(&[], &[1]));
    assert!(!widens(&[1], &[1, 2]) && !widens(&[1], &[]) && !widens(&[1], &[2]));
}

/// A handshake, as far as policies judge it.
#[derive(Debug)]
struct Peer {
    issuer: usize,
    names: Vec<usize>,
    /// The leaf's key, then those of its issuers.
    keys: Vec<u8>,
    /// What each list says: nothing, that it is good, that it is revoked.
    lists: [u8; 2],
    depth: u8,
    version: TlsVersion,
    suite: CipherSuite,
    group: Group,
}

/// What the settings say, written down a second time.
fn accepts(settings: &UpstreamTlsSettings, peer: &Peer) -> bool {
    let demands = &settings.peer;
    let pinned = |keys: &[u8]| {
        demands.pins.is_empty() || keys.iter().any(|key| demands.pins.contains(&SpkiPin([*key; 32])))
    };
    let certificate = match demands.mode {
        VerifyMode::None => pinned(&peer.keys[..1]),
        mode => {
            let issuer = &CAS[peer.issuer].anchor.certificates()[0];
            let lists: Vec<u8> = demands.crls.iter().map(|crl| peer.lists[usize::from(crl[0])]).collect();
            let carried: Vec<Identity> =
                peer.names.iter().map(|name| Identity::dns(NAMES[*name]).unwrap()).collect();
            let named = carried.iter().any(|name| demands.identities.contains(name))
                && demands.required.iter().all(|name| carried.contains(name));
            demands.anchors.certificates().contains(issuer)
                && pinned(&peer.keys)
                && (lists.is_empty() || (lists.contains(&1) && !lists.contains(&2)))
                && demands.max_depth.is_none_or(|most| peer.depth <= most)
                && (mode == VerifyMode::Chain || named)
        }
    };
    certificate
        && (settings.min_version..=settings.max_version).contains(&peer.version)
        && (settings.cipher_suites.is_empty() || settings.cipher_suites.contains(&peer.suite))
        && (settings.groups.is_empty() || settings.groups.contains(&peer.group))
}

fn any_settings() -> impl Strategy<Value = UpstreamTlsSettings> {
    let demands = (
        vec(0..3usize, 1..4),
        vec(0..3usize, 1..4),
        select(&[VerifyMode::Full, VerifyMode::Full, VerifyMode::Chain, VerifyMode::None][..]),
        vec(0..3u8, 0..3),
        vec(0..2u8, 0..3),
        proptest::option::of(0..3u8),
        vec(0..3usize, 0..3),
    );
    let offers = (
        select(&[TlsVersion::V1_2, TlsVersion::V1_3][..]),
        vec(select(&SUITES[..]), 0..3),
        vec(select(&GROUPS[..]), 0..3),
    );
    (demands, offers).prop_map(|((cas, names, mode, pins, crls, depth, required), (min, suites, groups))| {
        let mut settings = settings(&cas, &names);
        settings.peer.mode = mode;
        settings.peer.pins = pins.into_iter().map(|pin| SpkiPin([pin; 32])).collect();
        settings.peer.crls = crls.into_iter().map(|crl| Arc::from([crl])).collect();
        settings.peer.max_depth = depth;
        settings.peer.required = required.iter().map(|i| Identity::dns(NAMES[*i]).unwrap()).collect();
        settings.min_version = min;
        settings.cipher_suites = suites;
        settings.groups = groups;
        settings
    })
}

fn any_peer() -> impl Strategy<Value = Peer> {
    (
        (0..3usize, vec(0..3usize, 1..4), vec(0..3u8, 1..3), [0..3u8, 0..3u8], 0..3u8),
        (select(&[TlsVersion::V1_2, TlsVersion::V1_3][..]), select(&SUITES[..]), select(&GROUPS[..])),
    )
        .prop_map(|((issuer, names, keys, lists, depth), (version, suite, group))| Peer {
            issuer,
            names,
            keys,
            lists,
            depth,
            version,
            suite,
            group,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Trust that does not shrink accepts whom it accepted. The second policy differs from the first in one to all
    /// points, so that many pairs are related.
    #[test]
    fn trust_that_does_not_shrink_accepts_whom_it_accepted(
        (old, other) in (any_settings(), any_settings()),
        taken in [any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()],
        peers in vec(any_peer(), 40),
    ) {
        let mut new = old.clone();
        let [cas, names, mode, pins, crls, depth, offers, required] = taken;
        if cas { new.peer.anchors = other.peer.anchors.clone(); }
        if names { new.peer.identities = other.peer.identities.clone(); }
        if required { new.peer.required = other.peer.required.clone(); }
        if mode { new.peer.mode = other.peer.mode; }
        if pins { new.peer.pins = other.peer.pins.clone(); }
        if crls { new.peer.crls = other.peer.crls.clone(); }
        if depth { new.peer.max_depth = other.peer.max_depth; }
        if offers {
            new.min_version = other.min_version;
            new.cipher_suites = other.cipher_suites.clone();
            new.groups = other.groups.clone();
        }
        if !Trust::Proven(&old).shrinks_to(Trust::Proven(&new)) {
            for peer in &peers {
                prop_assert!(!accepts(&old, peer) || accepts(&new, peer), "{old:?} {new:?} {peer:?}");
            }
        }
    }
}
