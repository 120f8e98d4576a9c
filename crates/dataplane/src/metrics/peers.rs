//! What the endpoints of TLS backends presented last. Written on handshakes, which are rare beside requests.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use lasthop_dataplane_api::{
    BackendKey, EndpointReport, EndpointSet, EndpointsKey, FailedHandshake, Handshake, PolicyId,
    PresentedLeaf, Update,
};
use lasthop_tls_backends::PeerInfo;
use lasthop_tls_verify::{CertificateSummary, TlsError};

use crate::worker::{BackendPlan, HopPlan};

/// The most endpoints that are reported at once.
const MOST_REPORTS: usize = 4096;
/// Handshakes remembered before those of endpoints that are gone are looked for.
const AT_FIRST: usize = 1024;

/// An endpoint under a policy.
pub(crate) type PeerKey = (PolicyId, SocketAddr);

/// The endpoints of TLS backends, and what became of the last handshakes with them.
#[derive(Debug, Default)]
pub(crate) struct Peers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The backends with TLS, their policies and where those come from.
    hops: BTreeMap<BackendKey, (PolicyId, Arc<str>)>,
    endpoints: BTreeMap<EndpointsKey, Arc<EndpointSet>>,
    /// The addresses of names.
    names: HashMap<Arc<str>, Arc<[IpAddr]>>,
    seen: HashMap<PeerKey, Seen>,
    room: usize,
}

#[derive(Debug, Default)]
struct Seen {
    met: Option<(u64, PeerInfo)>,
    refused: Option<FailedHandshake>,
}

impl Peers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows an update. Before the workers do.
    pub(crate) fn follow(&self, update: &Update, backends: &[(BackendKey, Option<BackendPlan>)]) {
        let mut state = self.state();
        for (key, plan) in backends {
            match plan.as_ref().map(|plan| &plan.hop) {
                Some(HopPlan::Tls { policy, .. }) => {
                    state.hops.insert(key.clone(), (policy.id(), policy.source.clone()));
                }
                Some(HopPlan::Plaintext | HopPlan::Refused) | None => drop(state.hops.remove(key)),
            }
        }
        for (key, endpoints) in &update.endpoints.0 {
            match endpoints {
                Some(endpoints) => drop(state.endpoints.insert(key.clone(), endpoints.clone())),
                None => drop(state.endpoints.remove(key)),
            }
        }
    }

    /// A name has these addresses; `None`: it is nobody's any more.
    pub(crate) fn resolved(&self, name: &Arc<str>, addresses: Option<&Arc<[IpAddr]>>) {
        let mut state = self.state();
        match addresses {
            Some(addresses) => drop(state.names.insert(name.clone(), addresses.clone())),
            None => drop(state.names.remove(name)),
        }
    }

    /// A handshake went well.
    pub(crate) fn met(&self, key: PeerKey, peer: &PeerInfo) {
        self.state().seen(key).met = Some((now(), peer.clone()));
    }

    /// A handshake failed.
    pub(crate) fn refused(&self, key: PeerKey, error: &TlsError) {
        let failed = FailedHandshake { at: now(), reason: error.reason(), message: error.to_string() };
        self.state().seen(key).refused = Some(failed);
    }

    /// When the first of the certificates that a backend's endpoints presented last expires, in seconds since 1970.
    pub(super) fn expiries(&self) -> Vec<(BackendKey, u64)> {
        let state = self.state();
        let hops = state.hops.iter();
        hops.filter_map(|(key, (policy, _))| {
            let not_after = |address| state.seen.get(&(*policy, address))?.met.as_ref()?.1.not_after;
            let first = state.addresses(key).filter_map(not_after).map(|time| time.as_secs()).min();
            first.map(|first| (key.clone(), first))
        })
        .collect()
    }

    /// The endpoints of all TLS backends.
    pub(crate) fn reports(&self) -> Vec<EndpointReport> {
        // Certificates are read after the lock, which handshakes wait for.
        let read = |(report, met): (EndpointReport, Option<(u64, PeerInfo)>)| EndpointReport {
            last: met.map(|(at, peer)| handshake(at, &peer)),
            ..report
        };
        self.seen_of_all().into_iter().map(read).collect()
    }

    /// The reports, each as yet without the last handshake, and that beside it.
    fn seen_of_all(&self) -> Vec<(EndpointReport, Option<(u64, PeerInfo)>)> {
        let state = self.state();
        let listed =
            state.hops.iter().flat_map(|(key, hop)| state.addresses(key).map(move |at| (key, hop, at)));
        let report = |(backend, (id, source), endpoint): (&BackendKey, &(PolicyId, Arc<str>), SocketAddr)| {
            let seen = state.seen.get(&(*id, endpoint));
            let report = EndpointReport {
                backend: backend.clone(),
                endpoint,
                policy: source.clone(),
                policy_id: *id,
                last: None,
                failed: seen.and_then(|seen| seen.refused.clone()),
            };
            (report, seen.and_then(|seen| seen.met.clone()))
        };
        listed.take(MOST_REPORTS).map(report).collect()
    }
}

impl State {
    fn addresses(&self, backend: &BackendKey) -> impl Iterator<Item = SocketAddr> {
        let set = self.endpoints.get(&backend.endpoints);
        let named = set.and_then(|set| self.names.get(set.hostname.as_ref()?));
        set.into_iter().flat_map(move |set| set.addresses(named.map_or(&[], |named| named)))
    }

    fn seen(&mut self, key: PeerKey) -> &mut Seen {
        if self.seen.len() >= self.room.max(AT_FIRST) {
            let hops = self.hops.iter();
            let listed: HashSet<PeerKey> = hops
                .flat_map(|(key, (policy, _))| self.addresses(key).map(|address| (*policy, address)))
                .collect();
            self.seen.retain(|key, _| listed.contains(key));
            self.room = self.seen.len() * 2;
        }
        self.seen.entry(key).or_default()
    }
}

fn handshake(at: u64, peer: &PeerInfo) -> Handshake {
    let summary = peer.leaf.as_ref().and_then(CertificateSummary::of);
    Handshake {
        at,
        version: peer.version,
        cipher_suite: peer.cipher_suite,
        group: peer.group,
        resumed: peer.resumed,
        certificate: summary.map(|leaf| PresentedLeaf {
            issuer: leaf.issuer,
            names: leaf.names,
            not_after: leaf.not_after.as_secs(),
        }),
    }
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use lasthop_dataplane_api::{Sni, UpstreamTlsSettings};
    use lasthop_tls_verify::{PeerRequirements, TrustAnchors};

    use super::*;

    #[test]
    fn handshakes_with_endpoints_that_are_gone_are_forgotten() {
        static ANCHORS: LazyLock<Arc<TrustAnchors>> = LazyLock::new(|| {
            let key = rcgen::KeyPair::generate().unwrap();
            let ca = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap();
            Arc::new(TrustAnchors::from_der(vec![ca.der().clone()]).unwrap().0)
        });
        let settings =
            UpstreamTlsSettings::new(PeerRequirements::new(ANCHORS.clone(), Vec::new()), Sni::None);
        let id = lasthop_dataplane_api::UpstreamTlsPolicy::new("a/b", settings).id();
        let peers = Peers::default();
        for port in 0..10_000 {
            peers.refused((id, SocketAddr::from(([127, 0, 0, 1], port))), &TlsError::Timeout);
        }
        assert!(peers.state().seen.len() <= AT_FIRST);
        assert!(peers.reports().is_empty() && peers.expiries().is_empty());
    }
}
