//! rustls' errors in our words, and our verdicts in rustls' words.
//!
//! rustls chooses the alert from the error that a verifier returns. So each verdict goes in as the error with the
//! right alert and comes out again as the verdict.

use std::{io, net::Ipv4Addr, sync::Arc};

use lasthop_tls_verify::{PeerRequirements, TlsError};
use pki_types::ServerName;
use rustls::{CertificateError, Error, OtherError, PeerIncompatible, PeerMisbehaved};

use crate::classify::{self, NOT_OFFERED, Side};

const KEY_USAGE: PeerMisbehaved = PeerMisbehaved::KeyUpdateReceivedInQuicConnection;

/// The certificate's curve is none of the groups on offer. The alert is illegal_parameter, as BoringSSL sends it.
pub(super) const CURVE_NOT_OFFERED: PeerMisbehaved = PeerMisbehaved::SelectedUnofferedKxGroup;

/// A verdict as rustls takes it from a verifier.
pub(super) fn refuse(verdict: TlsError) -> Error {
    Error::InvalidCertificate(match verdict {
        // The alert is illegal_parameter, as BoringSSL sends it; rustls itself says this of QUIC only.
        TlsError::WrongKeyUsage => return KEY_USAGE.into(),
        TlsError::UntrustedChain => CertificateError::UnknownIssuer,
        TlsError::Expired => CertificateError::Expired,
        TlsError::NotYetValid => CertificateError::NotValidYet,
        TlsError::Revoked => CertificateError::Revoked,
        TlsError::RevocationUnknown => CertificateError::UnknownRevocationStatus,
        TlsError::NameMismatch { presented, .. } => CertificateError::NotValidForNameContext {
            // Of one kind and one only; what is expected is known to the policy.
            expected: ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into()),
            presented,
        },
        TlsError::WrongPurpose => CertificateError::InvalidPurpose,
        TlsError::PinMismatch => CertificateError::ApplicationVerificationFailure,
        TlsError::NoPeerCertificate => return Error::NoCertificatesPresented,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    })
}

/// The verdict again.
fn verdict(error: &CertificateError) -> TlsError {
    match error {
        CertificateError::UnknownIssuer => TlsError::UntrustedChain,
        CertificateError::Expired => TlsError::Expired,
        CertificateError::NotValidYet => TlsError::NotYetValid,
        CertificateError::Revoked => TlsError::Revoked,
        CertificateError::UnknownRevocationStatus => TlsError::RevocationUnknown,
        CertificateError::NotValidForNameContext { presented, .. } => {
            let presented = presented.clone();
            TlsError::NameMismatch { expected: Vec::new(), required: Vec::new(), presented }
        }
        CertificateError::InvalidPurpose => TlsError::WrongPurpose,
        CertificateError::ApplicationVerificationFailure => TlsError::PinMismatch,
        CertificateError::Other(OtherError(other)) => match other.downcast_ref::<TlsError>() {
            Some(verdict) => verdict.clone(),
            None => TlsError::BadCertificate(other.to_string()),
        },
        // Not the verifier's words: the signature that proves possession of the key is wrong.
        other => TlsError::BadCertificate(other.to_string()),
    }
}

/// rustls' error in our words.
pub(crate) fn tls_error(error: &Error, side: Side) -> TlsError {
    match error {
        Error::InvalidCertificate(error) => verdict(error),
        Error::NoCertificatesPresented => TlsError::NoPeerCertificate,
        Error::AlertReceived(alert) => classify::from_alert(u8::from(*alert), side),
        Error::NoApplicationProtocol => TlsError::AlpnMismatch { offered: Vec::new(), selected: None },
        Error::PeerMisbehaved(KEY_USAGE) => TlsError::WrongKeyUsage,
        Error::PeerMisbehaved(CURVE_NOT_OFFERED) => TlsError::NoCommonCipher,
        Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol) => {
            TlsError::AlpnMismatch { offered: Vec::new(), selected: Some(NOT_OFFERED.to_owned()) }
        }
        Error::PeerIncompatible(
            PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoEcPointFormatsInCommon
            | PeerIncompatible::NoSignatureSchemesInCommon
            | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon,
        ) => TlsError::NoCommonCipher,
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => TlsError::NoCommonVersion,
        Error::General(what) => TlsError::Local(what.clone()),
        Error::FailedToGetCurrentTime | Error::FailedToGetRandomBytes | Error::EncryptError => {
            TlsError::Local(error.to_string())
        }
        other => TlsError::ProtocolViolation(other.to_string()),
    }
}

/// What ended a handshake.
pub(super) fn handshake_error(error: &io::Error, began_without_tls: bool, side: Side) -> TlsError {
    if began_without_tls {
        return TlsError::NotTls;
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => tls_error(error, side),
        None => classify::from_socket(error),
    }
}

/// A mismatch of names with the names that were expected, which rustls does not carry.
pub(super) fn with_expected(error: TlsError, peer: &PeerRequirements) -> TlsError {
    match error {
        TlsError::NameMismatch { presented, .. } => TlsError::NameMismatch {
            expected: peer.identities.clone(),
            required: peer.required.clone(),
            presented,
        },
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use rustls::AlertDescription;

    use super::*;

    #[test]
    fn every_verdict_comes_back_and_sends_the_alert_of_the_map() {
        let verdicts = [
            TlsError::UntrustedChain,
            TlsError::Expired,
            TlsError::NotYetValid,
            TlsError::Revoked,
            TlsError::RevocationUnknown,
            TlsError::NameMismatch { expected: vec![], required: vec![], presented: vec!["DNS:a".into()] },
            TlsError::WrongPurpose,
            TlsError::ConstraintViolation("what".into()),
            TlsError::BadCertificate("what".into()),
            TlsError::PinMismatch,
        ];
        for before in verdicts {
            let Error::InvalidCertificate(inner) = refuse(before.clone()) else { panic!("{before:?}") };
            assert_eq!(verdict(&inner), before);
            assert_eq!(
                Some(u8::from(AlertDescription::from(inner))),
                before.certificate_alert(),
                "{before:?}"
            );
        }
    }
}
