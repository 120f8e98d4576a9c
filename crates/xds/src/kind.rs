//! The types of resources, and how they are named.

use std::sync::Arc;

use lasthop_tls_verify::ContentId;

/// What a proxy subscribes to: everything of its Gateway, as one type, so that one response is one update.
pub(crate) const SNAPSHOT: &str = "type.lasthop.dev/v1.Snapshot";

/// What a proxy names that only says what it serves: it follows another replica.
pub(crate) const REPORT: &str = "type.lasthop.dev/v1.Report";

/// The types of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Listener,
    HttpRule,
    L4Rule,
    Backend,
    Endpoints,
    /// A set of CA certificates, named by its content: backends and listeners refer to it.
    TrustAnchors,
    /// A chain with its private key, named by its content.
    Certificate,
    /// A revocation list, named by its content.
    Crl,
    /// What clients' sessions are sealed with, named by the Gateway; only where a rule keeps sessions.
    SessionSecret,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Listener,
        Self::HttpRule,
        Self::L4Rule,
        Self::Backend,
        Self::Endpoints,
        Self::TrustAnchors,
        Self::Certificate,
        Self::Crl,
        Self::SessionSecret,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Listener => "Listener",
            Self::HttpRule => "HttpRule",
            Self::L4Rule => "L4Rule",
            Self::Backend => "Backend",
            Self::Endpoints => "Endpoints",
            Self::TrustAnchors => "TrustAnchors",
            Self::Certificate => "Certificate",
            Self::Crl => "Crl",
            Self::SessionSecret => "SessionSecret",
        }
    }

    /// The type in an `Any`.
    pub(crate) fn type_url(self) -> String {
        format!("type.lasthop.dev/v1.{}", self.label())
    }

    /// The name of the resource with this key.
    pub(crate) fn name(self, key: &dyn std::fmt::Display) -> Arc<str> {
        format!("{}/{key}", self.label()).into()
    }

    /// Kind and key of a resource by its name.
    pub(crate) fn of_name(name: &str) -> Option<(Self, &str)> {
        let (label, key) = name.split_once('/')?;
        Some((Self::ALL.into_iter().find(|kind| kind.label() == label)?, key))
    }
}

/// All of an id, in hexadecimal digits.
pub(crate) fn hex(id: &ContentId) -> String {
    hex_bytes(id.as_bytes())
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
