//! Session tickets towards clients.

use std::sync::{Arc, LazyLock};

use lasthop_tls_verify::{ContentHasher, ContentId};
use rustls::server::ProducesTickets;

use crate::{DownstreamEntry, PolicyError};

/// The keys belong to the process: all workers share them, and they outlive a changed certificate. rustls replaces
/// them every six hours.
static KEYS: LazyLock<Result<Arc<dyn ProducesTickets>, rustls::Error>> =
    LazyLock::new(rustls::crypto::aws_lc_rs::Ticketer::new);

/// Tickets that are good for one listener host only: what a ticket says is not verified again, so it must not carry
/// what one listener accepted to another.
#[derive(Debug)]
pub(super) struct ScopedTickets {
    keys: Arc<dyn ProducesTickets>,
    scope: ContentId,
}

impl ScopedTickets {
    pub(super) fn new(entry: &DownstreamEntry) -> Result<Self, PolicyError> {
        let keys = KEYS.clone().map_err(|error| PolicyError::Setup(error.to_string()))?;
        let mut scope = ContentHasher::new("downstream-tickets");
        let host = entry.hostname.as_ref().map(ToString::to_string);
        scope.field(host.unwrap_or_default().as_bytes());
        Ok(Self { keys, scope: scope.finish() })
    }
}

impl ProducesTickets for ScopedTickets {
    fn enabled(&self) -> bool {
        self.keys.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.keys.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys.encrypt(&[self.scope.as_bytes(), plain].concat())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let scoped = self.keys.decrypt(cipher)?;
        scoped.strip_prefix(self.scope.as_bytes().as_slice()).map(<[u8]>::to_vec)
    }
}

#[cfg(test)]
mod tests {
    use lasthop_dataplane_api::ListenerTls;

    use super::*;

    #[test]
    fn a_ticket_is_good_for_its_host_only() {
        let tickets = |host: &str| {
            ScopedTickets::new(&DownstreamEntry {
                hostname: Some(host.parse().unwrap()),
                tls: ListenerTls { certificates: vec![], client_validation: None },
            })
            .unwrap()
        };
        let ticket = tickets("a.example").encrypt(b"state").unwrap();
        assert_eq!(tickets("a.example").decrypt(&ticket).as_deref(), Some(&b"state"[..]));
        assert_eq!(tickets("b.example").decrypt(&ticket), None);
    }
}
