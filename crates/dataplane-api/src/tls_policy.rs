//! A TLS policy: what a user's BackendTLSPolicy and Gateway mean, compiled into plain data.

mod shrinks;

use std::{fmt, sync::Arc};

use lasthop_tls_verify::{CertifiedKey, ContentHasher, ContentId, DnsName, PeerRequirements};
use serde::{Deserialize, Serialize};

pub use shrinks::Trust;

/// The address of everything that decides trust. Sessions and pooled connections belong to it; anything that changes
/// makes a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PolicyId(ContentId);

/// A TLS policy. Immutable: made by [`UpstreamTlsPolicy::new`], replaced, never changed.
#[derive(Debug, Serialize)]
pub struct UpstreamTlsPolicy {
    id: PolicyId,
    /// What it was made from.
    pub source: Arc<str>,
    #[serde(flatten)]
    settings: UpstreamTlsSettings,
}

/// What a TLS policy says.
#[derive(Clone, Debug, Serialize)]
pub struct UpstreamTlsSettings {
    /// What the backend must prove.
    pub peer: PeerRequirements,
    /// The name sent in the server_name extension (RFC 6066 §3); independent of what is verified.
    pub sni: Sni,
    /// The certificate shown if the backend asks for one.
    pub client_certificate: Option<Arc<CertifiedKey>>,
    /// The lowest version offered.
    pub min_version: TlsVersion,
    /// The highest version offered.
    pub max_version: TlsVersion,
    /// The cipher suites offered, in order; empty means the stack's own choice.
    pub cipher_suites: Vec<CipherSuite>,
    /// The key exchange groups offered, in order; empty means the stack's own choice.
    pub groups: Vec<Group>,
    /// The protocols offered by ALPN, in order; empty means what the request's protocol needs.
    pub alpn: Vec<Arc<str>>,
    /// Whether sessions of this policy may be resumed.
    pub resumption: bool,
    /// The name of the bearer token (RFC 6750) that each request carries, in place of the client's `Authorization`; the
    /// dataplane knows where tokens stand. Only where the peer proves its name.
    pub bearer_token: Option<Arc<str>>,
}

/// What the server_name extension says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Sni {
    /// This name.
    Name(#[serde(serialize_with = "as_text")] DnsName),
    /// Nothing is sent.
    None,
    /// The request's host.
    RequestHost,
}

/// A TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "1.3")]
    V1_3,
}

/// A cipher suite, by its IANA name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(non_camel_case_types, missing_docs, reason = "the IANA names")]
pub enum CipherSuite {
    TLS_AES_128_GCM_SHA256,
    TLS_AES_256_GCM_SHA384,
    TLS_CHACHA20_POLY1305_SHA256,
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

/// A key exchange group, by its IANA name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the IANA names")]
#[allow(non_camel_case_types, reason = "the IANA names")]
pub enum Group {
    X25519MLKEM768,
    X25519,
    Secp256r1,
    Secp384r1,
}

impl TlsVersion {
    /// Its number, such as `1.3`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

impl PolicyId {
    /// All of it; the text form is shorter.
    pub fn content(&self) -> ContentId {
        self.0
    }
}

impl UpstreamTlsSettings {
    /// Full verification with the versions, suites and groups a stack offers by itself.
    pub fn new(peer: PeerRequirements, sni: Sni) -> Self {
        Self {
            peer,
            sni,
            client_certificate: None,
            min_version: TlsVersion::V1_2,
            max_version: TlsVersion::V1_3,
            cipher_suites: Vec::new(),
            groups: Vec::new(),
            alpn: Vec::new(),
            resumption: true,
            bearer_token: None,
        }
    }

    fn id(&self) -> PolicyId {
        // Destructured, so that a new field cannot be forgotten here.
        let Self {
            peer,
            sni,
            client_certificate,
            min_version,
            max_version,
            cipher_suites,
            groups,
            alpn,
            resumption,
            bearer_token,
        } = self;
        let mut hasher = ContentHasher::new("upstream-tls-policy");
        peer.hash_into(&mut hasher);
        match sni {
            Sni::Name(name) => hasher.field(b"name").field(name.as_str().as_bytes()),
            Sni::None => hasher.field(b"none").field(b""),
            Sni::RequestHost => hasher.field(b"request-host").field(b""),
        };
        match client_certificate {
            Some(certificate) => hasher.field(certificate.id().as_bytes()),
            None => hasher.field(b""),
        };
        hasher.field(&[*min_version as u8, *max_version as u8, u8::from(*resumption)]);
        hasher.field(&[u8::from(bearer_token.is_some())]);
        hasher.field(bearer_token.as_deref().unwrap_or_default().as_bytes());
        hasher.field(format!("{cipher_suites:?}{groups:?}{alpn:?}").as_bytes());
        PolicyId(hasher.finish())
    }
}

impl UpstreamTlsPolicy {
    /// A policy; `source` names the user's object, as `namespace/name`.
    pub fn new(source: impl Into<Arc<str>>, settings: UpstreamTlsSettings) -> Self {
        Self { id: settings.id(), source: source.into(), settings }
    }

    /// The address of its content.
    pub fn id(&self) -> PolicyId {
        self.id
    }

    /// What it says.
    pub fn settings(&self) -> &UpstreamTlsSettings {
        &self.settings
    }
}

impl PartialEq for UpstreamTlsPolicy {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.source == other.source
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

fn as_text<S: serde::Serializer>(name: &DnsName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}
