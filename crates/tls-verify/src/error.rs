//! What can go wrong on a TLS connection: one taxonomy for both stacks.
//!
//! Each error says what happened, whose fault it is and whether trying again is safe. The reason names are part of
//! the product: they stand in the access log and in metrics.

use std::fmt;

use serde::Serialize;

use crate::{Identity, alert_name};

/// Who is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The backend.
    Upstream,
    /// The client.
    Downstream,
    /// Our own configuration or machine.
    Local,
}

/// Whether another attempt may help. No byte of a request was sent when a handshake failed, so it is always safe;
/// this says whether it is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// No endpoint would answer otherwise.
    Never,
    /// Another endpoint may do better.
    OtherEndpoint,
}

/// Why a TLS connection failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// The chain ends at no trust anchor of the policy.
    UntrustedChain,
    /// The peer's certificate, or one it depends on, has expired.
    Expired,
    /// The peer's certificate, or one it depends on, is not valid yet.
    NotYetValid,
    /// A certificate of the chain is revoked.
    Revoked,
    /// The policy has revocation lists, and none speaks for a certificate of the chain.
    RevocationUnknown,
    /// The certificate carries none of the expected identities, or lacks a required one.
    NameMismatch {
        /// The identities of which one is enough.
        expected: Vec<Identity>,
        /// The identities of which every one is needed beside it.
        required: Vec<Identity>,
        /// The subject alternative names the certificate has, as `DNS:`, `IP:` or `URI:` texts.
        presented: Vec<String>,
    },
    /// The extended key usage does not allow the certificate for this end of a TLS connection.
    WrongPurpose,
    /// The key usage does not allow the key to sign a handshake.
    WrongKeyUsage,
    /// A constraint of a CA (names, path length, being a CA at all) forbids the chain.
    ConstraintViolation(String),
    /// A certificate cannot be parsed, or a signature is wrong or of a kind not accepted.
    BadCertificate(String),
    /// No certificate of the chain has a pinned key.
    PinMismatch,
    /// The peer sent no certificate.
    NoPeerCertificate,
    /// No common protocol version.
    NoCommonVersion,
    /// No common cipher suite or group.
    NoCommonCipher,
    /// The peer took no protocol of those offered by ALPN, or one that was not offered (RFC 7301 §3.2).
    AlpnMismatch {
        /// What was offered.
        offered: Vec<String>,
        /// What the peer chose.
        selected: Option<String>,
    },
    /// The peer refused our certificate, or asked for one that we do not have. The number is the alert's.
    ClientCertRefused(u8),
    /// The peer ended the handshake with this alert (RFC 8446 §6).
    PeerAlert(u8),
    /// What came is not TLS: plaintext, or bytes out of order.
    NotTls,
    /// TLS, but not as the protocol demands.
    ProtocolViolation(String),
    /// The connection ended without close_notify, inside the handshake or after it (RFC 8446 §6.1).
    Truncated,
    /// No listener of the port has the name the client asked for (RFC 6066 §3).
    UnrecognizedName(Option<String>),
    /// The handshake took longer than it may.
    Timeout,
    /// The socket failed.
    Io(std::io::ErrorKind),
    /// Our own side could not be set up.
    Local(String),
}

impl TlsError {
    /// The reason's name, for logs, metrics and status.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UntrustedChain => "UntrustedChain",
            Self::Expired => "Expired",
            Self::NotYetValid => "NotYetValid",
            Self::Revoked => "Revoked",
            Self::RevocationUnknown => "RevocationUnknown",
            Self::NameMismatch { .. } => "NameMismatch",
            Self::WrongPurpose => "WrongPurpose",
            Self::WrongKeyUsage => "WrongKeyUsage",
            Self::ConstraintViolation(_) => "ConstraintViolation",
            Self::BadCertificate(_) => "BadCertificate",
            Self::PinMismatch => "PinMismatch",
            Self::NoPeerCertificate => "NoPeerCertificate",
            Self::NoCommonVersion => "NoCommonVersion",
            Self::NoCommonCipher => "NoCommonCipher",
            Self::AlpnMismatch { .. } => "AlpnMismatch",
            Self::ClientCertRefused(_) => "ClientCertRefused",
            Self::PeerAlert(_) => "PeerAlert",
            Self::NotTls => "NotTls",
            Self::ProtocolViolation(_) => "ProtocolViolation",
            Self::Truncated => "Truncated",
            Self::UnrecognizedName(_) => "UnrecognizedName",
            Self::Timeout => "HandshakeTimeout",
            Self::Io(_) => "Io",
            Self::Local(_) => "Local",
        }
    }

    /// Whose fault it is on a connection with this peer: [`Fault::Upstream`] for a backend, [`Fault::Downstream`] for a
    /// client.
    pub fn fault(&self, peer: Fault) -> Fault {
        match self {
            Self::Local(_) => Fault::Local,
            _ => peer,
        }
    }

    /// Whether another attempt may help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Local(_) => Retry::Never,
            _ => Retry::OtherEndpoint,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UntrustedChain => {
                f.write_str("the certificate chain ends at no trust anchor of the policy")
            }
            Self::Expired => f.write_str("a certificate of the chain has expired"),
            Self::NotYetValid => f.write_str("a certificate of the chain is not valid yet"),
            Self::Revoked => f.write_str("a certificate of the chain is revoked"),
            Self::RevocationUnknown => {
                f.write_str("no revocation list speaks for a certificate of the chain")
            }
            Self::NameMismatch { expected, required, presented } => {
                if required.is_empty() {
                    f.write_str("the certificate has none of the expected names: expected ")?;
                } else {
                    f.write_str("the certificate lacks an expected name: expected ")?;
                    join(f, required)?;
                    f.write_str(" and one of ")?;
                }
                join(f, expected)?;
                f.write_str("; presented ")?;
                if presented.is_empty() {
                    f.write_str("no subject alternative name")
                } else {
                    join(f, presented)
                }
            }
            Self::WrongPurpose => f.write_str(
                "the certificate's extended key usage does not allow this end of a TLS connection",
            ),
            Self::WrongKeyUsage => {
                f.write_str("the certificate's key usage does not allow digital signatures")
            }
            Self::ConstraintViolation(what) => write!(f, "a CA's constraint forbids the chain: {what}"),
            Self::BadCertificate(what) => write!(f, "bad certificate: {what}"),
            Self::PinMismatch => f.write_str("no certificate of the chain has a pinned key"),
            Self::NoPeerCertificate => f.write_str("the peer sent no certificate"),
            Self::NoCommonVersion => f.write_str("no common TLS version"),
            Self::NoCommonCipher => f.write_str("no common cipher suite or group"),
            Self::AlpnMismatch { offered, selected } => {
                write!(f, "ALPN: offered {}, the peer chose ", offered.join(", "))?;
                f.write_str(selected.as_deref().unwrap_or("none"))
            }
            Self::ClientCertRefused(alert) => {
                write!(f, "the peer refused our client certificate: alert {}", Alert(*alert))
            }
            Self::PeerAlert(alert) => write!(f, "the peer ended the connection with alert {}", Alert(*alert)),
            Self::NotTls => f.write_str("the peer does not speak TLS"),
            Self::ProtocolViolation(what) => write!(f, "the peer broke the TLS protocol: {what}"),
            Self::Truncated => f.write_str("the connection ended without close_notify"),
            Self::UnrecognizedName(Some(name)) => write!(f, "no listener has the name {name:?}"),
            Self::UnrecognizedName(None) => {
                f.write_str("the client sent no server name, and no listener takes that")
            }
            Self::Timeout => f.write_str("the TLS handshake took too long"),
            Self::Io(kind) => write!(f, "{kind}"),
            Self::Local(what) => write!(f, "TLS could not be set up: {what}"),
        }
    }
}

/// An alert's number and name.
struct Alert(u8);

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, alert_name(self.0).unwrap_or("unassigned"))
    }
}

fn join<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    items.iter().enumerate().try_for_each(|(i, item)| write!(f, "{}{item}", if i > 0 { ", " } else { "" }))
}

impl std::error::Error for TlsError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<TlsError> {
        let text = || "what".to_owned();
        vec![
            TlsError::UntrustedChain,
            TlsError::Expired,
            TlsError::NotYetValid,
            TlsError::Revoked,
            TlsError::RevocationUnknown,
            TlsError::NameMismatch { expected: vec![], required: vec![], presented: vec![] },
            TlsError::WrongPurpose,
            TlsError::WrongKeyUsage,
            TlsError::ConstraintViolation(text()),
            TlsError::BadCertificate(text()),
            TlsError::PinMismatch,
            TlsError::NoPeerCertificate,
            TlsError::NoCommonVersion,
            TlsError::NoCommonCipher,
            TlsError::AlpnMismatch { offered: vec![], selected: None },
            TlsError::ClientCertRefused(42),
            TlsError::PeerAlert(40),
            TlsError::NotTls,
            TlsError::ProtocolViolation(text()),
            TlsError::Truncated,
            TlsError::UnrecognizedName(None),
            TlsError::Timeout,
            TlsError::Io(std::io::ErrorKind::ConnectionReset),
            TlsError::Local(text()),
        ]
    }

    #[test]
    fn every_error_has_a_reason_and_words_of_its_own() {
        for words in [|error: &TlsError| error.reason().to_owned(), TlsError::to_string] {
            let mut words: Vec<String> = all().iter().map(words).collect();
            words.sort();
            words.dedup();
            assert_eq!(words.len(), all().len());
        }
    }

    #[test]
    fn only_our_own_set_up_is_our_fault_and_the_same_at_every_endpoint() {
        for error in all() {
            let ours = error.reason() == "Local";
            for peer in [Fault::Upstream, Fault::Downstream] {
                assert_eq!(error.fault(peer), if ours { Fault::Local } else { peer }, "{error}");
            }
            assert_eq!(error.retry() == Retry::Never, ours, "{error}");
        }
    }
}
