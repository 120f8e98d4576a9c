//! The objects that stand for a Gateway, as they are applied.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    AUDIENCE, MANAGER, names,
    plan::{Plan, Port},
};
use crate::parameters::ServiceType;

/// The label that ties what is placed to its Gateway, by the API's own convention.
pub(crate) const GATEWAY_LABEL: &str = "gateway.networking.k8s.io/gateway-name";
/// Who placed it.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// On whose behalf: several controllers may stand in one cluster.
const CONTROLLER: &str = "lasthop.dev/controller";
const NAME: &str = "app.kubernetes.io/name";
const PROXY: &str = "lasthop-proxy";
/// Where proxies tell about themselves: probes and metrics.
const ADMIN_PORT: u16 = 15021;
/// So long requests under way may take to end, in seconds.
const DRAIN: u32 = 30;
/// So long a proxy goes on taking connections after it was asked to end, in seconds: until everybody has heard that it
/// is no endpoint any more.
const FAREWELL: u32 = 3;

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
        builder.service(),
        builder.deployment(),
    ];
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

    fn metadata(&self, more: &BTreeMap<String, String>) -> Value {
        let mut annotations = self.plan.annotations.clone();
        annotations.extend(more.clone());
        json!({
            "name": self.name,
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
        let (api_version, name, _) = kind.names();
        let mut object = match body {
            Value::Object(object) => object,
            _ => Map::new(),
        };
        object.insert("apiVersion".to_owned(), api_version.into());
        object.insert("kind".to_owned(), name.into());
        object.insert("metadata".to_owned(), self.metadata(annotations));
        Manifest { kind, object: Value::Object(object) }
    }

    fn service(&self) -> Manifest {
        let parameters = &self.plan.parameters;
        let ports: Vec<Value> = self
            .plan
            .ports
            .iter()
            .map(|port| {
                let protocol = protocol(*port);
                json!({
                    "name": format!("{}-{}", protocol.to_ascii_lowercase(), port.number),
                    "port": port.number,
                    "targetPort": port.number,
                    "protocol": protocol,
                })
            })
            .collect();
        let r#type = parameters.service_type.unwrap_or_default();
        let mut spec = json!({"type": r#type, "selector": self.selector(), "ports": ports});
        if r#type != ServiceType::ClusterIP
            && let Some(policy) = &parameters.external_traffic_policy
        {
            spec["externalTrafficPolicy"] = policy.as_str().into();
        }
        if r#type == ServiceType::LoadBalancer {
            if let Some(address) = &self.plan.address {
                spec["loadBalancerIP"] = address.as_str().into();
            }
            if let Some(class) = &parameters.load_balancer_class {
                spec["loadBalancerClass"] = class.as_str().into();
            }
        }
        self.object(Placed::Service, json!({"spec": spec}), &parameters.service_annotations)
    }

    fn deployment(&self) -> Manifest {
        let parameters = &self.plan.parameters;
        let mut pod = json!({
            "serviceAccountName": self.name,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": DRAIN + FAREWELL + 5,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
                // Listeners below 1024 without a capability; a sysctl that Kubernetes counts as safe.
                "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
            },
            "containers": [self.container()],
            "volumes": self.volumes(),
        });
        if !parameters.node_selector.is_empty() {
            pod["nodeSelector"] = json!(parameters.node_selector);
        }
        if !parameters.tolerations.is_empty() {
            pod["tolerations"] = json!(parameters.tolerations);
        }
        let mut spec = json!({
            "selector": {"matchLabels": self.selector()},
            // A new proxy serves before an old one goes.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": self.labels(), "annotations": self.plan.annotations},
                "spec": pod,
            },
        });
        if let Some(replicas) = parameters.replicas {
            spec["replicas"] = replicas.into();
        }
        self.object(Placed::Deployment, json!({"spec": spec}), &BTreeMap::new())
    }

    fn container(&self) -> Value {
        let parameters = &self.plan.parameters;
        let template = self.template;
        let mut environment = BTreeMap::from([
            ("LASTHOP_ADMIN", format!("0.0.0.0:{ADMIN_PORT}")),
            ("LASTHOP_DRAIN_TIMEOUT", format!("{DRAIN}s")),
            ("LASTHOP_LOG_LEVEL", parameters.log_level.clone().unwrap_or_else(|| template.log_level.clone())),
        ]);
        if !template.link.is_empty() {
            environment.extend([
                ("LASTHOP_CONTROL_PLANE", template.link.clone()),
                ("LASTHOP_CONTROL_PLANE_CA", "/var/run/lasthop/ca/ca.crt".to_owned()),
                ("LASTHOP_CONTROL_PLANE_TOKEN", "/var/run/lasthop/token/token".to_owned()),
                ("LASTHOP_GATEWAY", self.plan.gateway.to_string()),
            ]);
        }
        let own = environment.iter().map(|(name, value)| json!({"name": name, "value": value}));
        let more = template.environment.iter().map(|(name, value)| json!({"name": name, "value": value}));
        let mut container = json!({
            "name": "proxy",
            "image": parameters.image.as_deref().unwrap_or(&template.image),
            "args": ["run"],
            "env": own.chain(more).collect::<Vec<Value>>(),
            "ports": self.container_ports(),
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": ADMIN_PORT}, "periodSeconds": 2,
                "failureThreshold": 2},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": ADMIN_PORT}, "periodSeconds": 10,
                "failureThreshold": 6},
            // Often at first, so that a new Gateway serves as soon as it can.
            "startupProbe": {"httpGet": {"path": "/readyz", "port": ADMIN_PORT}, "periodSeconds": 1,
                "failureThreshold": 600},
            "lifecycle": {"preStop": {"sleep": {"seconds": FAREWELL}}},
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [
                {"name": "ca", "mountPath": "/var/run/lasthop/ca", "readOnly": true},
                {"name": "token", "mountPath": "/var/run/lasthop/token", "readOnly": true},
            ],
        });
        if let Some(policy) = &template.image_pull_policy {
            container["imagePullPolicy"] = policy.as_str().into();
        }
        container["resources"] = match &parameters.resources {
            Some(resources) => json!(resources),
            None => json!({"requests": {"cpu": "10m", "memory": "32Mi"}}),
        };
        container
    }

    /// The admin port alone: listeners come and go without a new pod.
    fn container_ports(&self) -> Value {
        json!([{"name": "admin", "containerPort": ADMIN_PORT, "protocol": "TCP"}])
    }

    fn volumes(&self) -> Value {
        json!([
            {"name": "ca", "configMap": {"name": self.name, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"name": "token", "projected": {"sources": [{
                "serviceAccountToken": {"audience": AUDIENCE, "expirationSeconds": 3600, "path": "token"},
            }]}},
        ])
    }

    fn disruption_budget(&self) -> Option<Manifest> {
        let budget = self.plan.parameters.pod_disruption_budget.as_ref()?;
        let mut spec = json!(budget);
        spec["selector"] = json!({"matchLabels": self.selector()});
        Some(self.object(Placed::PodDisruptionBudget, json!({"spec": spec}), &BTreeMap::new()))
    }
}

fn protocol(port: Port) -> &'static str {
    if port.is_udp { "UDP" } else { "TCP" }
}

#[cfg(test)]
mod tests;
