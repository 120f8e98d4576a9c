//! The objects that stand for a Gateway, as they are applied.

mod proxies;
mod service;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{MANAGER, names, plan::Plan};

/// The label that ties what is placed to its Gateway, by the API's own convention.
pub(crate) const GATEWAY_LABEL: &str = "gateway.networking.k8s.io/gateway-name";
/// Who placed it.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// On whose behalf: several controllers may stand in one cluster.
const CONTROLLER: &str = "lasthop.dev/controller";
const NAME: &str = "app.kubernetes.io/name";
const PROXY: &str = "lasthop-proxy";

/// What the proxies of all Gateways have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// The image of the proxies.
    pub image: String,
    /// When the image is pulled; `None` leaves it to Kubernetes.
    pub image_pull_policy: Option<String>,
    /// What the proxies log.
    pub log_level: String,
    /// Where the controller's link listens, as `host:port`; empty for proxies without one.
    pub link: String,
    /// The certificate of the CA that the link's own is from, in PEM.
    pub link_ca: String,
    /// What else the proxies find in their environment: settings as `LASTHOP_…`.
    pub environment: BTreeMap<String, String>,
}

/// An object to apply.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Manifest {
    pub kind: Placed,
    pub object: Value,
}

impl Manifest {
    pub(super) fn name(&self) -> &str {
        self.object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
    }
}

/// The kinds of what is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Placed {
    ServiceAccount,
    ConfigMap,
    Service,
    Deployment,
    PodDisruptionBudget,
}

impl Placed {
    /// All of them, in the order they are applied in.
    pub(super) const ALL: [Self; 5] =
        [Self::ServiceAccount, Self::ConfigMap, Self::Service, Self::Deployment, Self::PodDisruptionBudget];

    /// Group and version, kind, and the kind in paths.
    pub(super) const fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::ServiceAccount => ("v1", "ServiceAccount", "serviceaccounts"),
            Self::ConfigMap => ("v1", "ConfigMap", "configmaps"),
            Self::Service => ("v1", "Service", "services"),
            Self::Deployment => ("apps/v1", "Deployment", "deployments"),
            Self::PodDisruptionBudget => ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
        }
    }
}

/// What everything that this controller placed is found by.
pub(crate) fn placed_by(controller: &str) -> String {
    format!("{MANAGED_BY}={MANAGER},{CONTROLLER}={}", controller_label(controller))
}

/// A label has no slash.
fn controller_label(controller: &str) -> String {
    names::label_value(&controller.replace(|c: char| !c.is_ascii_alphanumeric() && !"-.".contains(c), "_"))
}

/// Everything that is to stand, on behalf of this controller.
pub(super) fn all(plan: &Plan, template: &Template, controller: &str) -> Vec<Manifest> {
    let builder = Builder { plan, template, controller, name: names::placed(&plan.gateway) };
    let mut all = vec![
        builder.object(
            Placed::ServiceAccount,
            json!({"automountServiceAccountToken": false}),
            &BTreeMap::new(),
        ),
        builder.object(Placed::ConfigMap, json!({"data": {"ca.crt": template.link_ca}}), &BTreeMap::new()),
    ];
    all.extend(builder.services());
    all.push(builder.deployment());
    all.extend(builder.disruption_budget());
    all
}

struct Builder<'a> {
    plan: &'a Plan,
    template: &'a Template,
    controller: &'a str,
    name: String,
}

impl Builder<'_> {
    /// What pods are found by; never changes in the life of a Gateway.
    fn selector(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (GATEWAY_LABEL.to_owned(), names::label_value(&self.plan.gateway.name)),
            (NAME.to_owned(), PROXY.to_owned()),
        ])
    }

    /// The user's labels, and ours over them.
    fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.plan.labels.clone();
        labels.extend(self.selector());
        labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
        labels.insert(CONTROLLER.to_owned(), controller_label(self.controller));
        labels
    }

    fn metadata(&self, name: &str, more: &BTreeMap<String, String>) -> Value {
        let mut annotations = self.plan.annotations.clone();
        annotations.extend(more.clone());
        json!({
            "name": name,
            "namespace": &*self.plan.gateway.namespace,
            "labels": self.labels(),
            "annotations": annotations,
            "ownerReferences": [{
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "Gateway",
                "name": &*self.plan.gateway.name,
                "uid": self.plan.uid,
                "controller": true,
                "blockOwnerDeletion": false,
            }],
        })
    }

    fn object(&self, kind: Placed, body: Value, annotations: &BTreeMap<String, String>) -> Manifest {
        self.named(kind, &self.name, body, annotations)
    }

    fn named(
        &self,
        kind: Placed,
        object: &str,
        body: Value,
        annotations: &BTreeMap<String, String>,
    ) -> Manifest {
        let metadata = self.metadata(object, annotations);
        let (api_version, name, _) = kind.names();
        let mut object = match body {
            Value::Object(object) => object,
            _ => Map::new(),
        };
        object.insert("apiVersion".to_owned(), api_version.into());
        object.insert("kind".to_owned(), name.into());
        object.insert("metadata".to_owned(), metadata);
        Manifest { kind, object: Value::Object(object) }
    }

    fn disruption_budget(&self) -> Option<Manifest> {
        let budget = self.plan.parameters.pod_disruption_budget.as_ref()?;
        let mut spec = json!(budget);
        spec["selector"] = json!({"matchLabels": self.selector()});
        Some(self.object(Placed::PodDisruptionBudget, json!({"spec": spec}), &BTreeMap::new()))
    }
}

#[cfg(test)]
mod tests;
