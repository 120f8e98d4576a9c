//! What a dataplane's TLS stack can do. A policy that asks for more is refused in status, never weakened.

use serde::Serialize;

use crate::{CipherSuite, Group, TlsVersion};

/// The TLS stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsStack {
    /// rustls over AWS-LC.
    Rustls,
    /// BoringSSL.
    Boringssl,
    /// The dataplane's own.
    Other,
}

/// What a TLS stack can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TlsCapabilities {
    /// Which stack.
    pub stack: TlsStack,
    /// The versions it speaks.
    pub versions: Vec<TlsVersion>,
    /// The cipher suites it offers if asked to.
    pub cipher_suites: Vec<CipherSuite>,
    /// Whether the choice and order of TLS 1.3 suites can be set.
    pub tls13_suite_choice: bool,
    /// The groups it offers if asked to.
    pub groups: Vec<Group>,
}

impl TlsStack {
    /// The name used in settings and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rustls => "rustls",
            Self::Boringssl => "boringssl",
            Self::Other => "other",
        }
    }
}
