//! What all contexts have in common, and a policy's wishes in BoringSSL's words.

use boring::{
    error::ErrorStack,
    ssl::{SslContext, SslContextBuilder, SslMethod, SslMode, SslVersion},
};
use lasthop_dataplane_api::{CipherSuite, Group, TlsVersion};

use crate::{PolicyError, iana};

/// The signatures that rustls makes and accepts too, in its order.
const SIGNATURES: &str = "ecdsa_secp384r1_sha384:ecdsa_secp256r1_sha256:ecdsa_secp521r1_sha512:ed25519:\
    rsa_pss_rsae_sha512:rsa_pss_rsae_sha384:rsa_pss_rsae_sha256:\
    rsa_pkcs1_sha512:rsa_pkcs1_sha384:rsa_pkcs1_sha256";

/// A context with these versions, suites and groups; empty means the default ones. It trusts nobody yet.
pub(super) fn new(
    (min, max): (TlsVersion, TlsVersion),
    suites: &[CipherSuite],
    groups: &[Group],
) -> Result<SslContextBuilder, PolicyError> {
    // Not SslConnector, which reads the system's trust store each time.
    let mut context = SslContext::builder(SslMethod::tls()).map_err(setup)?;
    context.set_mode(SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::ENABLE_PARTIAL_WRITE);
    context.set_min_proto_version(Some(version(min))).map_err(setup)?;
    context.set_max_proto_version(Some(version(max))).map_err(setup)?;
    let suites = suite_list(if suites.is_empty() { &iana::CIPHER_SUITES } else { suites });
    context.set_strict_cipher_list(&suites).map_err(setup)?;
    context.set_curves_list(&group_list(groups)).map_err(setup)?;
    context.set_sigalgs_list(SIGNATURES).map_err(setup)?;
    Ok(context)
}

/// What BoringSSL says about a failure to set something up.
pub(super) fn setup(error: ErrorStack) -> PolicyError {
    PolicyError::Setup(error.to_string())
}

fn version(version: TlsVersion) -> SslVersion {
    match version {
        TlsVersion::V1_2 => SslVersion::TLS1_2,
        TlsVersion::V1_3 => SslVersion::TLS1_3,
    }
}

/// The version of a connection.
pub(super) fn version_of(version: Option<SslVersion>) -> TlsVersion {
    if version == Some(SslVersion::TLS1_2) { TlsVersion::V1_2 } else { TlsVersion::V1_3 }
}

/// OpenSSL's names. Suites of TLS 1.3 are not in the list: they are always on, and cannot be chosen.
fn suite_list(suites: &[CipherSuite]) -> String {
    let names = suites.iter().filter_map(|suite| match suite {
        CipherSuite::TLS_AES_128_GCM_SHA256
        | CipherSuite::TLS_AES_256_GCM_SHA384
        | CipherSuite::TLS_CHACHA20_POLY1305_SHA256 => None,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => Some("ECDHE-ECDSA-AES128-GCM-SHA256"),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => Some("ECDHE-ECDSA-AES256-GCM-SHA384"),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => Some("ECDHE-ECDSA-CHACHA20-POLY1305"),
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => Some("ECDHE-RSA-AES128-GCM-SHA256"),
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => Some("ECDHE-RSA-AES256-GCM-SHA384"),
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => Some("ECDHE-RSA-CHACHA20-POLY1305"),
    });
    names.collect::<Vec<_>>().join(":")
}

/// BoringSSL's names. In TLS 1.2 the list also says which curves a backend's certificate may have (RFC 8422 §5.1):
/// rustls is taught the same in `rustls::verifier`.
fn group_list(groups: &[Group]) -> String {
    let asked = if groups.is_empty() { &iana::GROUPS[..] } else { groups };
    let names = asked.iter().map(|group| match group {
        Group::X25519MLKEM768 => "X25519MLKEM768",
        Group::X25519 => "X25519",
        Group::Secp256r1 => "P-256",
        Group::Secp384r1 => "P-384",
    });
    names.collect::<Vec<_>>().join(":")
}
