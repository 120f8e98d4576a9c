//! What the source knows about an object beyond what stands in it: whether its parameters are there, and what is
//! installed of the API.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lasthop_api_model::{
    Gateway, GatewayClass, Installation, Parameters, Resource, ResourceKey, ResourceKind,
};
use lasthop_dataplane_api::ObjectName;
use serde_json::Value;

use super::proxies::{Part, Proxies};
use crate::{
    infrastructure::Observed,
    parameters::{self, ParametersByName},
};

/// The annotation that the API's CRDs carry their version in.
const BUNDLE_VERSION: &str = "gateway.networking.k8s.io/bundle-version";

pub(super) struct Decorations {
    controller: String,
    parameters: ParametersByName,
    /// The version that each CRD gives.
    definitions: BTreeMap<String, String>,
    installation: Arc<Installation>,
    /// Gateways of every class: it is not known yet which classes are ours.
    gateways: BTreeMap<ResourceKey, Arc<Gateway>>,
    proxies: Proxies,
    observed: Arc<Observed>,
    /// GatewayClasses that are ours.
    classes: BTreeMap<ResourceKey, Arc<GatewayClass>>,
}

impl Decorations {
    pub(super) fn new(controller: &str, observed: Arc<Observed>) -> Self {
        Self {
            controller: controller.to_owned(),
            parameters: BTreeMap::new(),
            definitions: BTreeMap::new(),
            installation: Arc::default(),
            gateways: BTreeMap::new(),
            proxies: Proxies::default(),
            observed,
            classes: BTreeMap::new(),
        }
    }

    pub(super) fn parameters(&self) -> &ParametersByName {
        &self.parameters
    }

    /// The object with what is known about it.
    pub(super) fn decorate(&mut self, object: Resource) -> Resource {
        match object {
            Resource::Gateway(mut gateway) => {
                let key =
                    ResourceKey::new(ResourceKind::Gateway, namespace(&gateway), name(&gateway.metadata));
                self.judge_gateway(&mut gateway);
                self.gateways.insert(key, gateway.clone());
                gateway.into()
            }
            Resource::GatewayClass(mut class) => {
                let key = ResourceKey::new(ResourceKind::GatewayClass, "", name(&class.metadata));
                self.classes.remove(&key);
                if class.spec.controller_name == self.controller {
                    self.judge_class(&mut class);
                    self.classes.insert(key, class.clone());
                }
                class.into()
            }
            other => other,
        }
    }

    pub(super) fn forget(&mut self, key: &ResourceKey) {
        self.gateways.remove(key);
        self.classes.remove(key);
    }

    pub(super) fn set_all_parameters(&mut self, objects: Vec<Value>) -> Vec<Resource> {
        let read = objects.iter().filter_map(|object| Some((name_of(object)?, parameters::read(object))));
        self.parameters = read.collect();
        self.judge_all()
    }

    pub(super) fn set_parameters(&mut self, object: &Value) -> Vec<Resource> {
        let Some(name) = name_of(object) else { return Vec::new() };
        self.parameters.insert(name, parameters::read(object));
        self.judge_all()
    }

    pub(super) fn remove_parameters(&mut self, object: &Value) -> Vec<Resource> {
        let Some(name) = name_of(object) else { return Vec::new() };
        self.parameters.remove(&name);
        self.judge_all()
    }

    pub(super) fn set_all_parts(&mut self, part: Part, objects: &[Value]) -> Vec<Resource> {
        self.proxies.set(part, objects);
        self.judge_all()
    }

    pub(super) fn set_part(&mut self, part: Part, object: &Value) -> Vec<Resource> {
        if self.proxies.put(part, object) { self.judge_all() } else { Vec::new() }
    }

    pub(super) fn remove_part(&mut self, part: Part, object: &Value) -> Vec<Resource> {
        if self.proxies.remove(part, object) { self.judge_all() } else { Vec::new() }
    }

    pub(super) fn clear_definitions(&mut self) {
        self.definitions.clear();
    }

    pub(super) fn define(&mut self, name: String, object: &Value) {
        let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
        let version =
            annotations.and_then(|annotations| annotations.get(BUNDLE_VERSION)).and_then(Value::as_str);
        self.definitions.insert(name, version.unwrap_or("an unknown version").to_owned());
    }

    pub(super) fn defines(&self, name: &str) -> bool {
        self.definitions.contains_key(name)
    }

    pub(super) fn undefine(&mut self, name: &str) {
        self.definitions.remove(name);
    }

    /// Notes what is there of what is read. Gives the classes that have to say something else now.
    pub(super) fn set_installation(&mut self, mut installation: Installation) -> Vec<Resource> {
        let versions: BTreeSet<&String> = self.definitions.values().collect();
        installation.versions = versions.into_iter().cloned().collect();
        self.installation = Arc::new(installation);
        self.judge_all()
    }

    /// The objects that have to say something else now.
    pub(super) fn judge_all(&mut self) -> Vec<Resource> {
        let mut changed: Vec<Resource> = Vec::new();
        for (key, old) in self.gateways.clone() {
            let mut new = old.clone();
            self.judge_gateway(&mut new);
            if new != old {
                self.gateways.insert(key, new.clone());
                changed.push(new.into());
            }
        }
        for (key, old) in self.classes.clone() {
            let mut new = old.clone();
            self.judge_class(&mut new);
            if new != old {
                self.classes.insert(key, new.clone());
                changed.push(new.into());
            }
        }
        changed
    }

    fn judge_gateway(&self, gateway: &mut Arc<Gateway>) {
        let namespace = namespace(gateway).to_owned();
        let own = ObjectName::new(namespace.as_str(), name(&gateway.metadata));
        let trouble = self.observed.failure(&own).or_else(|| self.proxies.trouble(&namespace, &own.name));
        if gateway.spec.trouble != trouble {
            Arc::make_mut(gateway).spec.trouble = trouble;
        }
        let infrastructure = gateway.spec.infrastructure.as_ref();
        let Some(reference) = infrastructure.and_then(|own| own.parameters_ref.as_ref()) else { return };
        let verdict = self.verdict(&reference.group, &reference.kind, &namespace, &reference.name);
        if let Some(infrastructure) = &mut Arc::make_mut(gateway).spec.infrastructure {
            infrastructure.parameters = verdict;
        }
    }

    fn judge_class(&self, class: &mut Arc<GatewayClass>) {
        let verdict = class.spec.parameters_ref.as_ref().map(|reference| {
            let namespace = reference.namespace.as_deref().unwrap_or_default();
            self.verdict(&reference.group, &reference.kind, namespace, &reference.name)
        });
        let class = Arc::make_mut(class);
        class.spec.parameters = verdict.unwrap_or_default();
        class.spec.installation = Some(self.installation.clone());
    }

    fn verdict(&self, group: &str, kind: &str, namespace: &str, name: &str) -> Parameters {
        if (group, kind) != (parameters::GROUP, parameters::KIND) {
            let known = format!("{} of the group {}", parameters::KIND, parameters::GROUP);
            return Parameters::Bad(
                format!("kind {kind} of the group {group} is not read; name a {known}").into(),
            );
        }
        match self.parameters.get(&(namespace.to_owned(), name.to_owned())) {
            Some(Ok(_)) => Parameters::Good,
            Some(Err(why)) => {
                Parameters::Bad(format!("{} {namespace}/{name}: {why}", parameters::KIND).into())
            }
            None => {
                let message = format!("there is no {} {namespace}/{name}; create it", parameters::KIND);
                Parameters::Bad(message.into())
            }
        }
    }
}

fn namespace(gateway: &Gateway) -> &str {
    gateway.metadata.namespace.as_deref().unwrap_or_default()
}

fn name(metadata: &lasthop_api_model::ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

fn name_of(object: &Value) -> Option<(String, String)> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str);
    Some((text("/metadata/namespace").unwrap_or_default().to_owned(), text("/metadata/name")?.to_owned()))
}
