//! Options about the peer: names, pins, how much is verified.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lasthop_dataplane_api::{Sni, UpstreamTlsSettings};
use lasthop_tls_verify::{Identity, SpkiPin, VerifyMode};

use super::entries;

const MAX_DEPTH: u8 = 16;

/// `settings` carries the policy's host name already, which is what `hostname` means.
pub(super) fn sni(value: &str, settings: &mut UpstreamTlsSettings) -> Result<(), String> {
    match value {
        "hostname" => {}
        "none" => settings.sni = Sni::None,
        "request-host" => settings.sni = Sni::RequestHost,
        name => {
            let name = name
                .parse()
                .map_err(|error| format!("{error}; use hostname, none, request-host or a name"))?;
            settings.sni = Sni::Name(name);
        }
    }
    Ok(())
}

pub(super) fn addresses(value: &str) -> Result<Vec<Identity>, String> {
    entries(value)?
        .map(|entry| {
            entry
                .parse::<IpAddr>()
                .map(Identity::Ip)
                .map_err(|_| format!("{entry:?} is no IP address; use one such as 192.0.2.1"))
        })
        .collect()
}

pub(super) fn pins(value: &str) -> Result<Vec<SpkiPin>, String> {
    let mut pins: Vec<SpkiPin> = Vec::new();
    for entry in entries(value)? {
        let text = entry.strip_prefix("sha256/").unwrap_or(entry);
        let hash = STANDARD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).ok_or_else(
            || {
                format!(
                    "{entry:?} is no pin; use the SHA-256 of a SubjectPublicKeyInfo in base64 (44 characters)"
                )
            },
        )?;
        if !pins.contains(&SpkiPin(hash)) {
            pins.push(SpkiPin(hash));
        }
    }
    pins.sort_unstable();
    Ok(pins)
}

pub(super) fn mode(value: &str, insecure_allowed: bool) -> Result<VerifyMode, String> {
    let mode = match value {
        "full" => return Ok(VerifyMode::Full),
        "chain" => VerifyMode::Chain,
        "none" => VerifyMode::None,
        _ => return Err(format!("{value:?} is not known; use full, chain or none")),
    };
    if insecure_allowed {
        Ok(mode)
    } else {
        Err(format!(
            "{value} verifies less than chain and name; the operator of the gateway has not allowed that"
        ))
    }
}

pub(super) fn depth(value: &str) -> Result<u8, String> {
    value
        .parse()
        .ok()
        .filter(|depth| *depth <= MAX_DEPTH)
        .ok_or_else(|| format!("{value:?} is no depth; use a number from 0 to {MAX_DEPTH}"))
}
