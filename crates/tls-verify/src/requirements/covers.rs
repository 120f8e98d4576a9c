//! Whether one policy's demands are at most another's.

use super::{PeerRequirements, VerifyMode};
use crate::Identity;

impl PeerRequirements {
    /// Whether every peer that `old` accepts is accepted by these requirements too. Decided without a peer at hand, so
    /// in doubt the answer is no: a list of revoked certificates that was replaced may have grown.
    pub fn covers(&self, old: &Self) -> bool {
        // Destructured, so that a new field cannot be forgotten here.
        let Self { anchors, identities, required, mode, pins, crls, max_depth } = self;
        if strictness(*mode) > strictness(old.mode) {
            return false;
        }
        // Without verification the leaf alone can be pinned: a pin that another certificate of the chain fulfilled no
        // longer helps.
        let pins_hold = pins.is_empty()
            || (contains(pins, &old.pins)
                && !old.pins.is_empty()
                && (*mode == VerifyMode::None) == (old.mode == VerifyMode::None));
        if *mode == VerifyMode::None {
            return pins_hold;
        }
        let depth_holds = match (max_depth, old.max_depth) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(new), Some(old)) => *new >= old,
        };
        let crls_hold = crls.is_empty() || (contains(crls, &old.crls) && contains(&old.crls, crls));
        // What every accepted peer carried.
        let proven = |name: &Identity| old.required.contains(name) || *old.identities == [name.clone()];
        let identities_hold = *mode != VerifyMode::Full
            || ((contains(identities, &old.identities) || identities.iter().any(proven))
                && required.iter().all(proven));
        let anchors_hold = anchors.id() == old.anchors.id()
            || old.anchors.certificates().iter().all(|certificate| {
                // Sorted by their bytes.
                anchors
                    .certificates()
                    .binary_search_by(|known| known.as_ref().cmp(certificate.as_ref()))
                    .is_ok()
            });
        pins_hold && depth_holds && crls_hold && identities_hold && anchors_hold
    }
}

/// How much a mode asks for: each asks for what the lower ones do.
fn strictness(mode: VerifyMode) -> u8 {
    match mode {
        VerifyMode::None => 0,
        VerifyMode::Chain => 1,
        VerifyMode::Full => 2,
    }
}

fn contains<T: PartialEq>(all: &[T], some: &[T]) -> bool {
    some.iter().all(|one| all.contains(one))
}

#[cfg(test)]
mod tests;
