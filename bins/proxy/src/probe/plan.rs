//! What is asked of whom: each endpoint with each offer that the dataplane would make to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use lasthop_dataplane_api::{
    AppProtocol, Attachment, AuthProtocol, Backend, BackendKey, BackendTarget, BackendTls, Endpoint,
    EndpointSet, HostPattern, HttpFilter, PlaintextReason, Refusal, RouteKind, Snapshot, Sni,
    UpstreamTlsPolicy,
};
use lasthop_tls_backends::{Alpn, UpstreamTls};
use lasthop_translator::{Hop, HopPolicy, HopTls};

use crate::check::Translated;

/// What will be done.
pub(super) struct Plan {
    pub(super) targets: Vec<Target>,
    pub(super) others: Vec<Other>,
}

/// One handshake.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) backend: BackendKey,
    pub(super) address: SocketAddr,
    pub(super) policy: Arc<UpstreamTlsPolicy>,
    pub(super) tls: Arc<dyn UpstreamTls>,
    /// The policy as the user knows it.
    pub(super) described: Arc<HopPolicy>,
    pub(super) speaks: Speaks,
    /// The request's host, where the SNI is that.
    pub(super) host: Option<Arc<str>>,
}

/// The HTTP version that requests need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Speaks {
    Http1,
    Http2,
    /// What ALPN chooses, because the policy names its own protocols.
    Negotiated,
    /// Whatever comes: connections are handed on as a whole.
    Stream,
}

/// A backend with which no hands are shaken.
pub(super) struct Other {
    pub(super) backend: BackendKey,
    pub(super) why: NoHandshake,
}

/// Why not.
pub(super) enum NoHandshake {
    /// Nobody asked for TLS.
    Plaintext(PlaintextReason),
    /// The client's own TLS goes through.
    Passthrough,
    /// TLS was asked for and cannot be had as asked.
    Refused(Refusal),
    /// There is a policy, and nobody to ask.
    NoEndpoint(Arc<HopPolicy>),
    /// There is a policy, and the name of the host has no address.
    Unresolved { host: Arc<str>, why: String, policy: Arc<HopPolicy> },
}

/// Who uses a backend, and for which hosts.
#[derive(Default)]
struct Uses {
    kinds: BTreeSet<RouteKind>,
    hosts: BTreeSet<Option<Arc<str>>>,
}

/// The addresses of host names, or why a name has none.
pub(super) type Addresses = BTreeMap<Arc<str>, Result<Vec<IpAddr>, String>>;

/// The host names of the backends that hands are shaken with.
pub(super) fn names(snapshot: &Snapshot) -> BTreeSet<Arc<str>> {
    let asked = snapshot.backends.values().filter(|backend| matches!(backend.tls, BackendTls::Policy(_)));
    let sets = asked.filter_map(|backend| snapshot.endpoints.get(&backend.key.endpoints));
    sets.filter_map(|set| set.hostname.clone()).collect()
}

/// Everything there is to do for a folder.
pub(super) fn plan(translated: &Translated, addresses: &Addresses) -> Plan {
    let snapshot = translated.translator.snapshot();
    let hops = translated.translator.hops();
    let uses = uses(snapshot);
    let mut plan = Plan { targets: Vec::new(), others: Vec::new() };
    for (key, backend) in &snapshot.backends {
        let service = key.endpoints.to_string();
        let of = |hop: &&Hop| {
            // A reference that leads nowhere may be spelt like it.
            let leads_nowhere = matches!(hop.tls, HopTls::Unresolved { .. });
            hop.gateway == key.gateway && *hop.backend == *service && !leads_nowhere
        };
        // Where TLS passes through for one route, another may still end it: that one's hop is ours.
        let passed = hops.iter().find(of).filter(|hop| matches!(hop.tls, HopTls::Passthrough));
        let hop = hops.iter().filter(of).find(|hop| !matches!(hop.tls, HopTls::Passthrough));
        let mut other = |why| plan.others.push(Other { backend: key.clone(), why });
        if hop.is_none() && passed.is_some() {
            other(NoHandshake::Passthrough);
            continue;
        }
        let policy = match &backend.tls {
            BackendTls::Plaintext(reason) => {
                other(NoHandshake::Plaintext(*reason));
                continue;
            }
            BackendTls::Refused(refusal) => {
                other(NoHandshake::Refused(refusal.clone()));
                continue;
            }
            BackendTls::Policy(policy) => policy,
        };
        let described = match hop.map(|hop| &hop.tls) {
            Some(HopTls::Policy(described)) => Arc::new(described.clone()),
            // The stack cannot do it.
            Some(HopTls::Refused(refusal)) => {
                other(NoHandshake::Refused(refusal.clone()));
                continue;
            }
            _ => Arc::new(bare(policy)),
        };
        let tls = match translated.stack.upstream(policy) {
            Ok(tls) => tls,
            Err(error) => {
                let refusal = Refusal {
                    reason: "Invalid".into(),
                    message: error.to_string().into(),
                    policy: policy.source.clone(),
                };
                other(NoHandshake::Refused(refusal));
                continue;
            }
        };
        let endpoints = match snapshot.endpoints.get(&key.endpoints).map(|set| endpoints(set, addresses)) {
            None => Vec::new(),
            Some(Ok(endpoints)) => endpoints,
            Some(Err((host, why))) => {
                other(NoHandshake::Unresolved { host, why, policy: described });
                continue;
            }
        };
        if endpoints.is_empty() {
            other(NoHandshake::NoEndpoint(described));
            continue;
        }
        let none = Uses::default();
        let uses = uses.get(key).unwrap_or(&none);
        for endpoint in endpoints {
            for speaks in uses.speaks(backend, policy) {
                for host in uses.hosts(policy) {
                    plan.targets.push(Target {
                        backend: key.clone(),
                        address: endpoint.address,
                        policy: policy.clone(),
                        tls: tls.clone(),
                        described: described.clone(),
                        speaks,
                        host,
                    });
                }
            }
        }
    }
    plan
}

/// A policy of a backend that no rule leads to.
fn bare(policy: &UpstreamTlsPolicy) -> HopPolicy {
    let settings = policy.settings();
    HopPolicy {
        policy: policy.source.clone(),
        id: policy.id().to_string(),
        authorities: Vec::new(),
        identities: settings.peer.identities.clone(),
        required: settings.peer.required.clone(),
        verify: settings.peer.mode,
        sni: settings.sni.clone(),
        client_certificate: None,
        min_version: settings.min_version,
        max_version: settings.max_version,
    }
}

/// The endpoints of a set; those of a host name as it resolves now. The error is the name, and why it has none.
fn endpoints(set: &EndpointSet, addresses: &Addresses) -> Result<Vec<Endpoint>, (Arc<str>, String)> {
    let Some(host) = &set.hostname else { return Ok(set.endpoints.clone()) };
    let known = addresses.get(host).cloned().unwrap_or_else(|| Err("it was not asked for".to_owned()));
    let found = known.map_err(|why| (host.clone(), why))?;
    let at = |address| Endpoint { address: SocketAddr::new(address, set.key.port) };
    Ok(found.into_iter().map(at).collect())
}

fn uses(snapshot: &Snapshot) -> BTreeMap<&BackendKey, Uses> {
    let mut uses: BTreeMap<&BackendKey, Uses> = BTreeMap::new();
    for rule in snapshot.http_rules.values() {
        let backends = rule.backends.iter().map(|backend| &backend.target);
        let filters = rule.filters.iter().chain(rule.backends.iter().flat_map(|backend| &backend.filters));
        let kind = rule.key.route.kind;
        let of_filters = filters.filter_map(|filter| {
            let kind = match filter {
                // It is asked as a gRPC backend is.
                HttpFilter::ExternalAuth(auth) if matches!(auth.protocol, AuthProtocol::Grpc { .. }) => {
                    RouteKind::GRPCRoute
                }
                HttpFilter::ExternalAuth(_) => RouteKind::HTTPRoute,
                _ => kind,
            };
            Some((filter.target()?, kind))
        });
        for (target, kind) in backends.map(|target| (target, kind)).chain(of_filters) {
            if let BackendTarget::Backend(key) = target {
                let uses = uses.entry(key).or_default();
                uses.kinds.insert(kind);
                uses.hosts.extend(hosts(snapshot, &rule.attachments));
            }
        }
    }
    for rule in snapshot.l4_rules.values() {
        for backend in &rule.backends {
            if let BackendTarget::Backend(key) = &backend.target {
                let uses = uses.entry(key).or_default();
                uses.kinds.insert(rule.key.route.kind);
                uses.hosts.extend(hosts(snapshot, &rule.attachments));
            }
        }
    }
    uses
}

/// A host for each host name of a rule. A wildcard gets one that it covers; where any host will do there is none.
fn hosts(snapshot: &Snapshot, attachments: &[Attachment]) -> BTreeSet<Option<Arc<str>>> {
    let of = |pattern: &HostPattern| match pattern {
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Wildcard(suffix) => format!("lasthop-probe{suffix}").into(),
    };
    let mut found = BTreeSet::new();
    for attachment in attachments {
        if attachment.hosts.is_empty() {
            let listener = snapshot.listeners.get(&attachment.listener);
            found.insert(listener.and_then(|listener| listener.hostname.as_ref()).map(of));
        }
        found.extend(attachment.hosts.iter().map(|host| Some(of(&host.effective))));
    }
    found
}

impl Uses {
    /// What the dataplane would want to speak, as it decides it for each request.
    fn speaks(&self, backend: &Backend, policy: &UpstreamTlsPolicy) -> BTreeSet<Speaks> {
        let of = |kind: RouteKind| match (kind, backend.protocol) {
            (RouteKind::TLSRoute | RouteKind::TCPRoute | RouteKind::UDPRoute, _) => Speaks::Stream,
            (RouteKind::GRPCRoute, _) | (_, AppProtocol::H2c) => Speaks::Http2,
            (_, AppProtocol::Unspecified) if !policy.settings().alpn.is_empty() => Speaks::Negotiated,
            (_, AppProtocol::Unspecified | AppProtocol::WebSocket | AppProtocol::WebSocketTls) => {
                Speaks::Http1
            }
        };
        match self.kinds.is_empty() {
            true => BTreeSet::from([of(RouteKind::HTTPRoute)]),
            false => self.kinds.iter().copied().map(of).collect(),
        }
    }

    fn hosts(&self, policy: &UpstreamTlsPolicy) -> BTreeSet<Option<Arc<str>>> {
        match policy.settings().sni {
            Sni::RequestHost if !self.hosts.is_empty() => self.hosts.clone(),
            _ => BTreeSet::from([None]),
        }
    }
}

impl Speaks {
    /// What is offered by ALPN unless the policy names its own.
    pub(super) fn offer(self) -> &'static [Alpn] {
        match self {
            Self::Http1 => &[Alpn::Http1],
            Self::Http2 => &[Alpn::Http2],
            Self::Negotiated => &[Alpn::Http2, Alpn::Http1],
            Self::Stream => &[],
        }
    }

    /// Whether requests can be sent over a connection for which ALPN chose this.
    pub(super) fn takes(self, chosen: Option<Alpn>) -> bool {
        match self {
            Self::Http1 => chosen != Some(Alpn::Http2),
            Self::Http2 => chosen == Some(Alpn::Http2),
            Self::Negotiated | Self::Stream => true,
        }
    }
}

impl Target {
    /// The protocols on offer, as ALPN names them.
    pub(super) fn offered(&self) -> Vec<String> {
        match &self.policy.settings().alpn {
            own if own.is_empty() => self.speaks.offer().iter().map(ToString::to_string).collect(),
            own => own.iter().map(ToString::to_string).collect(),
        }
    }

    /// The server name that is sent, if one is.
    pub(super) fn server_name(&self) -> Option<String> {
        match &self.policy.settings().sni {
            Sni::Name(name) => Some(name.to_string()),
            Sni::None => None,
            Sni::RequestHost => self.host.as_deref().map(str::to_owned),
        }
    }
}

impl Other {
    /// Whether requests to it fail because of it.
    pub(super) fn fails(&self) -> bool {
        matches!(self.why, NoHandshake::Refused(_) | NoHandshake::Unresolved { .. })
    }
}

#[cfg(test)]
mod tests;
