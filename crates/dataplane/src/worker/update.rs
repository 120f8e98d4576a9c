//! Taking over an update.

use std::{collections::BTreeSet, net::SocketAddr, rc::Rc, sync::Arc};

use lasthop_dataplane_api::{
    AppProtocol, BackendKey, EndpointSet, EndpointsKey, L4Rule, Listener, ListenerKey, RuleKey, Sni,
    UpstreamTlsPolicy,
};
use lasthop_tls_backends::{DownstreamTls, UpstreamTls};

use super::{ListenerView, PortKey, PortTls, Socket, SocketKey, View, Worker};
use crate::{
    l4::PortFront,
    proxy::Sessions,
    routing::CompiledRule,
    upstream::{AlpnChoice, Endpoint, Hop, TlsHop, UpstreamBackend},
};

/// An update in the form all workers share: what is dear is compiled already. `None` removes.
pub(crate) struct WorkerUpdate {
    pub listeners: Vec<(ListenerKey, Option<Arc<Listener>>)>,
    pub rules: Vec<(RuleKey, Option<Arc<CompiledRule>>)>,
    pub backends: Vec<(BackendKey, Option<BackendPlan>)>,
    pub endpoints: Vec<(EndpointsKey, Option<Arc<EndpointSet>>)>,
    pub l4_rules: Vec<(RuleKey, Option<Arc<L4Rule>>)>,
    pub ports: Vec<(PortKey, Option<PortPlan>)>,
    pub fronts: Vec<(PortKey, Option<Arc<PortFront>>)>,
    /// The listener of each UDP socket, if any changed.
    pub datagrams: Option<Vec<(SocketAddr, ListenerKey)>>,
    /// Sockets to accept on, each with its address.
    pub listen: Vec<(SocketKey, Socket)>,
    /// What clients' sessions are sealed with from now on.
    pub sessions: Option<Arc<Sessions>>,
}

/// A backend, compiled.
#[derive(Clone)]
pub(crate) struct BackendPlan {
    pub protocol: AppProtocol,
    pub hop: HopPlan,
    pub proxy_protocol: bool,
}

/// The hop to a backend, compiled.
#[derive(Clone)]
pub(crate) enum HopPlan {
    Plaintext,
    Tls { policy: Arc<UpstreamTlsPolicy>, tls: Arc<dyn UpstreamTls> },
    Refused,
}

/// TLS of a port, compiled.
#[derive(Clone)]
pub(crate) struct PortPlan {
    /// `None`: no listener of the port could be set up; connections are closed.
    pub tls: Option<Arc<dyn DownstreamTls>>,
    pub entries: Vec<ListenerKey>,
}

impl Worker {
    /// Takes over everything but the sockets, as a whole: no request is served in between.
    pub(crate) fn take_over(self: &Rc<Self>, update: &WorkerUpdate) {
        self.series.borrow_mut().clear();
        self.updates.set(self.updates.get() + 1);
        if let Some(sessions) = &update.sessions {
            self.sessions.replace(sessions.clone());
        }
        let mut view = self.view.borrow_mut();
        for (key, listener) in &update.listeners {
            view.routes.set_listener(key, listener.as_deref());
            match listener {
                Some(listener) => {
                    let counters = self.metrics.listener(self.index, key);
                    let validation = listener.tls.as_ref().and_then(|tls| tls.client_validation.clone());
                    let listener = Rc::new(ListenerView { key: key.clone(), counters, validation });
                    view.listeners.insert(key.clone(), listener);
                }
                None => drop(view.listeners.remove(key)),
            }
        }
        for (port, plan) in &update.ports {
            match plan {
                Some(plan) => {
                    let entry = |key: &ListenerKey| {
                        let listener = view.listeners.get(key);
                        (key.clone(), listener.and_then(|listener| listener.validation.clone()))
                    };
                    let entries = plan.entries.iter().map(entry).collect();
                    view.ports.insert(*port, Rc::new(PortTls { tls: plan.tls.clone(), entries }));
                }
                None => drop(view.ports.remove(port)),
            }
        }
        if !update.listeners.is_empty() {
            // Connections look whether their listener asks for more by now.
            self.listener_updates.set(self.listener_updates.get() + 1);
            self.deadlines.wake_all();
        }
        for (port, front) in &update.fronts {
            match front {
                Some(front) => drop(view.fronts.insert(*port, front.clone())),
                None => drop(view.fronts.remove(port)),
            }
        }
        if let Some(datagrams) = &update.datagrams {
            view.datagrams = datagrams.iter().cloned().collect();
        }
        for (key, rule) in &update.l4_rules {
            view.l4.set(key, rule.as_ref());
        }
        for (key, rule) in &update.rules {
            view.routes.set_rule(key, rule.clone());
        }
        let mut touched = BTreeSet::new();
        for (key, endpoints) in &update.endpoints {
            let old = match endpoints {
                Some(endpoints) => view.endpoints.insert(key.clone(), endpoints.clone()),
                None => view.endpoints.remove(key),
            };
            let new = endpoints.as_ref().and_then(|set| set.hostname.as_ref());
            view.rename(key, old.as_ref().and_then(|set| set.hostname.as_ref()), new);
            touched.extend(view.backends_of.get(key).into_iter().flatten().cloned());
        }
        // Old backends are kept until the new ones have taken over the endpoints that stay: their pools live on.
        let mut replaced = Vec::new();
        for (key, plan) in &update.backends {
            let backends = view.backends_of.entry(key.endpoints.clone()).or_default();
            backends.retain(|other| other != key);
            match plan {
                Some(plan) => {
                    backends.push(key.clone());
                    let counters = self.metrics.backend(self.index, key);
                    let backend = UpstreamBackend::new(
                        key.clone(),
                        plan.protocol,
                        hop(&plan.hop),
                        plan.proxy_protocol,
                        counters,
                    );
                    replaced.extend(view.backends.insert(key.clone(), Rc::new(backend)));
                    touched.insert(key.clone());
                }
                None => {
                    if backends.is_empty() {
                        view.backends_of.remove(&key.endpoints);
                    }
                    replaced.extend(view.backends.remove(key));
                    touched.remove(key);
                }
            }
        }
        for key in &touched {
            self.renew_endpoints(&view, key);
        }
        for old in &replaced {
            old.retire();
        }
        if !update.backends.is_empty() {
            self.revoke_trust(&replaced, &view);
        }
        drop(view);
        if update.backends.is_empty() && update.endpoints.is_empty() {
            return;
        }
        self.endpoints.borrow_mut().retain(|_, endpoint| endpoint.is_used());
    }

    /// The backend for a client's own TLS that passes through: it is sent on as it is, whatever is to be done for what the
    /// gateway encrypts.
    pub(crate) fn without_tls(&self, backend: &Rc<UpstreamBackend>) -> Rc<UpstreamBackend> {
        if matches!(backend.hop, Hop::Plaintext) {
            return backend.clone();
        }
        let (passed, is_new) = backend.without_tls();
        if is_new {
            self.fill(&self.view.borrow(), &passed);
        }
        passed
    }

    /// Gives a backend the endpoints that it has by now.
    pub(super) fn renew_endpoints(&self, view: &View, key: &BackendKey) {
        let backend = view.backends.get(key);
        let passed = backend.and_then(|backend| backend.passed());
        backend.into_iter().chain(&passed).for_each(|backend| self.fill(view, backend));
    }

    fn fill(&self, view: &View, backend: &UpstreamBackend) {
        let set = view.endpoints.get(&backend.key.endpoints);
        let name = set.and_then(|set| view.names.get(set.hostname.as_ref()?));
        let addresses =
            set.into_iter().flat_map(|set| set.addresses(name.map_or(&[], |name| &name.addresses)));
        backend.set_endpoints(self.endpoints_of(&backend.hop, addresses));
        backend.set_name(name.map(|name| name.standing.clone()));
    }

    fn endpoints_of(&self, hop: &Hop, addresses: impl Iterator<Item = SocketAddr>) -> Rc<[Rc<Endpoint>]> {
        let (id, policy) = match hop {
            Hop::Refused => return Rc::from([]),
            Hop::Plaintext => (None, None),
            Hop::Tls { policy, tls, .. } => (Some(policy.id()), Some((policy, tls))),
        };
        let mut known = self.endpoints.borrow_mut();
        addresses
            .map(|address| {
                let make = || {
                    let tls = policy.map(|(policy, tls)| TlsHop {
                        policy: policy.id(),
                        tls: tls.endpoint(address),
                        request_host: policy.settings().sni == Sni::RequestHost,
                    });
                    Rc::new(Endpoint::new(address, tls, self.counters.clone()))
                };
                known.entry((id, address)).or_insert_with(make).clone()
            })
            .collect()
    }
}

fn hop(plan: &HopPlan) -> Hop {
    match plan {
        HopPlan::Plaintext => Hop::Plaintext,
        HopPlan::Refused => Hop::Refused,
        HopPlan::Tls { policy, tls } => {
            let alpn = match policy.settings().alpn.is_empty() {
                true => AlpnChoice::ByRequest,
                false => AlpnChoice::ByPolicy,
            };
            Hop::Tls { policy: policy.clone(), tls: tls.clone(), alpn }
        }
    }
}
