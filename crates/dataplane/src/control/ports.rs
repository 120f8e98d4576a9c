//! Ports: which sockets are open, which TLS they terminate, and how the listeners on them fare.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use lasthop_dataplane_api::{Listener, ListenerKey, ListenerProtocol, ListenerState, Snapshot, Update};
use lasthop_tls_backends::{Alpn, DownstreamEntry, DownstreamSettings, PolicyError, TlsBackend};

use super::sockets;
use crate::worker::PortPlan;

/// What is open, and what was said of it.
#[derive(Default)]
pub(super) struct Ports {
    open: BTreeMap<SocketAddr, Vec<SocketAddr>>,
    /// Some address could not be bound.
    unbound: bool,
    tls: BTreeMap<u16, (DownstreamSettings, Vec<ListenerKey>)>,
    /// Listeners whose certificates the TLS stack refused.
    refused: BTreeMap<ListenerKey, Arc<str>>,
    states: BTreeMap<ListenerKey, ListenerState>,
}

/// What an update does to the ports.
#[derive(Default)]
pub(super) struct PortsPlan {
    /// New sockets, for each worker.
    pub sockets: Vec<Vec<(SocketAddr, TcpListener)>>,
    /// Changed TLS.
    pub tls: Vec<(u16, Option<PortPlan>)>,
    /// The states of changed listeners, and changed states.
    pub states: Vec<(ListenerKey, ListenerState)>,
}

impl Ports {
    /// The addresses that are served no longer, after an update that the snapshot has taken over already.
    pub(super) fn close(&mut self, update: &Update, snapshot: &Snapshot) -> Vec<SocketAddr> {
        if update.listeners.is_empty() {
            return Vec::new();
        }
        let wanted = addresses(&served(snapshot));
        let gone: Vec<_> = self.open.keys().filter(|address| !wanted.contains(address)).copied().collect();
        gone.iter().for_each(|address| drop(self.open.remove(address)));
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
        }

        let wanted = addresses(&served);
        let mut failed = BTreeMap::new();
        for address in wanted {
            if self.open.contains_key(&address) || workers == 0 {
                continue;
            }
            match sockets::bind(address, workers) {
                Ok(bound) => {
                    let addresses = bound.first().and_then(|socket| socket.local_addr().ok());
                    self.open.insert(address, addresses.into_iter().collect());
                    for (sockets, socket) in plan.sockets.iter_mut().zip(bound) {
                        sockets.push((address, socket));
                    }
                }
                Err(error) => {
                    let message = format!(
                        "port {} cannot be listened on ({address}): {error}; stop what uses it or change the listener's port",
                        address.port()
                    );
                    failed.insert(address, Arc::from(message));
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
        failed: &BTreeMap<SocketAddr, Arc<str>>,
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

    fn state(&self, listener: &Listener, failed: &BTreeMap<SocketAddr, Arc<str>>) -> ListenerState {
        let fails = |reason: &str, message: &Arc<str>| ListenerState::Failed {
            reason: Arc::from(reason),
            message: message.clone(),
        };
        if !is_served(listener.protocol) {
            let message = format!("listeners of protocol {:?} are not served yet", listener.protocol);
            return fails("UnsupportedProtocol", &message.into());
        }
        if let Some(message) = self.refused.get(&listener.key) {
            return fails("Invalid", message);
        }
        let wanted = addresses(&[&Arc::new(listener.clone())]);
        // Where another listener of the port takes all addresses, this one's are among them.
        let bound = wanted.iter().map(|address| match self.open.get(address) {
            Some(bound) => Ok(bound),
            None => self.open.get(&sockets::all(address.port())).ok_or(address),
        });
        match bound.collect::<Result<Vec<_>, _>>() {
            Ok(bound) => ListenerState::Bound(bound.into_iter().flatten().copied().collect()),
            Err(address) => {
                let all = sockets::all(address.port());
                let message = failed.get(address).or_else(|| failed.get(&all)).cloned();
                fails("PortUnavailable", &message.unwrap_or_else(|| Arc::from("the proxy is draining")))
            }
        }
    }

    /// Compiles TLS of the ports where it changed.
    fn plan_tls(&mut self, stack: &dyn TlsBackend, served: &[&Arc<Listener>], plan: &mut PortsPlan) {
        let mut ports: BTreeMap<u16, Vec<&Arc<Listener>>> = BTreeMap::new();
        for listener in served.iter().filter(|listener| listener.protocol == ListenerProtocol::HTTPS) {
            ports.entry(listener.port).or_default().push(listener);
        }
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

fn served(snapshot: &Snapshot) -> Vec<&Arc<Listener>> {
    snapshot.listeners.values().filter(|listener| is_served(listener.protocol)).collect()
}

fn is_served(protocol: ListenerProtocol) -> bool {
    matches!(protocol, ListenerProtocol::HTTP | ListenerProtocol::HTTPS)
}

fn settings(listeners: &[&Arc<Listener>]) -> DownstreamSettings {
    let entries = listeners.iter().filter_map(|listener| {
        Some(DownstreamEntry { hostname: listener.hostname.clone(), tls: listener.tls.clone()? })
    });
    DownstreamSettings { entries: entries.collect(), alpn: vec![Alpn::Http2, Alpn::Http1] }
}

/// The addresses to bind: all of the machine for a port if any listener of it says so, else each that is named.
fn addresses(listeners: &[&Arc<Listener>]) -> BTreeSet<SocketAddr> {
    let everywhere: BTreeSet<u16> = listeners
        .iter()
        .filter(|listener| listener.addresses.is_empty())
        .map(|listener| listener.port)
        .collect();
    let named = listeners
        .iter()
        .filter(|listener| !everywhere.contains(&listener.port))
        .flat_map(|listener| listener.addresses.iter().map(|ip| SocketAddr::new(*ip, listener.port)));
    named.chain(everywhere.iter().map(|port| sockets::all(*port))).collect()
}
