//! Reading facts, and noting which.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lasthop_api_model::{Objects, ReferenceGrant, ResourceKey, ResourceStore, ResourceType};
use lasthop_dataplane_api::{BackendKey, BackendKind, ObjectName, Refusal, RouteKey};

use super::{Collections, Fact, Uses};
use crate::{
    Options,
    content::ContentCache,
    gateways::{ClientCertificate, GatewayOutcome},
    output::Notice,
    progress::Progress,
    routes::RouteOutcome,
    tls_policies::{Claims, PolicyOutcome},
    xbackends::XBackendOutcome,
};

/// What users wrote.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// The objects.
    pub store: ResourceStore,
    /// Sets of them.
    pub collections: Collections,
}

/// What lower nodes gave to higher ones.
#[derive(Debug, Default)]
pub(crate) struct Derived {
    /// Of each Gateway that is ours, by itself.
    pub drafts: BTreeMap<ObjectName, Arc<GatewayOutcome>>,
    /// The same beside the other Gateways.
    pub gateways: BTreeMap<ObjectName, Arc<GatewayOutcome>>,
    /// Of each BackendTLSPolicy.
    pub policies: BTreeMap<ObjectName, Arc<PolicyOutcome>>,
    /// Of each Service that a policy targets.
    pub claims: BTreeMap<ObjectName, Arc<Claims>>,
    /// Of each XBackend.
    pub xbackends: BTreeMap<ObjectName, Arc<XBackendOutcome>>,
    /// Of each route.
    pub routes: BTreeMap<RouteKey, Arc<RouteOutcome>>,
    /// What all routes use.
    pub uses: Uses,
    /// What the dataplane said.
    pub progress: Progress,
}

/// Reads facts on behalf of one node.
pub(crate) struct Reader<'a> {
    /// What the translator was told at its start.
    pub options: &'a Options,
    inputs: &'a Inputs,
    derived: &'a Derived,
    cache: &'a ContentCache,
    facts: RefCell<BTreeSet<Fact>>,
    notices: RefCell<BTreeSet<Notice>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        options: &'a Options,
        inputs: &'a Inputs,
        derived: &'a Derived,
        cache: &'a ContentCache,
    ) -> Self {
        Self { options, inputs, derived, cache, facts: RefCell::default(), notices: RefCell::default() }
    }

    /// What was read, and what is to be told.
    pub(crate) fn finish(self) -> (BTreeSet<Fact>, BTreeSet<Notice>) {
        (self.facts.into_inner(), self.notices.into_inner())
    }

    fn note(&self, fact: Fact) {
        self.facts.borrow_mut().insert(fact);
    }

    /// Something to know about an object.
    pub(crate) fn notice(&self, object: ResourceKey, field: impl Into<String>, message: impl Into<String>) {
        self.notices.borrow_mut().insert(Notice { object, field: field.into(), message: message.into() });
    }

    /// Parsed certificates.
    pub(crate) fn cache(&self) -> &'a ContentCache {
        self.cache
    }

    /// An object by its name.
    pub(crate) fn object<T: ResourceType>(&self, name: &ObjectName) -> Option<&'a Arc<T>> {
        self.find(&name.namespace, &name.name)
    }

    /// An object by namespace (empty for cluster-scoped kinds) and name.
    pub(crate) fn find<T: ResourceType>(&self, namespace: &str, name: &str) -> Option<&'a Arc<T>> {
        self.note(Fact::Object(ResourceKey::new(<T as ResourceType>::KIND, namespace, name)));
        self.inputs.store.get::<T>(namespace, name)
    }

    /// Whether there is any GatewayClass.
    pub(crate) fn any_class(&self) -> bool {
        self.note(Fact::AnyClass);
        !self.inputs.store.gateway_classes().is_empty()
    }

    /// The ReferenceGrants of a namespace.
    pub(crate) fn grants(&self, namespace: &str) -> impl Iterator<Item = &'a Arc<ReferenceGrant>> + use<'a> {
        self.note(Fact::Grants(namespace.into()));
        let grants: &'a Objects<ReferenceGrant> = self.inputs.store.reference_grants();
        // The set is walked by namespace: collected, because the iterator may not borrow the name.
        grants.in_namespace(namespace).collect::<Vec<_>>().into_iter()
    }

    /// The names of the EndpointSlices of a Service.
    pub(crate) fn slices(&self, service: &ObjectName) -> Vec<&'a ObjectName> {
        self.note(Fact::Slices(service.clone()));
        self.inputs.collections.slices(service).collect()
    }

    /// The names of the ListenerSets that name a Gateway as their parent.
    pub(crate) fn listener_sets(&self, gateway: &ObjectName) -> Vec<&'a ObjectName> {
        self.note(Fact::ListenerSets(gateway.clone()));
        self.inputs.collections.listener_sets(gateway).collect()
    }

    /// The names of the BackendTLSPolicies that target a Service.
    pub(crate) fn policies_of(&self, service: &ObjectName) -> Vec<&'a ObjectName> {
        self.note(Fact::Policies(service.clone()));
        self.inputs.collections.policies(service).collect()
    }

    /// The names of the Gateways with `defaultScope: All`.
    pub(crate) fn default_gateways(&self) -> Vec<&'a ObjectName> {
        self.note(Fact::DefaultGateways);
        self.inputs.collections.default_gateways().collect()
    }

    /// What routes see of a Gateway; only its admission may be looked at.
    pub(crate) fn admission(&self, gateway: &ObjectName) -> Option<&'a GatewayOutcome> {
        self.note(Fact::Admission(gateway.clone()));
        self.derived.gateways.get(gateway).map(Arc::as_ref)
    }

    /// The certificate a Gateway shows to backends.
    pub(crate) fn client_certificate(&self, gateway: &ObjectName) -> Option<&'a ClientCertificate> {
        self.note(Fact::ClientCertificate(gateway.clone()));
        self.derived.gateways.get(gateway).map(|outcome| &outcome.client_certificate)
    }

    /// All that came of a Gateway; `None` when it is not ours.
    pub(crate) fn gateway(&self, gateway: &ObjectName) -> Option<&'a Arc<GatewayOutcome>> {
        self.note(Fact::Gateway(gateway.clone()));
        self.derived.gateways.get(gateway)
    }

    /// All that came of a BackendTLSPolicy.
    pub(crate) fn policy(&self, policy: &ObjectName) -> Option<&'a Arc<PolicyOutcome>> {
        self.note(Fact::Policy(policy.clone()));
        self.derived.policies.get(policy)
    }

    /// Which policy holds for which port of a Service.
    pub(crate) fn claims(&self, service: &ObjectName) -> Option<&'a Arc<Claims>> {
        self.note(Fact::Claims(service.clone()));
        self.derived.claims.get(service)
    }

    /// All that came of an XBackend.
    pub(crate) fn xbackend(&self, name: &ObjectName) -> Option<&'a Arc<XBackendOutcome>> {
        self.note(Fact::XBackend(name.clone()));
        self.derived.xbackends.get(name)
    }

    /// The Gateways whose accepted routes lead to a Service or XBackend, by name.
    pub(crate) fn users(&self, kind: BackendKind, name: &ObjectName) -> Vec<&'a ObjectName> {
        self.note(Fact::Users(kind, name.clone()));
        let uses: &'a Uses = &self.derived.uses;
        uses.gateways_of(kind, name)
    }

    /// Whether clients' own TLS goes through a Gateway to a Service.
    pub(crate) fn is_passed(&self, service: &ObjectName, gateway: &ObjectName) -> bool {
        self.note(Fact::Users(BackendKind::Service, service.clone()));
        self.derived.uses.is_passed(service, gateway)
    }

    /// How many routes are attached to the listeners of a Gateway.
    pub(crate) fn uses(&self, gateway: &ObjectName) -> &'a Uses {
        self.note(Fact::Attached(gateway.clone()));
        &self.derived.uses
    }

    /// What the dataplane said about the listeners of a Gateway.
    pub(crate) fn progress(&self, gateway: &ObjectName) -> &'a Progress {
        self.note(Fact::Programmed(gateway.clone()));
        &self.derived.progress
    }

    /// What the dataplane said about the backends of a policy, by the policy's source.
    pub(crate) fn refusals(
        &self,
        source: String,
    ) -> impl Iterator<Item = (&'a BackendKey, &'a Refusal)> + use<'a> {
        self.note(Fact::Refusals(source.as_str().into()));
        self.derived.progress.refusals().filter(move |(_, refusal)| *refusal.policy == *source)
    }
}
