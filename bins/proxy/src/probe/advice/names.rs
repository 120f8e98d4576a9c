//! A certificate without any of the expected names.

use lasthop_dataplane_api::Sni;
use lasthop_tls_verify::{Identity, PeerRequirements};

use super::Case;

/// More names than these are not advised.
const MOST: usize = 4;

impl Case<'_> {
    /// The names that the policy could have expected, given these requirements for all else.
    pub(super) fn names(&self, peer: &PeerRequirements) -> Vec<String> {
        let Some(Some(leaf)) = self.summaries.first() else { return Vec::new() };
        if leaf.names.is_empty() {
            return vec![
                "issue the leaf with a subject alternative name: it has none, and a common name is never one"
                    .to_owned(),
            ];
        }
        let accepted = |identity: &Identity| {
            self.verify(PeerRequirements { identities: vec![identity.clone()], ..peer.clone() }) == Ok(())
        };
        let mut remedies: Vec<String> = leaf
            .names
            .iter()
            .filter_map(|name| identity(name))
            .filter(accepted)
            .take(MOST)
            .map(|identity| self.spelt(&identity))
            .collect();
        let wildcards = leaf.names.iter().filter_map(|name| name.strip_prefix("DNS:*."));
        remedies.extend(wildcards.take(MOST).map(|parent| {
            format!("spec.validation.hostname: a name of one label below {parent}, which *.{parent} covers")
        }));
        remedies
    }

    /// The field in which the policy would name it.
    fn spelt(&self, identity: &Identity) -> String {
        let settings = self.target.policy.settings();
        let by_hostname = match (&*settings.peer.identities, &settings.sni) {
            ([Identity::Dns(expected)], Sni::Name(sni)) => expected == sni,
            _ => false,
        };
        match identity {
            Identity::Dns(name) if by_hostname => format!("spec.validation.hostname: {name}"),
            Identity::Dns(name) => {
                format!("spec.validation.subjectAltNames: [{{type: Hostname, hostname: {name}}}]")
            }
            Identity::Uri(uri) => format!("spec.validation.subjectAltNames: [{{type: URI, uri: {uri:?}}}]"),
            Identity::Ip(address) => format!("spec.options: lasthop.dev/subject-ip-sans: \"{address}\""),
        }
    }
}

/// The identity of a name as a summary shows it. What is escaped or cut short there is none.
fn identity(shown: &str) -> Option<Identity> {
    let (kind, name) = shown.split_once(':')?;
    match kind {
        "DNS" => Identity::dns(name).ok(),
        "URI" => Identity::uri(name).ok(),
        "IP" => name.parse().ok().map(Identity::Ip),
        _ => None,
    }
}
