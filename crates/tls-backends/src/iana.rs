//! Numbers and names of the TLS registry that both stacks share.

use lasthop_dataplane_api::{CipherSuite, Group};

/// The cipher suites, in the order they are offered if the policy says nothing. AES first: the processors we run on
/// have instructions for it.
pub(crate) const CIPHER_SUITES: [CipherSuite; 9] = [
    CipherSuite::TLS_AES_128_GCM_SHA256,
    CipherSuite::TLS_AES_256_GCM_SHA384,
    CipherSuite::TLS_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// The groups, in the order they are offered if the policy says nothing.
pub(crate) const GROUPS: [Group; 4] =
    [Group::X25519MLKEM768, Group::X25519, Group::Secp256r1, Group::Secp384r1];

/// The suite's number in the registry.
pub(crate) fn suite_number(suite: CipherSuite) -> u16 {
    match suite {
        CipherSuite::TLS_AES_128_GCM_SHA256 => 0x1301,
        CipherSuite::TLS_AES_256_GCM_SHA384 => 0x1302,
        CipherSuite::TLS_CHACHA20_POLY1305_SHA256 => 0x1303,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => 0xc02b,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => 0xc02c,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => 0xcca9,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => 0xc02f,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => 0xc030,
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => 0xcca8,
    }
}

/// Whether the suite is one of TLS 1.3, which are no suites of TLS 1.2 and the reverse.
pub(crate) fn is_tls13_suite(suite: CipherSuite) -> bool {
    suite_number(suite) >> 8 == 0x13
}

/// The suite's IANA name.
pub(crate) fn suite_name(number: u16) -> &'static str {
    match number {
        0x1301 => "TLS_AES_128_GCM_SHA256",
        0x1302 => "TLS_AES_256_GCM_SHA384",
        0x1303 => "TLS_CHACHA20_POLY1305_SHA256",
        0xc02b => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        0xc02c => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        0xcca9 => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        0xc02f => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        0xc030 => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        0xcca8 => "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        _ => "unknown",
    }
}

/// The group's number in the registry.
#[cfg(any(test, feature = "rustls"))]
pub(crate) fn group_number(group: Group) -> u16 {
    match group {
        Group::Secp256r1 => 23,
        Group::Secp384r1 => 24,
        Group::X25519 => 29,
        Group::X25519MLKEM768 => 4588,
    }
}

/// The group's IANA name.
pub(crate) fn group_name(number: u16) -> Option<&'static str> {
    match number {
        23 => Some("secp256r1"),
        24 => Some("secp384r1"),
        25 => Some("secp521r1"),
        29 => Some("x25519"),
        4588 => Some("X25519MLKEM768"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_has_its_name() {
        for suite in CIPHER_SUITES {
            assert_eq!(suite_name(suite_number(suite)), format!("{suite:?}"));
        }
        for group in GROUPS {
            let name = group_name(group_number(group)).unwrap();
            assert_eq!(name.to_lowercase(), format!("{group:?}").to_lowercase());
        }
    }
}
