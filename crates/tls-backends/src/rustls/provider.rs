//! Which cryptography rustls uses: AWS-LC, with the suites and groups of a policy.

use std::sync::{Arc, LazyLock};

use lasthop_dataplane_api::{CipherSuite, Group, TlsVersion};
use rustls::{
    SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    version,
};

use crate::{PolicyError, iana};

static DEFAULT: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = aws_lc_rs::default_provider();
    let everything = aws_lc_rs::default_provider();
    provider.cipher_suites =
        iana::CIPHER_SUITES.iter().filter_map(|suite| suite_of(&everything, *suite)).collect();
    provider.kx_groups = iana::GROUPS.iter().filter_map(|group| group_of(*group)).collect();
    Arc::new(provider)
});

/// The provider for a policy without wishes, and for listeners.
pub(super) fn default() -> Arc<CryptoProvider> {
    DEFAULT.clone()
}

/// The provider with these suites and groups only, in this order; empty means the default ones.
pub(super) fn with(suites: &[CipherSuite], groups: &[Group]) -> Result<Arc<CryptoProvider>, PolicyError> {
    if suites.is_empty() && groups.is_empty() {
        return Ok(default());
    }
    let mut provider = (*default()).clone();
    let unsupported = |what: String| PolicyError::Unsupported {
        stack: "rustls",
        what,
        remedy: "name another or none".to_owned(),
    };
    if !suites.is_empty() {
        provider.cipher_suites = suites
            .iter()
            .map(|suite| {
                suite_of(&DEFAULT, *suite).ok_or_else(|| unsupported(format!("cipher suite {suite:?}")))
            })
            .collect::<Result<_, _>>()?;
    }
    if !groups.is_empty() {
        provider.kx_groups = groups
            .iter()
            .map(|group| group_of(*group).ok_or_else(|| unsupported(format!("group {group:?}"))))
            .collect::<Result<_, _>>()?;
    }
    Ok(Arc::new(provider))
}

fn suite_of(provider: &CryptoProvider, suite: CipherSuite) -> Option<rustls::SupportedCipherSuite> {
    let number = iana::suite_number(suite);
    provider.cipher_suites.iter().copied().find(|known| u16::from(known.suite()) == number)
}

fn group_of(group: Group) -> Option<&'static dyn rustls::crypto::SupportedKxGroup> {
    let number = iana::group_number(group);
    aws_lc_rs::ALL_KX_GROUPS.iter().copied().find(|known| u16::from(known.name()) == number)
}

/// The versions from the lowest to the highest.
pub(super) fn versions((min, max): (TlsVersion, TlsVersion)) -> Vec<&'static SupportedProtocolVersion> {
    [(TlsVersion::V1_3, &version::TLS13), (TlsVersion::V1_2, &version::TLS12)]
        .into_iter()
        .filter(|(version, _)| (min..=max).contains(version))
        .map(|(_, supported)| supported)
        .collect()
}

/// A version as rustls names it.
pub(super) fn version_of(version: Option<rustls::ProtocolVersion>) -> TlsVersion {
    match version {
        Some(rustls::ProtocolVersion::TLSv1_2) => TlsVersion::V1_2,
        _ => TlsVersion::V1_3,
    }
}
