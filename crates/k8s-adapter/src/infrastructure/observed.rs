//! What is known about Gateways and what serves them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lasthop_api_model::{Gateway, GatewayClass, Resource, ResourceKey, ResourceKind};
use lasthop_dataplane_api::{Changes, Listener, ListenerKey, ListenerProtocol, ObjectName};
use tokio::sync::Notify;

use super::{
    names,
    plan::{Plan, Port},
};
use crate::parameters::{self, LasthopParameters, ParametersByName};

/// What is known about Gateways and what serves them: told by the source and by the loop, read by whoever places proxies
/// and by whoever asks which Gateway an account belongs to.
#[derive(Debug, Default)]
pub struct Observed {
    known: Mutex<Known>,
    changed: Notify,
    failed: Notify,
}

#[derive(Debug, Default)]
struct Known {
    /// Until then, what is not here may still come.
    is_complete: bool,
    /// Gateways and GatewayClasses that are there, but not understood.
    unread: BTreeSet<ResourceKey>,
    gateways: BTreeMap<ObjectName, Arc<Gateway>>,
    classes: BTreeMap<String, Arc<GatewayClass>>,
    parameters: ParametersByName,
    listeners: BTreeMap<ObjectName, BTreeMap<ListenerKey, Port>>,
    versions: BTreeMap<ResourceKind, &'static str>,
    touched: BTreeSet<ObjectName>,
    failures: BTreeMap<ObjectName, Arc<str>>,
}

/// What is to be done about a Gateway.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wanted {
    /// This is to stand.
    Place(Box<Plan>),
    /// Nothing of ours is to stand: the Gateway is somebody else's, or gone.
    Nothing,
    /// What stands stays, but for what the proxies trust: the Gateway is ours, but nothing of it can serve at the moment.
    Trust(Box<Plan>),
    /// What stands stays: nothing is known about the Gateway, or it is about to go.
    AsItIs,
}

impl Observed {
    /// Nothing is known yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Gateway whose proxies run under this account.
    pub fn gateway_of(&self, namespace: &str, account: &str) -> Option<ObjectName> {
        let known = self.known();
        let first = ObjectName::new(namespace, "");
        let own = known.gateways.range(first..).take_while(|(name, _)| &*name.namespace == namespace);
        let mut own = own.map(|(name, _)| name);
        own.find(|name| names::placed(name) == account).cloned()
    }

    /// The version that the API server serves a kind in.
    pub(crate) fn version(&self, kind: ResourceKind) -> &'static str {
        self.known().versions.get(&kind).copied().unwrap_or(kind.version())
    }

    pub(crate) fn serves(&self, kind: ResourceKind, version: &'static str) {
        self.known().versions.insert(kind, version);
    }

    /// From now on, what is not known is not there.
    pub(crate) fn all_is_known(&self) {
        let mut known = self.known();
        known.is_complete = true;
        known.touch_all();
        drop(known);
        self.changed.notify_one();
    }

    /// An object is there that is not understood, and never was.
    pub(crate) fn cannot_read(&self, key: &ResourceKey) {
        if matches!(key.kind, ResourceKind::Gateway | ResourceKind::GatewayClass) {
            self.known().unread.insert(key.clone());
        }
    }

    /// Whether nothing can be said about what a Gateway's proxies are to serve.
    pub fn is_withheld(&self, gateway: &ObjectName) -> bool {
        self.known().is_withheld(gateway)
    }

    pub(crate) fn put(&self, object: &Resource) {
        let mut known = self.known();
        known.unread.remove(&object.key());
        match object {
            Resource::Gateway(gateway) => {
                let key = object.key();
                let name = ObjectName::new(key.namespace, key.name);
                known.gateways.insert(name.clone(), gateway.clone());
                known.touched.insert(name);
            }
            Resource::GatewayClass(class) => {
                known.classes.insert(object.key().name, class.clone());
                known.touch_all();
            }
            _ => return,
        }
        drop(known);
        self.changed.notify_one();
    }

    pub(crate) fn forget(&self, key: &ResourceKey) {
        let mut known = self.known();
        known.unread.remove(key);
        match key.kind {
            ResourceKind::Gateway => {
                let name = ObjectName::new(key.namespace.as_str(), key.name.as_str());
                known.gateways.remove(&name);
                known.touched.insert(name);
            }
            ResourceKind::GatewayClass => {
                known.classes.remove(&key.name);
                known.touch_all();
            }
            _ => return,
        }
        drop(known);
        self.changed.notify_one();
    }

    pub(crate) fn set_parameters(&self, parameters: &ParametersByName) {
        let mut known = self.known();
        if known.parameters != *parameters {
            known.parameters.clone_from(parameters);
            known.touch_all();
            drop(known);
            self.changed.notify_one();
        }
    }

    /// Notes what the loop gives the proxies to serve.
    pub(super) fn listeners_changed(&self, changes: &Changes<ListenerKey, Listener>) {
        if changes.is_empty() {
            return;
        }
        let mut known = self.known();
        for (key, listener) in &changes.0 {
            let gateway = key.gateway.clone();
            let listeners = known.listeners.entry(gateway.clone()).or_default();
            match listener {
                Some(listener) => listeners.insert(key.clone(), port(listener)),
                None => listeners.remove(key),
            };
            if listeners.is_empty() {
                known.listeners.remove(&gateway);
            }
            known.touched.insert(gateway);
        }
        drop(known);
        self.changed.notify_one();
    }

    /// Notes why what is to stand for a Gateway cannot be applied, or that it could. Whether that is new.
    pub(super) fn set_failure(&self, gateway: &ObjectName, why: Option<&str>) -> bool {
        let mut known = self.known();
        let changed = match why {
            Some(why) if known.failures.get(gateway).is_some_and(|known| &**known == why) => false,
            Some(why) => known.failures.insert(gateway.clone(), why.into()).is_none_or(|_| true),
            None => known.failures.remove(gateway).is_some(),
        };
        drop(known);
        if changed {
            self.failed.notify_one();
        }
        changed
    }

    /// Waits until something else cannot be applied.
    pub(crate) async fn failures_changed(&self) {
        self.failed.notified().await;
    }

    /// Why what is to stand for a Gateway cannot be applied.
    pub(crate) fn failure(&self, gateway: &ObjectName) -> Option<Arc<str>> {
        self.known().failures.get(gateway).cloned()
    }

    /// Waits until something may have to be done.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The Gateways that something may have to be done about, since the last time.
    pub(super) fn take_touched(&self) -> BTreeSet<ObjectName> {
        std::mem::take(&mut self.known().touched)
    }

    /// Has every Gateway looked at.
    pub(super) fn touch_all(&self) {
        self.known().touch_all();
        self.changed.notify_one();
    }

    /// What is to be done about a Gateway of a class of this controller.
    pub(super) fn wanted(&self, name: &ObjectName, controller: &str) -> Wanted {
        let known = self.known();
        if known.is_withheld(name) {
            return Wanted::AsItIs;
        }
        let Some(gateway) = known.gateways.get(name) else { return Wanted::Nothing };
        let class = known.classes.get(&gateway.spec.gateway_class_name);
        let Some(class) = class.filter(|class| class.spec.controller_name == controller) else {
            return Wanted::Nothing;
        };
        // Its owner is about to go, and takes along what stands.
        if gateway.metadata.deletion_timestamp.is_some() {
            return Wanted::AsItIs;
        }
        let ports = known.listeners.get(name).map(|listeners| listeners.values().copied().collect());
        // By others than those that were asked for, proxies could look as nobody wants them to: open to the internet.
        let wanted = ports.zip(known.parameters_of(gateway, class));
        let plan = |ports, parameters| Box::new(Plan::new(name, gateway, ports, parameters));
        match wanted {
            Some((ports, parameters)) => Wanted::Place(plan(ports, parameters)),
            None => Wanted::Trust(plan(BTreeSet::new(), Arc::default())),
        }
    }
}

impl Known {
    fn is_withheld(&self, gateway: &ObjectName) -> bool {
        if !self.is_complete {
            return true;
        }
        let unread = |kind, namespace: &str, name: &str| {
            !self.unread.is_empty() && self.unread.contains(&ResourceKey::new(kind, namespace, name))
        };
        match self.gateways.get(gateway) {
            Some(gateway) => unread(ResourceKind::GatewayClass, "", &gateway.spec.gateway_class_name),
            None => unread(ResourceKind::Gateway, &gateway.namespace, &gateway.name),
        }
    }

    fn touch_all(&mut self) {
        // What was touched already stays: it may be gone.
        self.touched.extend(self.gateways.keys().cloned());
    }

    /// The Gateway's own parameters, or else its class's; `None` if those that are named cannot be used.
    fn parameters_of(&self, gateway: &Gateway, class: &GatewayClass) -> Option<Arc<LasthopParameters>> {
        let own =
            gateway.spec.infrastructure.as_ref().and_then(|own| own.parameters_ref.as_ref()).map(|own| {
                let namespace = gateway.metadata.namespace.clone().unwrap_or_default();
                (own.group.as_str(), own.kind.as_str(), (namespace, own.name.clone()))
            });
        let of_class = class.spec.parameters_ref.as_ref().map(|of| {
            let namespace = of.namespace.clone().unwrap_or_default();
            (of.group.as_str(), of.kind.as_str(), (namespace, of.name.clone()))
        });
        match own.or(of_class) {
            None => Some(Arc::default()),
            Some((parameters::GROUP, parameters::KIND, name)) => {
                self.parameters.get(&name).and_then(|read| read.as_ref().ok()).cloned()
            }
            Some(_) => None,
        }
    }
}

fn port(listener: &Listener) -> Port {
    Port { number: listener.port, is_udp: listener.protocol == ListenerProtocol::UDP }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(kind: ResourceKind, object: Value) -> Resource {
        lasthop_api_model::read::read_served(kind, "v1", object).unwrap()
    }

    fn gateway(infrastructure: Value) -> Resource {
        let gateway = json!({"metadata": {"name": "edge", "namespace": "infra"}, "spec": {"gatewayClassName": "c",
            "infrastructure": infrastructure, "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}});
        object(ResourceKind::Gateway, gateway)
    }

    #[test]
    fn a_gateway_that_went_is_looked_at_even_if_all_others_are_too() {
        let observed = Observed::new();
        let gateway = gateway(json!({}));
        observed.put(&gateway);
        observed.take_touched();
        observed.forget(&gateway.key());
        observed.touch_all();
        assert_eq!(observed.take_touched(), BTreeSet::from([ObjectName::new("infra", "edge")]));
    }

    #[test]
    fn nothing_is_placed_by_other_parameters_than_those_asked_for() {
        let observed = Observed::new();
        observed.all_is_known();
        let name = ObjectName::new("infra", "edge");
        let class = json!({"metadata": {"name": "c"}, "spec": {"controllerName": "lasthop.dev/gateway"}});
        observed.put(&object(ResourceKind::GatewayClass, class));
        let key = ListenerKey { gateway: name.clone(), set: None, name: "http".into() };
        let port = Port { number: 80, is_udp: false };
        observed.known().listeners.insert(name.clone(), BTreeMap::from([(key, port)]));
        let wanted = |group: &str, kind: &str, parameters: Option<Result<Arc<LasthopParameters>, String>>| {
            let named = parameters.map(|read| (("infra".to_owned(), "p".to_owned()), read));
            observed.set_parameters(&named.into_iter().collect());
            let reference = json!({"group": group, "kind": kind, "name": "p"});
            observed.put(&gateway(json!({"parametersRef": reference})));
            observed.wanted(&name, "lasthop.dev/gateway")
        };
        let mine = Arc::new(LasthopParameters { replicas: Some(3), ..LasthopParameters::default() });
        let good = || Some(Ok(mine.clone()));
        let Wanted::Place(plan) = wanted(parameters::GROUP, parameters::KIND, good()) else {
            panic!("not placed")
        };
        assert_eq!(plan.parameters, mine);
        let is_kept = |wanted| matches!(wanted, Wanted::Trust(_));
        assert!(is_kept(wanted(parameters::GROUP, parameters::KIND, None)));
        let bad = Some(Err("spec.settings".to_owned()));
        assert!(is_kept(wanted(parameters::GROUP, parameters::KIND, bad)));
        assert!(is_kept(wanted("example.com", parameters::KIND, good())));
        assert!(is_kept(wanted(parameters::GROUP, "ConfigMap", good())));
    }

    #[test]
    fn what_is_not_known_yet_or_not_understood_is_not_taken_away() {
        let observed = Observed::new();
        let name = ObjectName::new("infra", "edge");
        let key = ResourceKey::new(ResourceKind::Gateway, "infra", "edge");
        let wanted = || observed.wanted(&name, "lasthop.dev/gateway");
        assert_eq!(wanted(), Wanted::AsItIs, "it may still come");
        assert!(observed.is_withheld(&name));
        observed.all_is_known();
        assert_eq!(observed.take_touched().len(), 0);
        assert_eq!(wanted(), Wanted::Nothing);
        assert!(!observed.is_withheld(&name), "its last proxies are told that there is nothing");
        observed.cannot_read(&key);
        assert_eq!(wanted(), Wanted::AsItIs);
        assert!(observed.is_withheld(&name));
        observed.put(&gateway(json!({})));
        assert_eq!(wanted(), Wanted::Nothing, "its class is gone");
        observed.cannot_read(&ResourceKey::new(ResourceKind::GatewayClass, "", "c"));
        assert_eq!(wanted(), Wanted::AsItIs, "its class is not understood");
        observed.forget(&ResourceKey::new(ResourceKind::GatewayClass, "", "c"));
        observed.forget(&key);
        assert_eq!(wanted(), Wanted::Nothing);
    }
}
