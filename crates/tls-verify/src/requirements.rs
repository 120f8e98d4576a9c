//! What a policy demands of a peer's certificate.

mod covers;

use std::sync::Arc;

use serde::Serialize;

use crate::{ContentHasher, Identity, TrustAnchors};

/// How much of the peer's certificate is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VerifyMode {
    /// Chain and identity.
    #[default]
    Full,
    /// The chain only. Somebody must have allowed it in writing.
    Chain,
    /// Nothing. Somebody must have allowed it in writing.
    None,
}

/// The SHA-256 of a SubjectPublicKeyInfo (RFC 7469 §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SpkiPin(pub [u8; 32]);

/// Everything that decides whether a peer is accepted.
#[derive(Clone, Debug, Serialize)]
pub struct PeerRequirements {
    /// The CAs to trust.
    pub anchors: Arc<TrustAnchors>,
    /// The identities of which the certificate must carry at least one.
    pub identities: Vec<Identity>,
    /// The identities that the certificate must carry beside that one, every one of them.
    pub required: Vec<Identity>,
    /// How much is verified.
    pub mode: VerifyMode,
    /// If not empty: a certificate of the chain must have one of these keys.
    pub pins: Vec<SpkiPin>,
    /// Certificate revocation lists in DER. If not empty, every certificate of the chain must be spoken for.
    #[serde(skip)]
    pub crls: Vec<Arc<[u8]>>,
    /// The most intermediate certificates a chain may have; `None` is the verifier's own bound.
    pub max_depth: Option<u8>,
}

impl PeerRequirements {
    /// Full verification against these anchors and identities.
    pub fn new(anchors: Arc<TrustAnchors>, identities: Vec<Identity>) -> Self {
        Self {
            anchors,
            identities,
            required: Vec::new(),
            mode: VerifyMode::Full,
            pins: Vec::new(),
            crls: Vec::new(),
            max_depth: None,
        }
    }

    /// Adds all of it to a policy's id.
    pub fn hash_into(&self, hasher: &mut ContentHasher) {
        // Destructured, so that a new field cannot be forgotten here.
        let Self { anchors, identities, required, mode, pins, crls, max_depth } = self;
        hasher.field(anchors.id().as_bytes());
        for identities in [identities, required] {
            hasher.count(identities.len());
            let mut names: Vec<String> = identities.iter().map(Identity::to_string).collect();
            names.sort();
            names.iter().for_each(|name| {
                hasher.field(name.as_bytes());
            });
        }
        hasher.field(&[*mode as u8]);
        hasher.count(pins.len());
        pins.iter().for_each(|pin| {
            hasher.field(&pin.0);
        });
        hasher.count(crls.len());
        crls.iter().for_each(|crl| {
            hasher.field(crl);
        });
        hasher.field(&max_depth.map_or([0, 0], |depth| [1, depth]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_decides_is_part_of_the_id() {
        let anchors = || {
            let key = rcgen::KeyPair::generate().unwrap();
            let ca = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap();
            Arc::new(TrustAnchors::from_der(vec![ca.der().clone()]).unwrap().0)
        };
        let (names, more) = (|name: &str| Identity::dns(name).unwrap(), anchors());
        let base = PeerRequirements::new(anchors(), vec![names("a.test"), names("b.test")]);
        let id = |requirements: &PeerRequirements| {
            let mut hasher = ContentHasher::new("test");
            requirements.hash_into(&mut hasher);
            hasher.finish()
        };
        let with = |change: &dyn Fn(&mut PeerRequirements)| {
            let mut changed = base.clone();
            change(&mut changed);
            id(&changed)
        };
        assert_eq!(with(&|new| new.identities.reverse()), id(&base));
        let mut ids = vec![
            id(&base),
            with(&|new| new.anchors = more.clone()),
            with(&|new| drop(new.identities.pop())),
            with(&|new| new.required = vec![names("a.test")]),
            with(&|new| new.required = new.identities.split_off(1)),
            with(&|new| new.mode = VerifyMode::Chain),
            with(&|new| new.mode = VerifyMode::None),
            with(&|new| new.pins = vec![SpkiPin([0; 32])]),
            with(&|new| new.crls = vec![Arc::from([0; 32])]),
            with(&|new| new.max_depth = Some(0)),
            with(&|new| new.max_depth = Some(1)),
        ];
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
