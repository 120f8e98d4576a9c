//! Doing one node, and telling those that read it.

use std::{collections::BTreeMap, sync::Arc};

use lasthop_api_model::{ResourceKey, ResourceKind};
use lasthop_dataplane_api::{ListenerKey, ObjectName, RouteKey};

use crate::{
    Translator, gateways,
    gateways::GatewayOutcome,
    index::{Fact, Node, Reader, RouteUses},
    names,
    output::Status,
    pending::Pending,
    routes,
    routes::RouteOutcome,
    services, status, tls_policies, xbackends,
};

impl Translator {
    /// Does one node.
    pub(crate) fn evaluate(&mut self, node: Node, pending: &mut Pending) {
        match &node {
            Node::Gateway(name) => self.gateway(&node, name, pending),
            Node::Ports => self.ports(pending),
            Node::Policy(name) => {
                let new = self.read(&node, pending, |reader| tls_policies::translate(reader, name));
                if replace(&mut self.derived.policies, name, new.map(Arc::new)) {
                    self.tracker.touch(&Fact::Policy(name.clone()));
                }
            }
            Node::Claims(service) => {
                let new = self.read(&node, pending, |reader| tls_policies::claims(reader, service));
                if replace(&mut self.derived.claims, service, new.map(Arc::new)) {
                    self.tracker.touch(&Fact::Claims(service.clone()));
                }
            }
            Node::XBackend(name) => {
                let new = self.read(&node, pending, |reader| xbackends::translate(reader, name));
                if replace(&mut self.derived.xbackends, name, new.map(Arc::new)) {
                    self.tracker.touch(&Fact::XBackend(name.clone()));
                }
            }
            Node::Route(key) => self.route(&node, key, pending),
            Node::Backend(key) => {
                let new = self.read(&node, pending, |reader| services::backend(reader, key));
                pending.backends.insert(key.clone(), Some(Arc::new(new)));
            }
            Node::Endpoints(key) => {
                let new = self.read(&node, pending, |reader| services::endpoints(reader, key));
                pending.endpoints.insert(key.clone(), Some(Arc::new(new)));
            }
            Node::ClassStatus(name) => {
                let key = ResourceKey::new(ResourceKind::GatewayClass, "", &**name);
                let new = self.read(&node, pending, |reader| status::class_status(reader, name));
                self.say(key, new.map(Status::GatewayClass), pending);
            }
            Node::GatewayStatus(name) => {
                let new = self.read(&node, pending, |reader| status::gateway_status(reader, name));
                let gateway = self.inputs.store.gateways().get(&name.namespace, &name.name);
                let generation = gateway.and_then(|gateway| gateway.metadata.generation);
                self.derived.progress.told(name, generation);
                self.say(names::key(ResourceKind::Gateway, name), new.map(Status::Gateway), pending);
            }
            Node::ListenerSetStatus(name) => {
                let new = self.read(&node, pending, |reader| status::listener_set_status(reader, name));
                let key = names::key(ResourceKind::ListenerSet, name);
                self.say(key, new.map(Status::ListenerSet), pending);
            }
            Node::PolicyStatus(name) => {
                let new = self.read(&node, pending, |reader| status::policy_status(reader, name));
                let key = names::key(ResourceKind::BackendTlsPolicy, name);
                self.say(key, new.map(Status::Policy), pending);
            }
            Node::XBackendStatus(name) => {
                let new = self.read(&node, pending, |reader| status::xbackend_status(reader, name));
                let key = names::key(ResourceKind::XBackend, name);
                self.say(key, new.map(Status::Policy), pending);
            }
        }
        if self.is_gone(&node) {
            self.tracker.forget(&node);
        }
    }

    /// Whether the object that a node stands for is gone. Backends and endpoints live as long as routes use them.
    fn is_gone(&self, node: &Node) -> bool {
        let key = match node {
            Node::Gateway(name) | Node::GatewayStatus(name) => names::key(ResourceKind::Gateway, name),
            Node::Policy(name) | Node::PolicyStatus(name) => names::key(ResourceKind::BackendTlsPolicy, name),
            Node::ListenerSetStatus(name) => names::key(ResourceKind::ListenerSet, name),
            Node::XBackend(name) | Node::XBackendStatus(name) => names::key(ResourceKind::XBackend, name),
            Node::ClassStatus(name) => ResourceKey::new(ResourceKind::GatewayClass, "", &**name),
            Node::Route(key) => names::route_resource(key),
            Node::Claims(service) => return !self.derived.claims.contains_key(service),
            Node::Ports | Node::Backend(_) | Node::Endpoints(_) => return false,
        };
        self.inputs.store.find(&key).is_none()
    }

    /// A Gateway by itself. Where Gateways share their ports it does not take effect before the ports are settled.
    fn gateway(&mut self, node: &Node, name: &ObjectName, pending: &mut Pending) {
        let new = self.read(node, pending, |reader| gateways::translate(reader, name)).map(Arc::new);
        if !replace(&mut self.derived.drafts, name, new.clone()) {
            return;
        }
        if self.options.gateways_share_ports {
            self.tracker.schedule(Node::Ports);
        } else {
            self.settle(name, new, pending);
        }
    }

    /// All Gateways beside each other.
    fn ports(&mut self, pending: &mut Pending) {
        let mut shared = gateways::share(&self.derived.drafts);
        let known: Vec<ObjectName> = self.derived.gateways.keys().cloned().collect();
        for name in known {
            let new = shared.remove(&name);
            self.settle(&name, new, pending);
        }
        for (name, outcome) in shared {
            self.settle(&name, Some(outcome), pending);
        }
    }

    /// Puts what came of a Gateway in force, and tells those that read it.
    fn settle(&mut self, name: &ObjectName, new: Option<Arc<GatewayOutcome>>, pending: &mut Pending) {
        let old = self.derived.gateways.get(name).cloned();
        if old == new {
            return;
        }
        let part = |outcome: &Option<Arc<GatewayOutcome>>| {
            outcome.as_ref().map(|o| (o.admissions.clone(), o.client_certificate.clone()))
        };
        let (old_admissions, old_certificate) = part(&old).unzip();
        let (new_admissions, new_certificate) = part(&new).unzip();
        if old_admissions != new_admissions {
            self.tracker.touch(&Fact::Admission(name.clone()));
        }
        if old_certificate != new_certificate {
            self.tracker.touch(&Fact::ClientCertificate(name.clone()));
        }
        self.tracker.touch(&Fact::Gateway(name.clone()));
        let none = BTreeMap::new();
        let serving = |outcome: &'_ Option<Arc<GatewayOutcome>>| {
            outcome.as_ref().map_or_else(|| none.clone(), |outcome| outcome.serving.clone())
        };
        let (old_serving, new_serving) = (serving(&old), serving(&new));
        for key in old_serving.keys().filter(|key: &&ListenerKey| !new_serving.contains_key(*key)) {
            pending.listeners.insert(key.clone(), None);
        }
        for (key, listener) in new_serving {
            pending.listeners.insert(key, Some(listener));
        }
        match new {
            Some(outcome) => self.derived.gateways.insert(name.clone(), outcome),
            None => self.derived.gateways.remove(name),
        };
    }

    fn route(&mut self, node: &Node, key: &RouteKey, pending: &mut Pending) {
        let new = self.read(node, pending, |reader| routes::translate(reader, key));
        let old = self.derived.routes.remove(key);
        let none = RouteOutcome::default();
        self.replace_rules(old.as_deref().unwrap_or(&none), new.as_ref().unwrap_or(&none), pending);
        self.replace_uses(
            old.as_ref().map(|route| &route.uses),
            new.as_ref().map(|route| &route.uses),
            pending,
        );
        let status = new.as_ref().and_then(|route| {
            // The facts this reads are the route's own, which the node has read already.
            let reader = Reader::new(&self.options, &self.inputs, &self.derived, &self.cache);
            status::route_status(&reader, key, &route.said)
        });
        if let Some(outcome) = new {
            self.derived.routes.insert(key.clone(), Arc::new(outcome));
        }
        self.say(names::route_resource(key), status.map(Status::Route), pending);
    }

    fn replace_rules(&self, old: &RouteOutcome, new: &RouteOutcome, pending: &mut Pending) {
        for rule in &old.rules {
            if !new.rules.iter().any(|kept| kept.key == rule.key) {
                pending.rules.insert(rule.key.clone(), None);
            }
        }
        for rule in &new.rules {
            pending.rules.insert(rule.key.clone(), Some(rule.clone()));
        }
        for rule in &old.l4_rules {
            if !new.l4_rules.iter().any(|kept| kept.key == rule.key) {
                pending.l4_rules.insert(rule.key.clone(), None);
            }
        }
        for rule in &new.l4_rules {
            pending.l4_rules.insert(rule.key.clone(), Some(rule.clone()));
        }
    }

    fn replace_uses(&mut self, old: Option<&RouteUses>, new: Option<&RouteUses>, pending: &mut Pending) {
        let none = RouteUses::default();
        let change = self.derived.uses.replace(old.unwrap_or(&none), new.unwrap_or(&none));
        for gateway in change.attached {
            self.tracker.touch(&Fact::Attached(gateway));
        }
        for (kind, name) in change.users {
            self.tracker.touch(&Fact::Users(kind, name));
        }
        for (key, used) in change.backends {
            if used {
                self.tracker.schedule(Node::Backend(key));
            } else {
                let node = Node::Backend(key.clone());
                self.tracker.forget(&node);
                self.notices.remove(&node);
                pending.backends.insert(key, None);
            }
        }
        for (key, used) in change.endpoints {
            if used {
                self.tracker.schedule(Node::Endpoints(key));
            } else {
                self.tracker.forget(&Node::Endpoints(key.clone()));
                pending.endpoints.insert(key, None);
            }
        }
    }

    /// Runs a node's function, notes what it read, and keeps what it has to tell.
    fn read<T>(&mut self, node: &Node, pending: &mut Pending, function: impl FnOnce(&Reader<'_>) -> T) -> T {
        let reader = Reader::new(&self.options, &self.inputs, &self.derived, &self.cache);
        let result = function(&reader);
        let (facts, notices) = reader.finish();
        self.tracker.record(node, facts);
        let known = self.notices.remove(node).unwrap_or_default();
        for notice in notices.difference(&known) {
            pending.notice(notice.clone());
        }
        if !notices.is_empty() {
            self.notices.insert(node.clone(), notices);
        }
        result
    }

    fn say(&mut self, key: ResourceKey, status: Option<Status>, pending: &mut Pending) {
        let Some(status) = status else {
            self.statuses.remove(&key);
            pending.no_status(&key);
            return;
        };
        let object = self.inputs.store.find(&key);
        let rewritten = self.arrived.contains(&key);
        if let Some(change) = self.statuses.put(key, status, object.as_ref(), rewritten) {
            pending.status(change);
        }
    }
}

/// Puts an outcome in place of the last one; whether it is another.
fn replace<T: PartialEq>(
    outcomes: &mut BTreeMap<ObjectName, Arc<T>>,
    name: &ObjectName,
    new: Option<Arc<T>>,
) -> bool {
    if outcomes.get(name) == new.as_ref() {
        return false;
    }
    match new {
        Some(new) => outcomes.insert(name.clone(), new),
        None => outcomes.remove(name),
    };
    true
}
