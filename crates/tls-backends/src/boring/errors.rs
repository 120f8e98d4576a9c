//! BoringSSL's errors in our words.

use std::io;

use boring::{
    error::ErrorStack,
    ssl::{Error, ErrorCode, SslAlert},
};
use lasthop_tls_verify::TlsError;

use crate::classify::{self, NOT_OFFERED, Side};

/// ERR_LIB_SSL, which `boring` does not name.
const TLS: i32 = 16;
/// ERR_LIB_EVP, which reads and uses keys.
const KEYS: i32 = 6;
/// Reasons from here on are alerts of the peer, plus this.
const ALERTS: i32 = 1000;

/// The alert that goes with a verdict, as BoringSSL takes it.
pub(super) fn alert(verdict: &TlsError) -> SslAlert {
    match verdict.certificate_alert() {
        Some(43) => SslAlert::UNSUPPORTED_CERTIFICATE,
        Some(44) => SslAlert::CERTIFICATE_REVOKED,
        Some(45) => SslAlert::CERTIFICATE_EXPIRED,
        Some(46) => SslAlert::CERTIFICATE_UNKNOWN,
        Some(47) => SslAlert::ILLEGAL_PARAMETER,
        Some(48) => SslAlert::UNKNOWN_CA,
        Some(49) => SslAlert::ACCESS_DENIED,
        _ => SslAlert::BAD_CERTIFICATE,
    }
}

/// BoringSSL's error in our words.
pub(super) fn tls_error(error: &Error, side: Side) -> TlsError {
    if let Some(stack) = error.ssl_error() {
        return from_stack(stack, side);
    }
    match error.io_error() {
        Some(error) => classify::from_socket(error),
        None if error.code() == ErrorCode::SYSCALL => TlsError::Truncated,
        None => TlsError::ProtocolViolation(error.to_string()),
    }
}

fn from_stack(stack: &ErrorStack, side: Side) -> TlsError {
    // The first error is the cause; those after it say what was given up because of it.
    let Some(error) = stack.errors().first() else {
        return TlsError::ProtocolViolation("BoringSSL does not say what happened".to_owned());
    };
    if error.library_code() == TLS
        && let Ok(alert) = u8::try_from(error.reason_code() - ALERTS)
    {
        return classify::from_alert(alert, side);
    }
    // What a key's own routines say first differs with the kind of key.
    let bad = |what: &str| TlsError::BadCertificate(what.to_owned());
    if stack
        .errors()
        .iter()
        .any(|error| error.library_code() == TLS && error.reason() == Some("BAD_SIGNATURE"))
    {
        return bad("the handshake's signature is wrong");
    }
    if stack.errors().iter().any(|error| error.library_code() == KEYS) {
        // Found before the verifier is asked, which would say the same.
        return bad("its key is of a kind that cannot be read");
    }
    match error.reason().unwrap_or_default() {
        "KEY_USAGE_BIT_INCORRECT" => TlsError::WrongKeyUsage,
        "PEER_DID_NOT_RETURN_A_CERTIFICATE" => TlsError::NoPeerCertificate,
        "NO_APPLICATION_PROTOCOL" => TlsError::AlpnMismatch { offered: Vec::new(), selected: None },
        "INVALID_ALPN_PROTOCOL" => {
            TlsError::AlpnMismatch { offered: Vec::new(), selected: Some(NOT_OFFERED.to_owned()) }
        }
        "NO_SHARED_CIPHER"
        | "NO_SHARED_GROUP"
        | "NO_COMMON_SIGNATURE_ALGORITHMS"
        | "WRONG_CURVE"
        | "BAD_ECC_CERT"
        | "WRONG_CIPHER_RETURNED"
        | "UNKNOWN_CIPHER_RETURNED"
        | "NO_CIPHERS_SPECIFIED" => TlsError::NoCommonCipher,
        "UNSUPPORTED_PROTOCOL" | "WRONG_SSL_VERSION" | "NO_SUPPORTED_VERSIONS_ENABLED" => {
            TlsError::NoCommonVersion
        }
        "WRONG_SIGNATURE_TYPE" => bad("the handshake's signature is wrong"),
        reason => TlsError::ProtocolViolation(reason.to_lowercase().replace('_', " ")),
    }
}

/// An error of an established connection, for whoever reads or writes it.
pub(super) fn io_error(error: Error) -> io::Error {
    match error.into_io_error() {
        Ok(error) => error,
        Err(error) => {
            // Post-handshake alerts that matter are a backend's about our certificate.
            let named = tls_error(&error, Side::Upstream);
            let kind = match named {
                TlsError::Truncated => io::ErrorKind::UnexpectedEof,
                _ => io::ErrorKind::InvalidData,
            };
            io::Error::new(kind, named)
        }
    }
}
