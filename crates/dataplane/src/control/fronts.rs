//! What connections to a port begin with, where that is not HTTP.

use std::{collections::BTreeMap, sync::Arc};

use lasthop_dataplane_api::{Listener, ListenerKey, ListenerProtocol};
use lasthop_tls_backends::{DownstreamEntry, DownstreamSettings, TlsBackend};

use super::ports::by_place;
use crate::{
    l4::{ByName, Mode, PortFront, Speaks},
    worker::PortKey,
};

/// The fronts that are in force.
#[derive(Default)]
pub(super) struct Fronts {
    of: BTreeMap<PortKey, Vec<Arc<Listener>>>,
    /// Listeners whose certificates the TLS stack refused.
    refused: BTreeMap<ListenerKey, Arc<str>>,
}

impl Fronts {
    /// Why a listener cannot be set up.
    pub(super) fn refused(&self, listener: &ListenerKey) -> Option<&Arc<str>> {
        self.refused.get(listener)
    }

    /// What changes. Ports that speak HTTP alone, without PROXY protocol, have no front.
    pub(super) fn plan(
        &mut self,
        stack: &dyn TlsBackend,
        served: &[&Arc<Listener>],
    ) -> Vec<(PortKey, Option<Arc<PortFront>>)> {
        let mut places = by_place(served, |_| true);
        places.retain(|_, listeners| listeners.iter().any(|listener| needs_front(listener)));
        let gone: Vec<_> = self.of.keys().filter(|place| !places.contains_key(place)).copied().collect();
        let mut plan: Vec<_> = gone.into_iter().map(|place| (place, None)).collect();
        plan.iter().for_each(|(place, _)| drop(self.of.remove(place)));
        let terminates =
            |listener: &Listener| listener.protocol == ListenerProtocol::TLS && listener.tls.is_some();
        self.refused
            .retain(|key, _| served.iter().any(|listener| listener.key == *key && terminates(listener)));
        for (place, listeners) in places {
            let listeners: Vec<_> = listeners.into_iter().cloned().collect();
            if self.of.get(&place) == Some(&listeners) {
                continue;
            }
            if let Some(front) = self.front(stack, &listeners) {
                plan.push((place, Some(Arc::new(front))));
            }
            self.of.insert(place, listeners);
        }
        plan
    }

    fn front(&mut self, stack: &dyn TlsBackend, listeners: &[Arc<Listener>]) -> Option<PortFront> {
        let raw = listeners.iter().find(|listener| listener.protocol == ListenerProtocol::TCP);
        let by_name = listeners.iter().any(|listener| listener.protocol == ListenerProtocol::TLS);
        let speaks = match raw {
            Some(listener) => Speaks::Tcp(listener.key.clone()),
            None if by_name => Speaks::ByName(Arc::new(self.by_name(stack, listeners))),
            None => Speaks::Http,
        };
        Some(PortFront {
            // The header comes before anything that tells the listeners of a port apart.
            proxy_protocol: listeners.iter().any(|listener| listener.proxy_protocol),
            speaks,
            first: raw.or(listeners.first())?.key.clone(),
        })
    }

    fn by_name(&mut self, stack: &dyn TlsBackend, listeners: &[Arc<Listener>]) -> ByName {
        let mut names = ByName::default();
        for listener in listeners {
            let mode = match (listener.protocol, &listener.tls) {
                (ListenerProtocol::HTTPS, _) => Mode::Https,
                (ListenerProtocol::TLS, None) => Mode::Passthrough,
                (ListenerProtocol::TLS, Some(tls)) => {
                    let entry = DownstreamEntry { hostname: listener.hostname.clone(), tls: tls.clone() };
                    // What is spoken behind it is between client and backend: no protocol is chosen by ALPN.
                    let settings = DownstreamSettings { entries: vec![entry], alpn: Vec::new() };
                    self.refused.remove(&listener.key);
                    match stack.downstream(&settings) {
                        Ok(tls) => Mode::Terminate(tls),
                        Err(error) => {
                            self.refused.insert(listener.key.clone(), Arc::from(error.to_string()));
                            Mode::Refused
                        }
                    }
                }
                (ListenerProtocol::HTTP | ListenerProtocol::TCP | ListenerProtocol::UDP, _) => continue,
            };
            names.add(listener.hostname.as_ref(), listener.key.clone(), mode);
        }
        names
    }
}

fn needs_front(listener: &Listener) -> bool {
    listener.proxy_protocol || matches!(listener.protocol, ListenerProtocol::TLS | ListenerProtocol::TCP)
}

#[cfg(test)]
mod tests {
    use lasthop_dataplane_api::{ListenerTls, ObjectName};

    use super::*;

    #[test]
    fn what_terminates_no_longer_is_refused_no_longer() {
        let stack = lasthop_tls_backends::backend(lasthop_tls_backends::available()[0]).unwrap();
        let key = ListenerKey { gateway: ObjectName::new("infra", "gw"), set: None, name: "tls".into() };
        let listener = |protocol, terminates: bool| {
            Arc::new(Listener {
                key: key.clone(),
                port: 443,
                addresses: Vec::new(),
                protocol,
                hostname: None,
                tls: terminates.then(|| ListenerTls { certificates: Vec::new(), client_validation: None }),
                proxy_protocol: false,
            })
        };
        let mut fronts = Fronts::default();
        let mut is_refused = |listener: Arc<Listener>| {
            fronts.plan(&*stack, &[&listener]);
            fronts.refused(&key).is_some()
        };
        let without_a_certificate = || listener(ListenerProtocol::TLS, true);
        for other in [
            listener(ListenerProtocol::TLS, false),
            listener(ListenerProtocol::HTTPS, true),
            listener(ListenerProtocol::HTTP, false),
            listener(ListenerProtocol::TCP, false),
        ] {
            assert!(is_refused(without_a_certificate()));
            assert!(is_refused(without_a_certificate()), "nothing changed");
            assert!(!is_refused(other.clone()), "{other:?}");
        }
    }
}
