//! Sets of objects found by something other than their name.

use std::collections::{BTreeMap, BTreeSet};

use lasthop_api_model::{
    BackendTlsPolicy, Change, EndpointSlice, GatewayDefaultScope, ListenerSet, Resource, ResourceKey,
};
use lasthop_dataplane_api::ObjectName;

use super::Fact;
use crate::names;

/// The label that says whose endpoints a slice holds.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Sets of objects found by something other than their name.
#[derive(Debug, Default)]
pub(crate) struct Collections {
    slices: BTreeMap<ObjectName, BTreeSet<ObjectName>>,
    listener_sets: BTreeMap<ObjectName, BTreeSet<ObjectName>>,
    policies: BTreeMap<ObjectName, BTreeSet<ObjectName>>,
    default_gateways: BTreeSet<ObjectName>,
}

impl Collections {
    /// The EndpointSlices of a Service, by name.
    pub(crate) fn slices(&self, service: &ObjectName) -> impl Iterator<Item = &ObjectName> {
        self.slices.get(service).into_iter().flatten()
    }

    /// The ListenerSets of a Gateway, by name.
    pub(crate) fn listener_sets(&self, gateway: &ObjectName) -> impl Iterator<Item = &ObjectName> {
        self.listener_sets.get(gateway).into_iter().flatten()
    }

    /// The BackendTLSPolicies of a Service, by name.
    pub(crate) fn policies(&self, service: &ObjectName) -> impl Iterator<Item = &ObjectName> {
        self.policies.get(service).into_iter().flatten()
    }

    /// The Gateways with `defaultScope: All`, by name.
    pub(crate) fn default_gateways(&self) -> impl Iterator<Item = &ObjectName> {
        self.default_gateways.iter()
    }

    /// Takes over a change and gives the facts that changed with it.
    pub(crate) fn apply(&mut self, change: &Change) -> Vec<Fact> {
        let mut facts = Vec::new();
        for (resource, present) in [(&change.old, false), (&change.new, true)] {
            match resource {
                Some(Resource::EndpointSlice(slice)) => {
                    if let Some(service) = service_of(slice) {
                        put(&mut self.slices, &service, &change.key, present);
                        facts.push(Fact::Slices(service));
                    }
                }
                Some(Resource::ListenerSet(set)) => {
                    let gateway = parent_of(set);
                    put(&mut self.listener_sets, &gateway, &change.key, present);
                    facts.push(Fact::ListenerSets(gateway));
                }
                Some(Resource::BackendTlsPolicy(policy)) => {
                    for service in targets_of(policy) {
                        put(&mut self.policies, &service, &change.key, present);
                        facts.push(Fact::Policies(service));
                    }
                }
                Some(Resource::Gateway(gateway))
                    if gateway.spec.default_scope == Some(GatewayDefaultScope::All) =>
                {
                    let name = names::of_key(&change.key);
                    if present {
                        self.default_gateways.insert(name);
                    } else {
                        self.default_gateways.remove(&name);
                    }
                    facts.push(Fact::DefaultGateways);
                }
                _ => {}
            }
        }
        facts
    }
}

fn put(
    sets: &mut BTreeMap<ObjectName, BTreeSet<ObjectName>>,
    owner: &ObjectName,
    key: &ResourceKey,
    present: bool,
) {
    let name = names::of_key(key);
    if present {
        sets.entry(owner.clone()).or_default().insert(name);
    } else if let Some(members) = sets.get_mut(owner) {
        members.remove(&name);
        if members.is_empty() {
            sets.remove(owner);
        }
    }
}

/// The Service a slice belongs to.
fn service_of(slice: &EndpointSlice) -> Option<ObjectName> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_NAME)?;
    Some(ObjectName::new(slice.metadata.namespace.clone().unwrap_or_default(), name.as_str()))
}

fn parent_of(set: &ListenerSet) -> ObjectName {
    let own = set.metadata.namespace.clone().unwrap_or_default();
    let parent = &set.spec.parent_ref;
    ObjectName::new(parent.namespace.clone().unwrap_or(own), parent.name.as_str())
}

/// The Services a policy targets, each once.
fn targets_of(policy: &BackendTlsPolicy) -> BTreeSet<ObjectName> {
    let namespace = policy.metadata.namespace.clone().unwrap_or_default();
    let targets = policy.spec.target_refs.iter();
    targets
        .filter(|target| target.group.is_empty() && target.kind == "Service")
        .map(|target| ObjectName::new(namespace.as_str(), target.name.as_str()))
        .collect()
}
