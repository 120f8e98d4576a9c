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
        let known: Vec<Identity> = leaf.names.iter().filter_map(|name| identity(name)).collect();
        let accepted: Vec<&Identity> =
            known.iter().filter(|identity| self.accepts(peer, std::slice::from_ref(*identity))).collect();
        let wildcards = leaf.names.iter().filter_map(|name| name.strip_prefix("DNS:*.")).take(MOST);
        let field = self.field();
        let wildcards = wildcards.map(|parent| {
            format!("{field}.hostname: a name of one label below {parent}, which *.{parent} covers")
        });
        if peer.required.is_empty() {
            return accepted.iter().filter_map(|name| self.spelt(name)).take(MOST).chain(wildcards).collect();
        }
        let mut remedies = Vec::new();
        let lacks_hostname = peer.required.iter().any(|name| !self.accepts(peer, std::slice::from_ref(name)));
        if lacks_hostname {
            let hosts = accepted.iter().filter_map(|name| match name {
                Identity::Dns(name) => Some(format!("{field}.hostname: {name}")),
                _ => None,
            });
            remedies.extend(hosts.take(MOST).chain(wildcards));
            let away = "take lasthop.dev/require-hostname away: then the hostname is the SNI only";
            remedies.push(if remedies.is_empty() { away.to_owned() } else { format!("or {away}") });
        }
        if !self.accepts(peer, &peer.identities) {
            let others = accepted.iter().filter(|name| !peer.required.contains(name));
            let mut others: Vec<String> = others.filter_map(|name| self.spelt(name)).take(MOST).collect();
            if others.is_empty() {
                let away = "name no subjectAltNames and no lasthop.dev/subject-ip-sans: the certificate carries no \
                            other name than the hostname";
                others.push(away.to_owned());
            }
            let and = if lacks_hostname { "and " } else { "" };
            remedies.extend(others.into_iter().map(|name| format!("{and}{name}")));
        }
        remedies
    }

    /// Whether the chain is accepted if the certificate must carry one of these names, and no others are required.
    fn accepts(&self, peer: &PeerRequirements, identities: &[Identity]) -> bool {
        let identities = identities.to_vec();
        self.verify(PeerRequirements { identities, required: Vec::new(), ..peer.clone() }) == Ok(())
    }

    /// How the policy would name it, if it can.
    fn spelt(&self, identity: &Identity) -> Option<String> {
        let field = self.field();
        let settings = self.target.policy.settings();
        let by_hostname = match (&*settings.peer.identities, &settings.sni) {
            ([Identity::Dns(expected)], Sni::Name(sni)) => {
                settings.peer.required.is_empty() && expected == sni
            }
            _ => false,
        };
        Some(match identity {
            Identity::Dns(name) if by_hostname => format!("{field}.hostname: {name}"),
            Identity::Dns(name) => {
                format!("{field}.subjectAltNames: [{{type: Hostname, hostname: {name}}}]")
            }
            Identity::Uri(uri) => format!("{field}.subjectAltNames: [{{type: URI, uri: {uri:?}}}]"),
            Identity::Ip(_) if self.is_xbackend() => return None,
            Identity::Ip(address) => format!("spec.options: lasthop.dev/subject-ip-sans: \"{address}\""),
        })
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
