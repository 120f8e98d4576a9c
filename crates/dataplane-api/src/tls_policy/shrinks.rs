//! Whether trust shrinks from one policy to the next: then connections made under the old one must not stay.

use super::UpstreamTlsSettings;

/// Who may be at the other end of a hop.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// Anyone: the hop is in plaintext.
    Anyone,
    /// Who proves what the policy demands.
    Proven(&'a UpstreamTlsSettings),
    /// Nobody: the hop is refused, or its TLS policy is gone together with the backend.
    Nobody,
}

impl Trust<'_> {
    /// Whether a peer accepted before might not be accepted now. In doubt it might not. What decides nothing about
    /// who the peer is (SNI, our own certificate or token, ALPN, resumption) shrinks nothing: new connections follow it, old
    /// ones end when they idle.
    pub fn shrinks_to(self, new: Trust<'_>) -> bool {
        match (self, new) {
            (_, Trust::Anyone) | (Trust::Nobody, _) => false,
            (Trust::Anyone | Trust::Proven(_), Trust::Nobody) | (Trust::Anyone, Trust::Proven(_)) => true,
            (Trust::Proven(old), Trust::Proven(new)) => !new.covers(old),
        }
    }
}

impl UpstreamTlsSettings {
    /// Whether whatever handshake `old` accepts is accepted under these settings too.
    fn covers(&self, old: &Self) -> bool {
        // Destructured, so that a new field cannot be forgotten here.
        let Self {
            peer,
            sni: _,
            client_certificate: _,
            min_version,
            max_version,
            cipher_suites,
            groups,
            alpn: _,
            resumption: _,
            bearer_token: _,
        } = self;
        peer.covers(&old.peer)
            && *min_version <= old.min_version
            && *max_version >= old.max_version
            && widens(cipher_suites, &old.cipher_suites)
            && widens(groups, &old.groups)
    }
}

/// Whether a choice leaves what the old one left; the empty one is a stack's own, which has all of it.
fn widens<T: PartialEq>(new: &[T], old: &[T]) -> bool {
    new.is_empty() || (!old.is_empty() && old.iter().all(|one| new.contains(one)))
}

#[cfg(test)]
mod tests;
