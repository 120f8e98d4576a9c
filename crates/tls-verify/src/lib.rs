//! Who the peer of a TLS connection must prove to be, and whether it did.
//!
//! One verdict for every TLS stack: both call [`Verifier::verify_server`] with the chain the peer presented, and
//! neither decides anything by itself. The crate knows no TLS stack and no asynchronous runtime.

mod anchors;
mod certificate;
mod content;
mod error;
mod identity;
mod requirements;
mod verify;

pub use anchors::{AnchorError, SkippedCertificate, TrustAnchors};
pub use certificate::{CertificateError, CertifiedKey};
pub use content::{ContentHasher, ContentId};
pub use error::{Fault, Retry, TlsError};
pub use identity::{DnsName, Identity, IdentityError};
pub use requirements::{PeerRequirements, SpkiPin, VerifyMode};
pub use verify::{Verified, Verifier};
