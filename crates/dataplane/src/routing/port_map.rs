//! Which listeners take the requests of an address and port.

use std::net::{IpAddr, SocketAddr};

use lasthop_dataplane_api::{HostPattern, Listener, ListenerKey};

use super::{
    by_own,
    host_map::{HostMap, shrink},
};
use crate::worker::QuickMap;

/// The listeners by address and port. Those of one address know nothing of those of another; those of all addresses are
/// among the listeners of each.
#[derive(Debug, Default)]
pub(super) struct PortMap {
    /// By port, and whether they terminate TLS.
    everywhere: QuickMap<(u16, bool), Listeners>,
    /// The same for listeners that name their addresses.
    at: QuickMap<(IpAddr, u16, bool), Listeners>,
}

/// Several listeners for one host do not happen in a valid snapshot; the first by key serves.
type Listeners = HostMap<Vec<Entry>>;

#[derive(Clone, Debug)]
struct Entry {
    key: ListenerKey,
    hostname: Option<HostPattern>,
}

/// Where a listener takes requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Empty is every one.
    addresses: Vec<IpAddr>,
    port: u16,
    tls: bool,
    hostname: Option<HostPattern>,
}

impl Place {
    /// The place of a listener that does or does not terminate TLS.
    pub(super) fn of(listener: &Listener, tls: bool) -> Self {
        let addresses = listener.own_addresses().to_vec();
        Self { addresses, port: listener.port, tls, hostname: listener.hostname.clone() }
    }
}

impl PortMap {
    /// Adds a listener.
    pub(super) fn insert(&mut self, key: &ListenerKey, place: &Place) {
        if place.addresses.is_empty() {
            add(self.everywhere.entry((place.port, place.tls)).or_default(), key, place);
        }
        for address in &place.addresses {
            add(self.at.entry((*address, place.port, place.tls)).or_default(), key, place);
        }
    }

    /// Removes a listener from where it was.
    pub(super) fn remove(&mut self, key: &ListenerKey, place: &Place) {
        if place.addresses.is_empty() {
            shrink(&mut self.everywhere, (place.port, place.tls), |hosts| take(hosts, key, place));
        }
        for address in &place.addresses {
            shrink(&mut self.at, (*address, place.port, place.tls), |hosts| take(hosts, key, place));
        }
    }

    /// Whether nothing is in it.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.everywhere.is_empty() && self.at.is_empty()
    }

    /// The listener with the most specific host name that covers the host.
    pub(super) fn choose(&self, local: SocketAddr, tls: bool, host: &str) -> Option<&ListenerKey> {
        let everywhere = self.everywhere.get(&(local.port(), tls)).and_then(|hosts| first(hosts, host));
        // Most tables have no addresses at all.
        let here = match self.at.is_empty() {
            true => None,
            false => self.at.get(&(local.ip(), local.port(), tls)).and_then(|hosts| first(hosts, host)),
        };
        let chosen = match (here, everywhere) {
            (Some(here), Some(everywhere)) => {
                let order = by_own(here.hostname.as_ref(), everywhere.hostname.as_ref());
                if order.then_with(|| here.key.cmp(&everywhere.key)).is_le() { here } else { everywhere }
            }
            (here, everywhere) => here.or(everywhere)?,
        };
        Some(&chosen.key)
    }
}

fn first<'a>(hosts: &'a Listeners, host: &str) -> Option<&'a Entry> {
    hosts.covering(host).next()?.first()
}

fn add(hosts: &mut Listeners, key: &ListenerKey, place: &Place) {
    let entries = hosts.at(place.hostname.as_ref());
    let at = entries.partition_point(|other| other.key < *key);
    entries.insert(at, Entry { key: key.clone(), hostname: place.hostname.clone() });
}

/// Whether nothing is left.
fn take(hosts: &mut Listeners, key: &ListenerKey, place: &Place) -> bool {
    hosts.shrink(place.hostname.as_ref(), |entries| {
        entries.retain(|other| other.key != *key);
        entries.is_empty()
    });
    hosts.is_empty()
}
