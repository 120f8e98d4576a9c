//! Who the peer of a TLS connection must prove to be, and whether it did.
//!
//! One verdict for every TLS stack: both call [`Verifier::verify_server`] with the chain the peer presented, and
//! neither decides anything by itself. The crate knows no TLS stack and no asynchronous runtime.

mod alert;
mod anchors;
mod certificate;
mod content;
mod der;
mod details;
mod error;
mod identity;
mod requirements;
mod summary;
mod verdict;
mod verify;

pub use alert::alert_name;
pub use anchors::{AnchorError, SkippedCertificate, TrustAnchors};
pub use certificate::{CertificateError, CertifiedKey};
pub use content::{ContentHasher, ContentId};
pub use details::{leaf_curve, leaf_key, leaf_not_after};
pub use error::{Fault, Retry, TlsError};
pub use identity::{DnsName, Identity, IdentityError};
pub use requirements::{PeerRequirements, SpkiPin, VerifyMode};
pub use summary::{CertificateSummary, distinguished_name};
pub use verify::{CrlError, Verified, Verifier};
