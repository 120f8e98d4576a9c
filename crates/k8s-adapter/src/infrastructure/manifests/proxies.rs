//! The Deployment of a Gateway's proxies.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Builder, Manifest, Placed};
use crate::{infrastructure::AUDIENCE, parameters::BearerToken};

/// Where proxies tell about themselves: probes and metrics.
const ADMIN_PORT: u16 = 15021;
/// So long requests under way may take to end, in seconds, unless the parameters say otherwise.
const DRAIN: u32 = 30;
/// Where a proxy finds the tokens for backends.
const TOKENS: &str = "/var/run/lasthop/tokens";
/// So long such a token is good, in seconds, unless the parameters say otherwise.
const TOKEN_LIFE: u32 = 3600;
/// So long a proxy goes on taking connections after it was asked to end, in seconds: until everybody has heard that it
/// is no endpoint any more.
const FAREWELL: u32 = 3;

impl Builder<'_> {
    pub(super) fn deployment(&self) -> Manifest {
        let parameters = &self.plan.parameters;
        let mut pod = json!({
            "serviceAccountName": self.name,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": self.drain() + FAREWELL + 5,
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
        if !parameters.image_pull_secrets.is_empty() {
            pod["imagePullSecrets"] = json!(parameters.image_pull_secrets);
        }
        if let Some(affinity) = &parameters.affinity {
            pod["affinity"] = affinity.clone();
        }
        if !parameters.topology_spread_constraints.is_empty() {
            pod["topologySpreadConstraints"] = self.spread();
        }
        if let Some(name) = &parameters.priority_class_name {
            pod["priorityClassName"] = name.as_str().into();
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

    /// How proxies are spread; what counts none means the Gateway's own.
    fn spread(&self) -> Value {
        let mut constraints = self.plan.parameters.topology_spread_constraints.clone();
        for constraint in constraints.iter_mut().filter_map(Value::as_object_mut) {
            let own = || json!({"matchLabels": self.selector()});
            constraint.entry("labelSelector").or_insert_with(own);
        }
        constraints.into()
    }

    fn drain(&self) -> u32 {
        self.plan.parameters.drain_seconds.unwrap_or(DRAIN)
    }

    fn container(&self) -> Value {
        let parameters = &self.plan.parameters;
        let template = self.template;
        // What the parameters say goes before what all proxies have in common, and neither before what has to be so.
        let mut variables = template.environment.clone();
        variables.extend(parameters.variables());
        let mut environment = vec![
            ("LASTHOP_ADMIN", format!("0.0.0.0:{ADMIN_PORT}")),
            ("LASTHOP_DRAIN_TIMEOUT", format!("{}s", self.drain())),
            ("LASTHOP_LOG_LEVEL", parameters.log_level.clone().unwrap_or_else(|| template.log_level.clone())),
        ];
        if !template.link.is_empty() {
            environment.extend([
                ("LASTHOP_CONTROL_PLANE", template.link.clone()),
                ("LASTHOP_CONTROL_PLANE_CA", "/var/run/lasthop/ca/ca.crt".to_owned()),
                ("LASTHOP_CONTROL_PLANE_TOKEN", "/var/run/lasthop/token/token".to_owned()),
                ("LASTHOP_GATEWAY", self.plan.gateway.to_string()),
            ]);
        }
        if !parameters.bearer_tokens.is_empty() {
            environment.push(("LASTHOP_BEARER_TOKEN_DIRECTORY", TOKENS.to_owned()));
        }
        variables.extend(environment.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let variables = variables.iter().map(|(name, value)| json!({"name": name, "value": value}));
        let mut container = json!({
            "name": "proxy",
            "image": parameters.image.as_deref().unwrap_or(&template.image),
            "args": ["run"],
            "env": variables.collect::<Vec<Value>>(),
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
            "volumeMounts": self.mounts(),
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

    fn mounts(&self) -> Value {
        let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path, "readOnly": true});
        let mut mounts = vec![mount("ca", "/var/run/lasthop/ca"), mount("token", "/var/run/lasthop/token")];
        if !self.plan.parameters.bearer_tokens.is_empty() {
            mounts.push(mount("bearer-tokens", TOKENS));
        }
        mounts.into()
    }

    fn volumes(&self) -> Value {
        let token = |audience: &str, life: u32, path: &str| json!({"serviceAccountToken": {"audience": audience, "expirationSeconds": life, "path": path}});
        let link = token(AUDIENCE, TOKEN_LIFE, "token");
        let mut volumes = vec![
            json!({"name": "ca", "configMap": {"name": self.name, "items": [{"key": "ca.crt", "path": "ca.crt"}]}}),
            json!({"name": "token", "projected": {"sources": [link]}}),
        ];
        let tokens = &self.plan.parameters.bearer_tokens;
        if !tokens.is_empty() {
            let sources: Vec<Value> = tokens
                .iter()
                .map(|BearerToken { name, audience, expiration_seconds }| {
                    token(audience, expiration_seconds.unwrap_or(TOKEN_LIFE), name)
                })
                .collect();
            volumes.push(json!({"name": "bearer-tokens", "projected": {"sources": sources}}));
        }
        volumes.into()
    }
}
