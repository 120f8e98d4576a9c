//! webpki's errors in our words.

use webpki::Error;

use crate::TlsError;

/// Every error of webpki as one of ours. New ones of later versions are bad certificates.
pub(crate) fn from_webpki(error: Error) -> TlsError {
    let bad = |what: &str| TlsError::BadCertificate(what.to_owned());
    let constraint = |what: &str| TlsError::ConstraintViolation(what.to_owned());
    match error {
        Error::UnknownIssuer | Error::CertDistrusted => TlsError::UntrustedChain,
        Error::CertExpired { .. } => TlsError::Expired,
        Error::CertNotValidYet { .. } => TlsError::NotYetValid,
        Error::CertRevoked => TlsError::Revoked,
        // A list that is out of date, of a wrong signer or of a kind we cannot read speaks for nobody.
        Error::UnknownRevocationStatus
        | Error::CrlExpired { .. }
        | Error::InvalidCrlNumber
        | Error::InvalidCrlSignatureForPublicKey
        | Error::IssuerNotCrlSigner
        | Error::UnsupportedCrlIssuingDistributionPoint
        | Error::UnsupportedCrlVersion
        | Error::UnsupportedDeltaCrl
        | Error::UnsupportedIndirectCrl
        | Error::UnsupportedRevocationReason
        | Error::UnsupportedRevocationReasonsPartitioning
        | Error::UnsupportedCrlSignatureAlgorithmContext(_)
        | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => TlsError::RevocationUnknown,
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => TlsError::WrongPurpose,
        Error::CaUsedAsEndEntity => constraint(
            "a CA's certificate is used as the leaf; only a self-signed one that is in the bundle may be",
        ),
        Error::EndEntityUsedAsCa => constraint("a certificate that is no CA's has issued another"),
        Error::NameConstraintViolation => constraint("a name is outside a CA's name constraints"),
        Error::MalformedNameConstraint | Error::InvalidNetworkMaskConstraint => {
            constraint("a CA's name constraints are malformed")
        }
        Error::PathLenConstraintViolated => constraint("a CA's path length is exceeded"),
        Error::MaximumPathDepthExceeded => constraint("too many intermediate certificates"),
        Error::MaximumPathBuildCallsExceeded
        | Error::MaximumSignatureChecksExceeded
        | Error::MaximumNameConstraintComparisonsExceeded => {
            constraint("the chain takes too much work to verify")
        }
        Error::InvalidSignatureForPublicKey => {
            bad("a signature does not fit the issuer's key; another CA of the same name may have made it")
        }
        Error::SignatureAlgorithmMismatch
        | Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            bad("a signature is of a kind that is not accepted")
        }
        Error::UnsupportedCertVersion => bad("its version is not 3"),
        Error::UnsupportedCriticalExtension => bad("it has a critical extension that is not known"),
        Error::UnsupportedNameType => bad("it has a name of a kind that is not known"),
        Error::MalformedDnsIdentifier => bad("it has a malformed DNS name"),
        Error::InvalidCertValidity | Error::BadDerTime => bad("its dates are malformed"),
        Error::InvalidSerialNumber => bad("its serial number is malformed"),
        Error::BadDer
        | Error::ExtensionValueInvalid
        | Error::MalformedExtensions
        | Error::TrailingData(_) => bad("it cannot be parsed"),
        other => TlsError::BadCertificate(other.to_string()),
    }
}
