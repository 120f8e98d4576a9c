//! The verdict on a peer's certificate chain.

use pki_types::{CertificateDer, UnixTime};

use crate::{PeerRequirements, TlsError};

/// Decides whether a peer is who the policy says. Made once per policy; immutable.
pub struct Verifier {
    requirements: PeerRequirements,
}

/// A chain that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    _private: (),
}

impl Verifier {
    /// A verifier for these requirements.
    pub fn new(requirements: PeerRequirements) -> Self {
        Self { requirements }
    }

    /// What it demands.
    pub fn requirements(&self) -> &PeerRequirements {
        &self.requirements
    }

    /// The verdict on a server's chain, leaf first, at this time.
    pub fn verify_server(&self, _chain: &[CertificateDer<'_>], _now: UnixTime) -> Result<Verified, TlsError> {
        Err(TlsError::UntrustedChain)
    }
}
