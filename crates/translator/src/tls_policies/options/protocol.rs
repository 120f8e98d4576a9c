//! Options of the protocol: versions, suites, groups, ALPN, resumption.

use std::{fmt::Debug, sync::Arc};

use lasthop_dataplane_api::{CipherSuite, Group, TlsCapabilities, TlsVersion, UpstreamTlsSettings};

use super::entries;

const SUITES: [CipherSuite; 9] = [
    CipherSuite::TLS_AES_128_GCM_SHA256,
    CipherSuite::TLS_AES_256_GCM_SHA384,
    CipherSuite::TLS_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];
const GROUPS: [Group; 4] = [Group::X25519MLKEM768, Group::X25519, Group::Secp256r1, Group::Secp384r1];

pub(super) fn version(value: &str) -> Result<TlsVersion, String> {
    match value {
        "1.2" => Ok(TlsVersion::V1_2),
        "1.3" => Ok(TlsVersion::V1_3),
        _ => Err(format!("{value:?} is not known; use 1.2 or 1.3")),
    }
}

pub(super) fn cipher_suites(value: &str) -> Result<Vec<CipherSuite>, String> {
    named(value, &SUITES, |suite| format!("{suite:?}"))
}

pub(super) fn groups(value: &str) -> Result<Vec<Group>, String> {
    named(value, &GROUPS, |group| group_name(*group).to_owned())
}

/// The name of RFC 8446 §4.2.7 and its successors.
fn group_name(group: Group) -> &'static str {
    match group {
        Group::X25519MLKEM768 => "X25519MLKEM768",
        Group::X25519 => "x25519",
        Group::Secp256r1 => "secp256r1",
        Group::Secp384r1 => "secp384r1",
    }
}

fn named<T: Copy + PartialEq>(value: &str, all: &[T], name: impl Fn(&T) -> String) -> Result<Vec<T>, String> {
    let mut found = Vec::new();
    for entry in entries(value)? {
        let one = all.iter().find(|one| name(one).eq_ignore_ascii_case(entry)).ok_or_else(|| {
            let known: Vec<_> = all.iter().map(&name).collect();
            format!("{entry:?} is not known; there are {}", known.join(", "))
        })?;
        if !found.contains(one) {
            found.push(*one);
        }
    }
    Ok(found)
}

pub(super) fn alpn(value: &str) -> Result<Vec<Arc<str>>, String> {
    let mut protocols: Vec<Arc<str>> = Vec::new();
    for entry in entries(value)? {
        // A protocol name has one octet for its length (RFC 7301 §3.1).
        if entry.len() > 255 || !entry.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{entry:?} is no protocol name; use names such as h2 and http/1.1"));
        }
        if !protocols.iter().any(|known| **known == *entry) {
            protocols.push(entry.into());
        }
    }
    Ok(protocols)
}

/// The name of a token: that of a file, without a folder.
pub(super) fn token(value: &str) -> Result<Arc<str>, String> {
    let valid = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    if value.is_empty() || value.len() > 253 || value.starts_with('.') || !value.bytes().all(valid) {
        return Err(format!("{value:?} is no name of a token; use letters, digits, '-', '_' and '.'"));
    }
    Ok(value.into())
}

fn is_tls13(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS_AES_128_GCM_SHA256
            | CipherSuite::TLS_AES_256_GCM_SHA384
            | CipherSuite::TLS_CHACHA20_POLY1305_SHA256
    )
}

/// Whether the settings make sense together, and the stack can honour them. The error names the option.
pub(super) fn check(
    settings: &UpstreamTlsSettings,
    stack: &TlsCapabilities,
) -> Result<(), (&'static str, String)> {
    let UpstreamTlsSettings { min_version, max_version, cipher_suites, groups, .. } = settings;
    let name = stack.stack.name();
    if min_version > max_version {
        return Err(("min-version", format!("{min_version} is above the highest version, {max_version}")));
    }
    for (option, version) in [("min-version", min_version), ("max-version", max_version)] {
        if !stack.versions.contains(version) {
            return Err((option, format!("the TLS stack {name} does not speak {version}")));
        }
    }
    if let Some(suite) = cipher_suites.iter().find(|suite| !stack.cipher_suites.contains(suite)) {
        return Err(("cipher-suites", lacks(name, suite, &stack.cipher_suites)));
    }
    if let Some(group) = groups.iter().find(|group| !stack.groups.contains(group)) {
        return Err(("groups", lacks(name, group, &stack.groups)));
    }
    if cipher_suites.is_empty() {
        return Ok(());
    }
    if *max_version == TlsVersion::V1_3 && !stack.tls13_suite_choice {
        let message = format!(
            "the TLS stack {name} does not let one choose the suites of TLS 1.3; set lasthop.dev/max-version to 1.2 \
             or use another stack"
        );
        return Err(("cipher-suites", message));
    }
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let wanted = *min_version == version && *max_version == version;
        if wanted && !cipher_suites.iter().any(|suite| is_tls13(*suite) == (version == TlsVersion::V1_3)) {
            return Err((
                "cipher-suites",
                format!("no suite of the list is one of TLS {version}, the only version"),
            ));
        }
    }
    Ok(())
}

fn lacks<T: Debug>(stack: &str, what: &T, has: &[T]) -> String {
    let known: Vec<_> = has.iter().map(|one| format!("{one:?}")).collect();
    format!("the TLS stack {stack} has no {what:?}; it has {}", known.join(", "))
}
