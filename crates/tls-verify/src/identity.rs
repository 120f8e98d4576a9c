//! The names a peer may prove: DNS names, IP addresses and URIs (RFC 9525, SPIFFE).

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Serialize, Serializer};

/// A DNS name in the form it is compared in: lower case, no trailing dot, no wildcard, labels of RFC 1123 with
/// underscores allowed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(Box<str>);

/// One identity that the peer's certificate may carry as a subject alternative name.
///
/// The certificate's common name is never an identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// A dNSName. A wildcard in the certificate covers exactly one leftmost label.
    Dns(DnsName),
    /// An iPAddress.
    Ip(IpAddr),
    /// A uniformResourceIdentifier, compared byte for byte (SPIFFE ids are such).
    Uri(Box<str>),
}

/// Why a text is no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not a DNS name.
    #[error(
        "{0:?} is not a DNS name: 1 to 253 characters, labels of letters, digits, '-' and '_', no wildcard"
    )]
    NotDns(String),
    /// Not an absolute URI.
    #[error("{0:?} is not an absolute URI such as spiffe://trust.domain/workload")]
    NotUri(String),
}

impl DnsName {
    /// The name, lower case, without a trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DnsName {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let label_ok = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // An IPv4 literal has the shape of a name; as an identity it is an address.
        let ok = (1..=253).contains(&name.len())
            && name.split('.').all(label_ok)
            && name.parse::<IpAddr>().is_err();
        if ok { Ok(Self(name.into())) } else { Err(IdentityError::NotDns(text.to_owned())) }
    }
}

impl Identity {
    /// A DNS identity.
    pub fn dns(name: &str) -> Result<Self, IdentityError> {
        name.parse().map(Self::Dns)
    }

    /// A URI identity; it must have a scheme and an authority.
    pub fn uri(uri: &str) -> Result<Self, IdentityError> {
        let scheme_ok = |scheme: &str| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        };
        match uri.split_once("://") {
            Some((scheme, rest))
                if scheme_ok(scheme) && !rest.is_empty() && uri.bytes().all(|b| b.is_ascii_graphic()) =>
            {
                Ok(Self::Uri(uri.into()))
            }
            _ => Err(IdentityError::NotUri(uri.to_owned())),
        }
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "DNS:{name}"),
            Self::Ip(address) => write!(f, "IP:{address}"),
            Self::Uri(uri) => write!(f, "URI:{uri}"),
        }
    }
}

impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_names_are_normalised_and_strict() {
        assert_eq!("API.Example.com.".parse::<DnsName>().unwrap().as_str(), "api.example.com");
        for bad in ["", ".", "*.example.com", "a..b", "10.0.0.1", "-a.example", "a b", "ex\0ample.com"] {
            assert!(bad.parse::<DnsName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn uris_are_absolute() {
        assert!(Identity::uri("spiffe://abc.example.com/test-identity").is_ok());
        for bad in ["", "spiffe:", "://x", "/path", "spiffe://", "a b://c", "spiffe://a\0b"] {
            assert!(Identity::uri(bad).is_err(), "{bad:?}");
        }
    }
}
