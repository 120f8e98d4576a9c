//! What is offered to a backend: protocols (RFC 7301), a server name (RFC 6066 §3), versions.

use lasthop_dataplane_api::{Sni, TlsVersion, UpstreamTlsSettings};
use lasthop_tls_verify::{DnsName, TlsError};

use crate::{Alpn, PolicyError, iana};

/// The protocols of one handshake.
pub(crate) struct AlpnOffer(Vec<Vec<u8>>);

impl AlpnOffer {
    /// The policy's own protocols, else what the request needs.
    pub(crate) fn new(settings: &UpstreamTlsSettings, needed: &[Alpn]) -> Self {
        Self(if settings.alpn.is_empty() {
            needed.iter().map(|alpn| alpn.id().to_vec()).collect()
        } else {
            settings.alpn.iter().map(|id| id.as_bytes().to_vec()).collect()
        })
    }

    /// The protocols' ids in order.
    pub(crate) fn ids(&self) -> &[Vec<u8>] {
        &self.0
    }

    /// The same in ALPN's own form: each id after its length.
    #[cfg(feature = "boringssl")]
    pub(crate) fn wire(&self) -> Vec<u8> {
        let ids = self.0.iter().filter_map(|id| Some((u8::try_from(id.len()).ok()?, id)));
        ids.flat_map(|(length, id)| std::iter::once(length).chain(id.iter().copied())).collect()
    }

    /// The verdict on the peer's choice. Choosing nothing means HTTP/1.1, so that must have been on offer.
    pub(crate) fn judge(&self, selected: Option<&[u8]>) -> Result<Option<Alpn>, TlsError> {
        let offered = |id: &[u8]| self.0.iter().any(|offer| offer == id);
        match selected {
            Some(id) if offered(id) => Ok(Alpn::from_id(id)),
            None if self.0.is_empty() || offered(Alpn::Http1.id()) => Ok(None),
            selected => Err(self.mismatch(selected)),
        }
    }

    /// A mismatch that the stack found, with what was on offer.
    pub(crate) fn complete(&self, error: TlsError) -> TlsError {
        match error {
            TlsError::AlpnMismatch { selected, .. } => self.mismatch(selected.as_ref().map(String::as_bytes)),
            error => error,
        }
    }

    /// The error of a peer that took nothing, or what was not on offer.
    fn mismatch(&self, selected: Option<&[u8]>) -> TlsError {
        let text = |id: &[u8]| id.escape_ascii().to_string();
        TlsError::AlpnMismatch {
            offered: self.0.iter().map(|id| text(id)).collect(),
            selected: selected.map(text),
        }
    }
}

/// The server name of one handshake, lower case, without trailing dot; an address is never sent.
pub(crate) fn server_name(sni: &Sni, request_host: Option<&str>) -> Option<DnsName> {
    match sni {
        Sni::Name(name) => Some(name.clone()),
        Sni::None => None,
        Sni::RequestHost => request_host.and_then(|host| host.parse().ok()),
    }
}

/// The lowest and the highest version on offer.
///
/// Cipher suites that are named are the only ones on offer: a version none of them belongs to is not offered.
pub(crate) fn versions(settings: &UpstreamTlsSettings) -> Result<(TlsVersion, TlsVersion), PolicyError> {
    let (mut min, mut max) = (settings.min_version, settings.max_version);
    let setup = |what: String| Err(PolicyError::Setup(what));
    if min > max {
        return setup(format!("the lowest TLS version {min} is above the highest, {max}"));
    }
    let suites = &settings.cipher_suites;
    if !suites.is_empty() {
        let (tls13, tls12) = (
            suites.iter().any(|suite| iana::is_tls13_suite(*suite)),
            suites.iter().any(|suite| !iana::is_tls13_suite(*suite)),
        );
        if !tls13 {
            max = TlsVersion::V1_2;
        }
        if !tls12 {
            min = TlsVersion::V1_3;
        }
        if min > max || max < settings.min_version || min > settings.max_version {
            return setup(format!(
                "none of the cipher suites belongs to a TLS version from {} to {}",
                settings.min_version, settings.max_version
            ));
        }
    }
    Ok((min, max))
}

#[cfg(test)]
mod tests;
