//! What an installation consists of.

use serde_json::{Value, json};

use crate::{infrastructure::MANAGER, parameters, rights};

/// Where proxies are taken.
const LINK: u16 = 15010;
/// Where the controller tells about itself: probes and metrics.
const ADMIN: u16 = 15021;

/// What an installation is like.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The namespace of the controller.
    pub namespace: String,
    /// Its image.
    pub image: String,
    /// The image of the proxies.
    pub proxy_image: String,
    /// How many replicas of the controller; one of them writes.
    pub replicas: u16,
    /// The name that GatewayClasses call us by.
    pub controller_name: String,
    /// The Lease whose holder writes.
    pub lease: String,
    /// The Secret that holds the link's CA.
    pub link_secret: String,
}

impl Installation {
    /// Every object, in the order to apply them in.
    pub fn objects(&self) -> Vec<Value> {
        let [mut cluster_role, mut role] = rights::roles(&self.lease, &self.link_secret);
        cluster_role["metadata"] = self.metadata(false);
        role["metadata"] = self.metadata(true);
        vec![
            json!({
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": self.namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            }),
            parameters::definition(),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": self.metadata(true)}),
            cluster_role,
            self.binding("ClusterRole", false),
            role,
            self.binding("Role", true),
            self.service(),
            self.network_policy(),
            self.disruption_budget(),
            self.deployment(),
            json!({
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "GatewayClass",
                "metadata": {"name": "lasthop"},
                "spec": {"controllerName": self.controller_name},
            }),
        ]
    }

    fn selector(&self) -> Value {
        json!({"app.kubernetes.io/name": MANAGER})
    }

    fn metadata(&self, namespaced: bool) -> Value {
        let mut metadata = json!({"name": MANAGER, "labels": self.selector()});
        if namespaced {
            metadata["namespace"] = self.namespace.as_str().into();
        }
        metadata
    }

    fn binding(&self, role: &str, namespaced: bool) -> Value {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": format!("{role}Binding"),
            "metadata": self.metadata(namespaced),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": MANAGER},
            "subjects": [{"kind": "ServiceAccount", "name": MANAGER, "namespace": self.namespace}],
        })
    }

    fn service(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self.metadata(true),
            "spec": {
                "selector": self.selector(),
                // Headless: proxies find every replica by its name, follow one and tell all of them what serves.
                "clusterIP": "None",
                // A replica that has not read everything yet tells proxies nothing.
                "ports": [{"name": "link", "port": LINK, "targetPort": LINK, "protocol": "TCP"}],
            },
        })
    }

    /// Proxies of all namespaces come in, and whoever probes and scrapes.
    fn network_policy(&self) -> Value {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": self.metadata(true),
            "spec": {
                "podSelector": {"matchLabels": self.selector()},
                "policyTypes": ["Ingress"],
                "ingress": [{"ports": [{"port": LINK, "protocol": "TCP"}, {"port": ADMIN, "protocol": "TCP"}]}],
            },
        })
    }

    fn disruption_budget(&self) -> Value {
        json!({
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": self.metadata(true),
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": self.selector()}},
        })
    }

    fn deployment(&self) -> Value {
        let setting = |name: &str, value: &str| json!({"name": name, "value": value});
        let field =
            |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
        let probe = |path: &str| json!({"httpGet": {"path": path, "port": ADMIN}});
        let container = json!({
            "name": "controller",
            "image": self.image,
            "args": ["run"],
            "env": [
                setting("LASTHOP_ADMIN", &format!("0.0.0.0:{ADMIN}")),
                setting("LASTHOP_CONTROLLER_NAME", &self.controller_name),
                field("LASTHOP_IDENTITY", "metadata.name"),
                setting("LASTHOP_LEASE", &self.lease),
                setting("LASTHOP_LINK_SECRET", &self.link_secret),
                field("LASTHOP_NAMESPACE", "metadata.namespace"),
                setting("LASTHOP_PROXY_IMAGE", &self.proxy_image),
            ],
            "ports": [
                {"name": "link", "containerPort": LINK, "protocol": "TCP"},
                {"name": "admin", "containerPort": ADMIN, "protocol": "TCP"},
            ],
            "readinessProbe": probe("/readyz"),
            "livenessProbe": probe("/healthz"),
            "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
        });
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self.metadata(true),
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": self.selector()},
                "template": {
                    "metadata": {"labels": self.selector()},
                    "spec": {
                        "serviceAccountName": MANAGER,
                        "enableServiceLinks": false,
                        "terminationGracePeriodSeconds": 15,
                        "securityContext": {
                            "runAsNonRoot": true,
                            "runAsUser": 65532,
                            "runAsGroup": 65532,
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "containers": [container],
                    },
                },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_in_its_namespace_and_nothing_runs_as_root() {
        let objects = Installation {
            namespace: "here".to_owned(),
            image: "c:1".to_owned(),
            proxy_image: "p:1".to_owned(),
            replicas: 2,
            controller_name: "lasthop.dev/gateway".to_owned(),
            lease: "lease".to_owned(),
            link_secret: "ca".to_owned(),
        }
        .objects();
        let namespaced = ["ServiceAccount", "Role", "RoleBinding", "Service", "Deployment", "NetworkPolicy"];
        for kind in namespaced {
            let object = objects.iter().find(|object| object["kind"] == kind).unwrap();
            assert_eq!(object["metadata"]["namespace"], "here", "{kind}");
        }
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
        let settings = pod["containers"][0]["env"].as_array().unwrap();
        assert!(settings.is_sorted_by_key(|setting| setting["name"].as_str().unwrap().to_owned()));
    }
}
