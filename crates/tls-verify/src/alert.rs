//! The alert that goes with a refusal (RFC 8446 §6.2). Both stacks send the one that stands here.

use crate::TlsError;

/// Alerts by their IANA names.
const NAMES: [(u8, &str); 33] = [
    (0, "close_notify"),
    (10, "unexpected_message"),
    (20, "bad_record_mac"),
    (22, "record_overflow"),
    (40, "handshake_failure"),
    (42, "bad_certificate"),
    (43, "unsupported_certificate"),
    (44, "certificate_revoked"),
    (45, "certificate_expired"),
    (46, "certificate_unknown"),
    (47, "illegal_parameter"),
    (48, "unknown_ca"),
    (49, "access_denied"),
    (50, "decode_error"),
    (51, "decrypt_error"),
    (52, "too_many_cids_requested"),
    (70, "protocol_version"),
    (71, "insufficient_security"),
    (80, "internal_error"),
    (86, "inappropriate_fallback"),
    (90, "user_canceled"),
    (100, "no_renegotiation"),
    (109, "missing_extension"),
    (110, "unsupported_extension"),
    (111, "certificate_unobtainable"),
    (112, "unrecognized_name"),
    (113, "bad_certificate_status_response"),
    (114, "bad_certificate_hash_value"),
    (115, "unknown_psk_identity"),
    (116, "certificate_required"),
    (117, "general_error"),
    (120, "no_application_protocol"),
    (121, "ech_required"),
];

/// The IANA name of an alert.
pub fn alert_name(alert: u8) -> Option<&'static str> {
    NAMES.iter().find(|(number, _)| *number == alert).map(|(_, name)| *name)
}

impl TlsError {
    /// The alert to send when a certificate is refused for this reason; `None` if the reason is no verdict on a
    /// certificate, and the stack's own alert, or none, is the right one.
    pub fn certificate_alert(&self) -> Option<u8> {
        Some(match self {
            Self::NameMismatch { .. } => 42,
            Self::WrongPurpose => 43,
            Self::Revoked => 44,
            Self::Expired | Self::NotYetValid => 45,
            // Not bad_certificate: rustls sends its detailed refusals as certificate_unknown only.
            Self::BadCertificate(_) | Self::ConstraintViolation(_) => 46,
            // BoringSSL refuses it by itself, so.
            Self::WrongKeyUsage => 47,
            Self::UntrustedChain | Self::RevocationUnknown => 48,
            Self::PinMismatch => 49,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_sorted() {
        assert!(NAMES.is_sorted());
        assert_eq!(alert_name(116), Some("certificate_required"));
        assert_eq!(alert_name(1), None);
    }
}
