//! From a request to the rule that serves it.
//!
//! A worker has one [`RouteTable`] and changes it in place, rule by rule. A lookup goes from the listener to the host
//! (exact, then wildcards from the longest on, then routes without host names), and there to the path. A rule of a
//! less specific host serves a request that no rule of a more specific one matches.
//!
//! Precedence between routes goes by the host names that the *routes* wrote, not by what is left of them on the
//! listener, then by [`precedence`].

mod condition;
mod host_map;
mod path_index;
mod port_map;
mod precedence;
mod query;
mod rule;
mod text;
mod weight;

#[cfg(test)]
mod tests;

use std::{collections::hash_map::Entry, net::SocketAddr, rc::Rc, sync::Arc};

use http::request::Parts;
use lasthop_dataplane_api::{HostPattern, Listener, ListenerKey, ListenerProtocol, RuleKey};

pub(crate) use self::host_map::HostMap;
pub(crate) use self::rule::{CompiledBackendRef, CompiledRule, WorkerRule};
pub(crate) use self::weight::{Turns, by_weight};
use self::{
    condition::RequestView,
    path_index::{Candidate, PathIndex},
    port_map::{Place, PortMap},
};
use crate::worker::QuickMap;

/// The HTTP listeners and rules of a worker.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    listeners: QuickMap<ListenerKey, Place>,
    ports: PortMap,
    rules: QuickMap<RuleKey, Rc<WorkerRule>>,
    routes: QuickMap<ListenerKey, HostMap<Vec<OwnHost>>>,
}

/// The matches of all routes that wrote the same host name.
#[derive(Debug)]
struct OwnHost {
    own: Option<HostPattern>,
    paths: PathIndex,
}

/// The rule for a request.
#[derive(Clone, Debug)]
pub(crate) struct RouteMatch {
    /// The rule.
    pub(crate) rule: Rc<WorkerRule>,
    /// Which of `rule.source.matches` held.
    pub(crate) matched: usize,
}

impl RouteTable {
    /// Adds, changes or removes a listener. Listeners without hosts (TCP, UDP) are passed over.
    pub(crate) fn set_listener(&mut self, key: &ListenerKey, listener: Option<&Listener>) {
        let place = listener.and_then(|listener| {
            let tls = match listener.protocol {
                ListenerProtocol::HTTP => false,
                // What is TLS by name takes no requests: those for its hosts are misdirected.
                ListenerProtocol::HTTPS | ListenerProtocol::TLS => true,
                ListenerProtocol::TCP | ListenerProtocol::UDP => return None,
            };
            Some(Place::of(listener, tls))
        });
        if let Some(old) = self.listeners.remove(key) {
            self.ports.remove(key, &old);
        }
        if let Some(place) = place {
            self.ports.insert(key, &place);
            self.listeners.insert(key.clone(), place);
        }
    }

    /// Adds, changes or removes a rule. Costs what the rule's own hosts and matches cost, whatever else is there.
    pub(crate) fn set_rule(&mut self, key: &RuleKey, rule: Option<Arc<CompiledRule>>) {
        if let Some(old) = self.rules.remove(key) {
            self.detach(&old);
        }
        if let Some(rule) = rule {
            let rule = Rc::new(WorkerRule::new(rule));
            self.attach(&rule);
            self.rules.insert(key.clone(), rule);
        }
    }

    /// The listener for a host of those that listen on this address and port: the one with the most specific host
    /// name that covers it, so that a request is never served by the routes of a less specific one.
    ///
    /// `host` is lower case, without port or trailing dot.
    pub(crate) fn choose_listener(&self, local: SocketAddr, tls: bool, host: &str) -> Option<&ListenerKey> {
        self.ports.choose(local, tls, host)
    }

    /// The rule for a request on a listener. Allocates nothing, but for a regular expression over a header field or
    /// query parameter of more than 256 bytes that stands on several lines or is percent-encoded.
    ///
    /// `host` is lower case, without port or trailing dot.
    pub(crate) fn find(&self, listener: &ListenerKey, host: &str, parts: &Parts) -> Option<RouteMatch> {
        let request = RequestView::new(parts);
        self.routes
            .get(listener)?
            .covering(host)
            .flatten()
            .find_map(|hosts| hosts.paths.find(&request))
            .map(|found| RouteMatch { rule: found.rule.clone(), matched: found.matched })
    }

    fn attach(&mut self, rule: &Rc<WorkerRule>) {
        for (listener, effective, own) in hosts(rule) {
            let hosts = self.routes.entry(listener.clone()).or_default().at(effective);
            let at = match hosts.binary_search_by(|probe| by_own(probe.own.as_ref(), own)) {
                Ok(at) => at,
                Err(at) => {
                    hosts.insert(at, OwnHost { own: own.cloned(), paths: PathIndex::default() });
                    at
                }
            };
            for matched in 0..rule.matches.len() {
                hosts[at].paths.insert(Candidate { rule: rule.clone(), matched });
            }
        }
    }

    fn detach(&mut self, rule: &Rc<WorkerRule>) {
        for (listener, effective, own) in hosts(rule) {
            let Entry::Occupied(mut routes) = self.routes.entry(listener.clone()) else { continue };
            routes.get_mut().shrink(effective, |hosts| {
                if let Ok(at) = hosts.binary_search_by(|probe| by_own(probe.own.as_ref(), own)) {
                    for matched in 0..rule.matches.len() {
                        hosts[at].paths.remove(&Candidate { rule: rule.clone(), matched });
                    }
                    if hosts[at].paths.is_empty() {
                        hosts.remove(at);
                    }
                }
                hosts.is_empty()
            });
            if routes.get().is_empty() {
                routes.remove();
            }
        }
    }
}

/// Where a rule is attached: listener, effective host, the route's own host. No host is every host.
fn hosts(
    rule: &CompiledRule,
) -> impl Iterator<Item = (&ListenerKey, Option<&HostPattern>, Option<&HostPattern>)> {
    rule.source.attachments.iter().flat_map(|attachment| {
        let every = attachment.hosts.is_empty().then_some((&attachment.listener, None, None));
        let named = attachment
            .hosts
            .iter()
            .map(|host| (&attachment.listener, Some(&host.effective), Some(&host.own)));
        every.into_iter().chain(named)
    })
}

/// Orders the routes' own hosts at one place: the more specific first, no host last. Different hosts are never equal.
pub(crate) fn by_own(a: Option<&HostPattern>, b: Option<&HostPattern>) -> std::cmp::Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.by_precedence(b).then_with(|| a.cmp(b)),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}
