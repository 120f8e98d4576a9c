//! `--with-ca`: what a new CA bundle would change.

use std::{fs, io, path::Path, sync::Arc};

use lasthop_dataplane_api::{FailureReason, UpstreamTlsPolicy};
use lasthop_tls_verify::{AnchorError, PeerRequirements, SkippedCertificate, TlsError, TrustAnchors};
use lasthop_translator::HopPolicy;
use pki_types::UnixTime;

use super::{Outcome, Target, shown, verify};

/// A new bundle.
pub(super) struct Bundle {
    pub(super) file: String,
    pub(super) anchors: Arc<TrustAnchors>,
    /// What of it cannot be used.
    pub(super) skipped: Vec<SkippedCertificate>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum BundleError {
    #[error("--with-ca {0}: {1}")]
    Unreadable(String, io::Error),
    #[error("--with-ca {0}: {1}")]
    Unusable(String, AnchorError),
}

/// The verdicts on what an endpoint presented. Both are `None` if it presented nothing.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Comparison {
    /// By the policy as it is.
    pub(super) old: Option<Result<(), TlsError>>,
    /// By the policy with the new bundle.
    pub(super) new: Option<Result<(), FailureReason>>,
}

impl Bundle {
    pub(super) fn read(path: &Path) -> Result<Self, BundleError> {
        let pem = fs::read(path).map_err(|error| BundleError::Unreadable(shown(path), error))?;
        let (anchors, skipped) =
            TrustAnchors::from_pem(&pem).map_err(|error| BundleError::Unusable(shown(path), error))?;
        Ok(Self { file: shown(path), anchors: Arc::new(anchors), skipped })
    }

    /// The same endpoint under its policy with this bundle in place of its CAs.
    pub(super) fn in_place_of(&self, target: &Target) -> Target {
        let mut settings = target.policy.settings().clone();
        settings.peer.anchors = self.anchors.clone();
        let policy = UpstreamTlsPolicy::new(target.policy.source.clone(), settings);
        let authorities = vec![(self.file.as_str().into(), self.anchors.certificates().len())];
        let described = HopPolicy { authorities, ..HopPolicy::clone(&target.described) };
        Target { policy: Arc::new(policy), described: Arc::new(described), ..target.clone() }
    }

    /// Judges what was presented once by the policy and once with this bundle in place of its CAs.
    pub(super) fn compare(&self, target: &Target, outcome: &Outcome, now: UnixTime) -> Comparison {
        if outcome.chain.is_empty() {
            return Comparison::default();
        }
        let peer = &target.policy.settings().peer;
        let changed = PeerRequirements { anchors: self.anchors.clone(), ..peer.clone() };
        let verdict = |requirements| verify(requirements, &outcome.chain, now);
        Comparison {
            old: Some(verdict(peer.clone())),
            new: Some(verdict(changed).map_err(FailureReason::UpstreamTls)),
        }
    }
}

impl Comparison {
    /// Why the endpoint would fail with the new bundle, given why it fails now.
    pub(super) fn failure<'a>(&'a self, now: Option<&'a FailureReason>) -> Option<&'a FailureReason> {
        match (&self.old, &self.new) {
            (_, Some(Err(error))) => Some(error),
            // What ended the handshake is mended.
            (Some(Err(_)), Some(Ok(()))) => None,
            _ => now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_bundle_decides_about_trust_and_nothing_else() {
        let untrusted = || FailureReason::UpstreamTls(TlsError::UntrustedChain);
        let refused = FailureReason::UpstreamTls(TlsError::ClientCertRefused(116));
        let old_only = Comparison { old: Some(Ok(())), new: Some(Err(untrusted())) };
        assert_eq!(old_only.failure(None), Some(&untrusted()));
        let new_only = Comparison { old: Some(Err(TlsError::UntrustedChain)), new: Some(Ok(())) };
        assert_eq!(new_only.failure(Some(&untrusted())), None);
        let both = Comparison { old: Some(Ok(())), new: Some(Ok(())) };
        assert_eq!(both.failure(None), None);
        assert_eq!(both.failure(Some(&refused)), Some(&refused));
        let unseen = Comparison::default();
        assert_eq!(unseen.failure(Some(&FailureReason::ConnectFailed)), Some(&FailureReason::ConnectFailed));
    }
}
