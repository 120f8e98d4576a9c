//! Which listener and which certificate a client gets, by the server name it sends. The same for both stacks.

use lasthop_dataplane_api::HostPattern;
use lasthop_tls_verify::CertifiedKey;

use crate::{DownstreamEntry, DownstreamSettings};

/// A server name as it is compared: lower case, without trailing dot. An address is no server name (RFC 6066 §3).
pub(crate) fn normalise(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name.parse::<std::net::IpAddr>().is_err().then_some(name)
}

/// The entry for a server name: an exact host, then the longest wildcard, then one without host.
pub(crate) fn choose_entry(settings: &DownstreamSettings, name: Option<&str>) -> Option<usize> {
    let fits = |entry: &DownstreamEntry| match (&entry.hostname, name) {
        (None, _) => true,
        (Some(pattern), Some(name)) => pattern.covers(name),
        (Some(_), None) => false,
    };
    let by_precedence = |a: &DownstreamEntry, b: &DownstreamEntry| match (&a.hostname, &b.hostname) {
        (Some(a), Some(b)) => HostPattern::by_precedence(a, b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    };
    let candidates = settings.entries.iter().enumerate().filter(|(_, entry)| fits(entry));
    candidates.min_by(|(_, a), (_, b)| by_precedence(a, b)).map(|(index, _)| index)
}

/// The DNS names of each of an entry's certificates.
pub(crate) struct CertificateNames(Vec<Vec<String>>);

/// How well a certificate fits a server name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    None,
    Wildcard,
    Exact,
}

impl CertificateNames {
    pub(crate) fn of<'a>(certificates: impl IntoIterator<Item = &'a CertifiedKey>) -> Self {
        let names = |certificate: &CertifiedKey| {
            let leaf = certificate.chain().first()?;
            let parsed = webpki::EndEntityCert::try_from(leaf).ok()?;
            Some(parsed.valid_dns_names().map(str::to_ascii_lowercase).collect())
        };
        Self(certificates.into_iter().map(|certificate| names(certificate).unwrap_or_default()).collect())
    }

    /// The certificates' places, the best first; among equals the configured order.
    pub(crate) fn ranked(&self, name: Option<&str>) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.0.len()).collect();
        places.sort_by_key(|place| {
            std::cmp::Reverse(self.0.get(*place).map_or(Fit::None, |names| fit(names, name)))
        });
        places
    }
}

fn fit(names: &[String], name: Option<&str>) -> Fit {
    let Some(name) = name else { return Fit::None };
    let one = |san: &String| match san.strip_prefix("*.") {
        Some(parent) if name.split_once('.').is_some_and(|(_, rest)| rest == parent) => Fit::Wildcard,
        None if san == name => Fit::Exact,
        _ => Fit::None,
    };
    names.iter().map(one).max().unwrap_or(Fit::None)
}

#[cfg(test)]
mod tests {
    use lasthop_dataplane_api::ListenerTls;

    use super::*;

    fn settings(hosts: &[Option<&str>]) -> DownstreamSettings {
        let entry = |host: &Option<&str>| DownstreamEntry {
            hostname: host.map(|host| host.parse().unwrap()),
            tls: ListenerTls { certificates: vec![], client_validation: None },
        };
        DownstreamSettings { entries: hosts.iter().map(entry).collect(), alpn: vec![] }
    }

    #[test]
    fn exact_then_longest_wildcard_then_none() {
        let all = settings(&[None, Some("*.example.com"), Some("*.b.example.com"), Some("a.example.com")]);
        let choose = |name| choose_entry(&all, name);
        assert_eq!(choose(Some("a.example.com")), Some(3));
        assert_eq!(choose(Some("x.b.example.com")), Some(2));
        assert_eq!(choose(Some("b.example.com")), Some(1));
        assert_eq!(choose(Some("example.com")), Some(0));
        assert_eq!(choose(None), Some(0));
        let named = settings(&[Some("a.example.com")]);
        assert_eq!(choose_entry(&named, None), None);
        assert_eq!(choose_entry(&named, Some("b.example.com")), None);
    }

    #[test]
    fn certificates_fit_exactly_or_by_one_label() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let certificates = CertificateNames(vec![
            names(&["other.example"]),
            names(&["*.example.com"]),
            names(&["a.example.com"]),
        ]);
        assert_eq!(certificates.ranked(Some("a.example.com")), [2, 1, 0]);
        assert_eq!(certificates.ranked(Some("b.example.com")), [1, 0, 2]);
        assert_eq!(certificates.ranked(Some("x.b.example.com")), [0, 1, 2]);
        assert_eq!(certificates.ranked(None), [0, 1, 2]);
        assert_eq!(normalise("A.Example.COM.").as_deref(), Some("a.example.com"));
        assert_eq!(normalise("10.0.0.1"), None);
    }
}
