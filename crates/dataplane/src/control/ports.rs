//! Ports: which sockets are open, which TLS they terminate, and how the listeners on them fare.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use lasthop_dataplane_api::{
    Listener, ListenerKey, ListenerProtocol, ListenerState, Snapshot, Transport, Update,
};
use lasthop_tls_backends::{Alpn, DownstreamEntry, DownstreamSettings, PolicyError, TlsBackend};

use super::{fronts::Fronts, sockets};
use crate::{
    l4::PortFront,
    worker::{PortKey, PortPlan, Socket, SocketKey},
};

/// What is open, and what was said of it.
#[derive(Default)]
pub(super) struct Ports {
    open: BTreeMap<SocketKey, Vec<SocketAddr>>,
    /// Some address could not be bound.
    unbound: bool,
    tls: BTreeMap<PortKey, (DownstreamSettings, Vec<ListenerKey>)>,
    /// Listeners whose certificates the TLS stack refused.
    refused: BTreeMap<ListenerKey, Arc<str>>,
    fronts: Fronts,
    states: BTreeMap<ListenerKey, ListenerState>,
}

/// What an update does to the ports.
#[derive(Default)]
pub(super) struct PortsPlan {
    /// New sockets, for each worker.
    pub sockets: Vec<Vec<(SocketKey, Socket)>>,
    /// The listener of each UDP socket, if any changed.
    pub datagrams: Option<Vec<(SocketAddr, ListenerKey)>>,
    /// Changed TLS.
    pub tls: Vec<(PortKey, Option<PortPlan>)>,
    /// Changed fronts.
    pub fronts: Vec<(PortKey, Option<Arc<PortFront>>)>,
    /// The states of changed listeners, and changed states.
    pub states: Vec<(ListenerKey, ListenerState)>,
}

impl Ports {
    /// The addresses that are served no longer, after an update that the snapshot has taken over already.
    pub(super) fn close(&mut self, update: &Update, snapshot: &Snapshot) -> Vec<SocketKey> {
        if update.listeners.is_empty() {
            return Vec::new();
        }
        let wanted = sockets_of(snapshot.listeners.values());
        let gone: Vec<_> = self.open.keys().filter(|key| !wanted.contains(key)).copied().collect();
        gone.iter().for_each(|key| drop(self.open.remove(key)));
        gone
    }

    /// Opens sockets for an update that the snapshot has taken over already. What could not be bound
    /// before is tried again.
    pub(super) fn plan(
        &mut self,
        stack: &dyn TlsBackend,
        update: &Update,
        snapshot: &Snapshot,
        workers: usize,
    ) -> PortsPlan {
        let mut plan =
            PortsPlan { sockets: (0..workers).map(|_| Vec::new()).collect(), ..PortsPlan::default() };
        if update.listeners.is_empty() && !self.unbound {
            return plan;
        }
        let served = served(snapshot);
        if !update.listeners.is_empty() {
            self.plan_tls(stack, &served, &mut plan);
            plan.fronts = self.fronts.plan(stack, &served);
            plan.datagrams = Some(datagrams(snapshot));
        }

        let wanted = sockets_of(snapshot.listeners.values());
        let mut failed = BTreeMap::new();
        for key in wanted {
            if self.open.contains_key(&key) || workers == 0 {
                continue;
            }
            match sockets::bind(key, workers) {
                Ok(bound) => {
                    let addresses = bound.first().and_then(sockets::local_address);
                    self.open.insert(key, addresses.into_iter().collect());
                    for (sockets, socket) in plan.sockets.iter_mut().zip(bound) {
                        sockets.push((key, socket));
                    }
                }
                Err(error) => {
                    let (transport, address) = key;
                    let message = format!(
                        "{transport:?} port {} cannot be listened on ({address}): {error}; stop what uses it or change the listener's port",
                        address.port()
                    );
                    failed.insert(key, Arc::from(message));
                }
            }
        }
        self.unbound = !failed.is_empty();
        self.report(update, snapshot, &failed, &mut plan);
        plan
    }

    fn report(
        &mut self,
        update: &Update,
        snapshot: &Snapshot,
        failed: &BTreeMap<SocketKey, Arc<str>>,
        plan: &mut PortsPlan,
    ) {
        let changed: BTreeSet<&ListenerKey> = update.listeners.0.iter().map(|(key, _)| key).collect();
        let mut states = BTreeMap::new();
        for (key, listener) in &snapshot.listeners {
            let state = self.state(listener, failed);
            if changed.contains(key) || self.states.get(key) != Some(&state) {
                if let ListenerState::Failed { reason, message } = &state {
                    tracing::error!(listener = %key, %reason, "{message}");
                }
                plan.states.push((key.clone(), state.clone()));
            }
            states.insert(key.clone(), state);
        }
        self.states = states;
    }

    fn state(&self, listener: &Listener, failed: &BTreeMap<SocketKey, Arc<str>>) -> ListenerState {
        let fails = |reason: &str, message: &Arc<str>| ListenerState::Failed {
            reason: Arc::from(reason),
            message: message.clone(),
        };
        if listener.protocol == ListenerProtocol::UDP && listener.proxy_protocol {
            let message =
                "the PROXY protocol needs connections, and UDP has none; leave it out for this listener";
            return fails("Invalid", &message.into());
        }
        let refused = self.refused.get(&listener.key).or_else(|| self.fronts.refused(&listener.key));
        if let Some(message) = refused {
            return fails("Invalid", message);
        }
        let wanted = sockets_of([&Arc::new(listener.clone())]);
        // Where another listener of the port takes all addresses, this one's are among them.
        let covering = |(transport, address): &SocketKey| {
            let transport = *transport;
            sockets::covering(*address).map(move |all| (transport, all))
        };
        let bound = wanted.iter().map(|key| match self.open.get(key) {
            Some(bound) => Ok(bound),
            None => covering(key).find_map(|all| self.open.get(&all)).ok_or(key),
        });
        match bound.collect::<Result<Vec<_>, _>>() {
            Ok(bound) => ListenerState::Bound(bound.into_iter().flatten().copied().collect()),
            Err(key) => {
                let message = failed.get(key).or_else(|| covering(key).find_map(|all| failed.get(&all)));
                let draining = || Arc::from("the proxy is draining");
                fails("PortUnavailable", &message.cloned().unwrap_or_else(draining))
            }
        }
    }

    /// Compiles TLS of the ports where it changed.
    fn plan_tls(&mut self, stack: &dyn TlsBackend, served: &[&Arc<Listener>], plan: &mut PortsPlan) {
        let ports = tls_ports(served);
        let gone: Vec<_> = self.tls.keys().filter(|port| !ports.contains_key(port)).copied().collect();
        for port in gone {
            self.tls.remove(&port);
            plan.tls.push((port, None));
        }
        self.refused.retain(|key, _| served.iter().any(|listener| listener.key == *key));
        for (port, listeners) in ports {
            let keys: Vec<_> = listeners.iter().map(|listener| listener.key.clone()).collect();
            let wanted = (settings(&listeners), keys);
            if self.tls.get(&port) == Some(&wanted) {
                continue;
            }
            wanted.1.iter().for_each(|key| drop(self.refused.remove(key)));
            let compiled = self.compile(stack, listeners);
            self.tls.insert(port, wanted);
            plan.tls.push((port, Some(compiled)));
        }
    }

    /// TLS of a port. One listener that cannot be set up does not take the others with it.
    fn compile(&mut self, stack: &dyn TlsBackend, mut listeners: Vec<&Arc<Listener>>) -> PortPlan {
        let mut refuse = |listener: &Listener, error: PolicyError| {
            self.refused.insert(listener.key.clone(), Arc::from(error.to_string()));
        };
        loop {
            let entries = listeners.iter().map(|listener| listener.key.clone()).collect();
            let error = match stack.downstream(&settings(&listeners)) {
                Ok(tls) => return PortPlan { tls: Some(tls), entries },
                Err(error) => error,
            };
            let before = listeners.len();
            listeners.retain(|listener| match stack.downstream(&settings(&[listener])) {
                Ok(_) => true,
                Err(error) => {
                    refuse(listener, error);
                    false
                }
            });
            if listeners.len() == before || listeners.is_empty() {
                listeners.iter().for_each(|listener| refuse(listener, error.clone()));
                // Nobody is served, least of all in plaintext.
                return PortPlan { tls: None, entries: Vec::new() };
            }
        }
    }
}

/// The listeners of connections.
fn served(snapshot: &Snapshot) -> Vec<&Arc<Listener>> {
    let listeners = snapshot.listeners.values();
    listeners.filter(|listener| transport(listener.protocol) == Transport::TCP).collect()
}

fn transport(protocol: ListenerProtocol) -> Transport {
    match protocol {
        ListenerProtocol::UDP => Transport::UDP,
        _ => Transport::TCP,
    }
}

/// The listener of each UDP socket. Two for one address do not happen in a valid snapshot; the first by key serves.
fn datagrams(snapshot: &Snapshot) -> Vec<(SocketAddr, ListenerKey)> {
    let udp = snapshot
        .listeners
        .values()
        .filter(|listener| transport(listener.protocol) == Transport::UDP && !listener.proxy_protocol);
    udp.flat_map(|listener| addresses(listener).map(|address| (address, listener.key.clone()))).collect()
}

fn settings(listeners: &[&Arc<Listener>]) -> DownstreamSettings {
    let entries = listeners.iter().filter_map(|listener| {
        Some(DownstreamEntry { hostname: listener.hostname.clone(), tls: listener.tls.clone()? })
    });
    DownstreamSettings { entries: entries.collect(), alpn: vec![Alpn::Http2, Alpn::Http1] }
}

/// The listeners that terminate TLS for HTTP, by address and port.
fn tls_ports<'a>(served: &[&'a Arc<Listener>]) -> BTreeMap<PortKey, Vec<&'a Arc<Listener>>> {
    by_place(served, |listener| listener.protocol == ListenerProtocol::HTTPS)
}

/// Listeners by address and port. Those of all addresses are among the listeners of each.
pub(super) fn by_place<'a>(
    served: &[&'a Arc<Listener>],
    which: impl Fn(&Listener) -> bool,
) -> BTreeMap<PortKey, Vec<&'a Arc<Listener>>> {
    let some = || served.iter().filter(|listener| which(listener));
    let places: BTreeSet<PortKey> = some()
        .flat_map(|listener| {
            let every = listener.own_addresses().is_empty().then_some(None);
            let named = listener.own_addresses().iter().copied().map(Some);
            every.into_iter().chain(named).map(|address| (address, listener.port))
        })
        .collect();
    let is_at = |listener: &Listener, (address, port): PortKey| {
        let own = listener.own_addresses();
        listener.port == port && (own.is_empty() || address.is_some_and(|address| own.contains(&address)))
    };
    let listeners = |place| some().filter(|listener| is_at(listener, place)).copied().collect();
    places.into_iter().map(|place| (place, listeners(place))).collect()
}

/// The addresses that a listener names; all of the machine if it names none.
fn addresses(listener: &Listener) -> impl Iterator<Item = SocketAddr> {
    let every = listener.addresses.is_empty().then(|| sockets::all(listener.port));
    let named = listener.addresses.iter().map(|ip| SocketAddr::new(*ip, listener.port));
    every.into_iter().chain(named)
}

/// The addresses to bind: all of the machine for a port if any listener of it says so, else each that is named.
fn sockets_of<'a>(listeners: impl IntoIterator<Item = &'a Arc<Listener>>) -> BTreeSet<SocketKey> {
    let key = |listener: &'a Arc<Listener>| {
        addresses(listener).map(|address| (transport(listener.protocol), address))
    };
    let wanted: BTreeSet<SocketKey> = listeners.into_iter().flat_map(key).collect();
    let is_covered = |(transport, address): &SocketKey| {
        sockets::covering(*address).any(|all| wanted.contains(&(*transport, all)))
    };
    wanted.iter().filter(|key| !is_covered(key)).copied().collect()
}
