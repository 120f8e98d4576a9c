use std::sync::{Arc, LazyLock};

use pki_types::CertificateDer;

use super::*;
use crate::{Identity, SpkiPin, TrustAnchors};

static CAS: LazyLock<Vec<CertificateDer<'static>>> = LazyLock::new(|| {
    let ca = |_| {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap().der().clone()
    };
    (0..3).map(ca).collect()
});

fn anchors(which: &[usize]) -> Arc<TrustAnchors> {
    Arc::new(TrustAnchors::from_der(which.iter().map(|i| CAS[*i].clone()).collect()).unwrap().0)
}

fn base() -> PeerRequirements {
    PeerRequirements::new(anchors(&[0, 1]), vec![Identity::dns("a.test").unwrap(), dns("b.test")])
}

fn dns(name: &str) -> Identity {
    Identity::dns(name).unwrap()
}

fn crl(content: u8) -> Arc<[u8]> {
    Arc::from([content])
}

type Change = fn(&mut PeerRequirements);

/// A change, whether it covers what was before, and whether what was before covers it.
const CHANGES: [(&str, Change, bool, bool); 20] = [
    ("nothing", |_| {}, true, true),
    ("a CA more", |new| new.anchors = anchors(&[0, 1, 2]), true, false),
    ("a CA less", |new| new.anchors = anchors(&[1]), false, true),
    ("another CA", |new| new.anchors = anchors(&[1, 2]), false, false),
    ("a name more", |new| new.identities.push(dns("c.test")), true, false),
    ("a name less", |new| drop(new.identities.remove(0)), false, true),
    ("names in another order", |new| new.identities.reverse(), true, true),
    ("another name", |new| new.identities = vec![dns("c.test")], false, false),
    ("a required name", |new| new.required = vec![dns("a.test")], false, true),
    (
        "a required name, and the chain only",
        |new| {
            new.required = vec![dns("c.test")];
            new.mode = VerifyMode::Chain;
        },
        true,
        false,
    ),
    ("the chain only", |new| new.mode = VerifyMode::Chain, true, false),
    ("nothing verified", |new| new.mode = VerifyMode::None, true, false),
    ("a pin", |new| new.pins = vec![SpkiPin([1; 32])], false, true),
    ("a list", |new| new.crls = vec![crl(1)], false, true),
    ("a depth", |new| new.max_depth = Some(1), false, true),
    (
        "a CA more and a name less",
        |new| {
            new.anchors = anchors(&[0, 1, 2]);
            new.identities.pop();
        },
        false,
        false,
    ),
    (
        "the chain only, by another CA",
        |new| {
            new.mode = VerifyMode::Chain;
            new.anchors = anchors(&[2]);
        },
        false,
        false,
    ),
    (
        "nothing verified, another CA, other names",
        |new| {
            new.mode = VerifyMode::None;
            new.anchors = anchors(&[2]);
            new.identities.clear();
            new.max_depth = Some(0);
            new.crls = vec![crl(1)];
        },
        true,
        false,
    ),
    (
        "nothing verified but a pin",
        |new| {
            new.mode = VerifyMode::None;
            new.pins = vec![SpkiPin([1; 32])];
        },
        false,
        false,
    ),
    ("no name is right", |new| new.identities.clear(), false, true),
];

#[test]
fn only_what_asks_for_no_more_covers_what_was() {
    for (what, change, covers, covered) in CHANGES {
        let old = base();
        let mut new = base();
        change(&mut new);
        assert_eq!(new.covers(&old), covers, "{what}");
        assert_eq!(old.covers(&new), covered, "{what}, undone");
    }
}

#[test]
fn required_names_are_compared_with_what_was_proven() {
    let names = |identities: &[&str], required: &[&str]| PeerRequirements {
        identities: identities.iter().map(|name| dns(name)).collect(),
        required: required.iter().map(|name| dns(name)).collect(),
        ..base()
    };
    let covers =
        |new: (&[&str], &[&str]), old: (&[&str], &[&str])| names(new.0, new.1).covers(&names(old.0, old.1));
    assert!(covers((&["b"], &["a"]), (&["b"], &["a"])));
    assert!(covers((&["b", "c"], &["a"]), (&["b"], &["a", "d"])));
    assert!(!covers((&["b"], &["a", "d"]), (&["b"], &["a"])));
    assert!(!covers((&["b"], &["a"]), (&["b"], &["d"])));
    assert!(!covers((&["c"], &["a"]), (&["b"], &["a"])));
    // Every peer of before carried the required name, and the only one of several if there was no other.
    assert!(covers((&["a"], &[]), (&["b"], &["a"])));
    assert!(covers((&["a", "b"], &["a"]), (&["a"], &[])));
    assert!(!covers((&["a", "b"], &["a"]), (&["a", "b"], &[])));
    assert!(!covers((&["b"], &["a"]), (&["a"], &[])));
}

#[test]
fn pins_lists_and_depths_are_compared_with_those_before() {
    let pins = |pins: &[u8]| PeerRequirements {
        pins: pins.iter().map(|pin| SpkiPin([*pin; 32])).collect(),
        ..base()
    };
    assert!(pins(&[1, 2]).covers(&pins(&[1])));
    assert!(!pins(&[1]).covers(&pins(&[1, 2])));
    assert!(!pins(&[2]).covers(&pins(&[1])));
    assert!(!pins(&[1]).covers(&pins(&[])));
    assert!(pins(&[]).covers(&pins(&[1])));
    // The pinned key may be an issuer's, and of an unverified chain the leaf alone counts.
    let unverified = PeerRequirements { mode: VerifyMode::None, ..pins(&[1]) };
    assert!(!unverified.covers(&pins(&[1])));
    assert!(unverified.covers(&unverified));

    let lists = |lists: &[u8]| PeerRequirements { crls: lists.iter().copied().map(crl).collect(), ..base() };
    assert!(lists(&[1, 2]).covers(&lists(&[2, 1])));
    assert!(lists(&[]).covers(&lists(&[1])));
    for (new, old) in [(&[1, 2][..], &[1][..]), (&[1], &[1, 2]), (&[2], &[1]), (&[1], &[])] {
        assert!(!lists(new).covers(&lists(old)), "{new:?} {old:?}");
    }

    let depth = |max_depth| PeerRequirements { max_depth, ..base() };
    assert!(depth(Some(2)).covers(&depth(Some(1))));
    assert!(!depth(Some(1)).covers(&depth(Some(2))));
    assert!(depth(None).covers(&depth(Some(2))));
}
