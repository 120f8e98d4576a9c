//! `LasthopParameters`: how the proxies of a Gateway look.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::core::v1::{ResourceRequirements, Toleration},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::core::ApiResource;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The group of our kinds.
pub const GROUP: &str = "lasthop.dev";
/// Their version.
pub const VERSION: &str = "v1alpha1";
/// The kind.
pub const KIND: &str = "LasthopParameters";
/// The kind in paths.
pub const PLURAL: &str = "lasthopparameters";

/// How the proxies of a Gateway look. What is not given is as the controller has it by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LasthopParameters {
    /// How many proxies; absent leaves the number to whoever scales the Deployment, 1 at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// The image of the proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What the proxies log: a level, or directives such as `info,lasthop_dataplane=debug`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
    /// What a proxy needs and may take of a machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// How the Service is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
    /// Annotations of the Service alone, such as a cloud's load balancer reads them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub service_annotations: BTreeMap<String, String>,
    /// Whether a node sends requests to proxies on other nodes (`Cluster`), or to its own alone, keeping the client's
    /// address (`Local`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<String>,
    /// Which load balancer, where a cluster has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_class: Option<String>,
    /// Labels of the nodes that proxies may run on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that proxies tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// How many proxies may be away at a time; absent makes no PodDisruptionBudget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_disruption_budget: Option<DisruptionBudget>,
}

/// The type of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "Kubernetes' own names")]
pub enum ServiceType {
    #[default]
    LoadBalancer,
    ClusterIP,
    NodePort,
}

/// How many proxies may be away at a time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DisruptionBudget {
    /// At least so many stay: a number, or a share such as `50%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_available: Option<IntOrString>,
    /// At most so many go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
}

/// The parameters by namespace and name: what they say, or what is wrong with them.
pub(crate) type ParametersByName = BTreeMap<(String, String), Result<Arc<LasthopParameters>, String>>;

/// The kind as the API server is to be asked.
pub(crate) fn resource() -> ApiResource {
    ApiResource {
        group: GROUP.to_owned(),
        version: VERSION.to_owned(),
        api_version: format!("{GROUP}/{VERSION}"),
        kind: KIND.to_owned(),
        plural: PLURAL.to_owned(),
    }
}

/// Reads an object; otherwise, why it cannot be used.
pub(crate) fn read(object: &Value) -> Result<Arc<LasthopParameters>, String> {
    let spec = object.get("spec").cloned().unwrap_or_else(|| json!({}));
    serde_json::from_value(spec).map(Arc::new).map_err(|error| format!("spec cannot be read: {error}"))
}

/// The CRD, as it is to be installed.
pub fn definition() -> Value {
    let text = |says: &str| json!({"type": "string", "minLength": 1, "description": says});
    let texts = |says: &str| json!({"type": "object", "additionalProperties": {"type": "string"}, "description": says});
    let amount =
        json!({"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": true});
    let amounts = json!({"type": "object", "additionalProperties": amount.clone()});
    let toleration = json!({"type": "object", "properties": {
        "effect": {"type": "string", "enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
        "key": {"type": "string"},
        "operator": {"type": "string"},
        "tolerationSeconds": {"type": "integer", "format": "int64"},
        "value": {"type": "string"},
    }});
    let spec = json!({
        "type": "object",
        "description": "How the proxies of a Gateway look. What is not given is as the controller has it by itself.",
        "properties": {
            "replicas": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 1000,
                "description": "How many proxies; absent leaves the number to whoever scales the Deployment."},
            "image": text("The image of the proxies."),
            "logLevel": text("What the proxies log: a level, or directives such as info,lasthop_dataplane=debug."),
            "resources": {"type": "object", "description": "What a proxy needs and may take of a machine.",
                "properties": {"limits": amounts.clone(), "requests": amounts}},
            "serviceType": {"type": "string", "enum": ["LoadBalancer", "ClusterIP", "NodePort"],
                "description": "How the Service is reached; LoadBalancer when absent."},
            "serviceAnnotations": texts("Annotations of the Service alone."),
            "externalTrafficPolicy": {"type": "string", "enum": ["Cluster", "Local"],
                "description": "Whether a node sends requests to proxies on other nodes, too."},
            "loadBalancerClass": text("Which load balancer, where a cluster has several."),
            "nodeSelector": texts("Labels of the nodes that proxies may run on."),
            "tolerations": {"type": "array", "maxItems": 64, "items": toleration,
                "description": "Taints of nodes that proxies tolerate."},
            "podDisruptionBudget": {"type": "object",
                "description": "How many proxies may be away at a time; absent makes no PodDisruptionBudget.",
                "properties": {"minAvailable": amount.clone(), "maxUnavailable": amount},
                "x-kubernetes-validations": [{
                    "rule": "has(self.minAvailable) != has(self.maxUnavailable)",
                    "message": "give either minAvailable or maxUnavailable",
                }]},
        },
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{PLURAL}.{GROUP}")},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": KIND, "listKind": format!("{KIND}List"), "plural": PLURAL, "singular": PLURAL,
                "shortNames": ["lhparams"]},
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "additionalPrinterColumns": [
                    {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
                    {"name": "Service", "type": "string", "jsonPath": ".spec.serviceType"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "description": "How the proxies of a Gateway look: named by the Gateway's \
                        spec.infrastructure.parametersRef, or by a GatewayClass's spec.parametersRef for all its Gateways.",
                    "required": ["spec"],
                    "properties": {
                        "apiVersion": {"type": "string"},
                        "kind": {"type": "string"},
                        "metadata": {"type": "object"},
                        "spec": spec,
                    },
                }},
            }],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_in_the_definition() {
        let all = json!({"spec": {
            "replicas": 2, "image": "i", "logLevel": "debug", "resources": {"limits": {"cpu": "1"}},
            "serviceType": "ClusterIP", "serviceAnnotations": {"a": "b"}, "externalTrafficPolicy": "Local",
            "loadBalancerClass": "c", "nodeSelector": {"a": "b"}, "tolerations": [{"key": "k"}],
            "podDisruptionBudget": {"minAvailable": "50%"},
        }});
        let read = read(&all).unwrap();
        assert_eq!(serde_json::to_value(read.as_ref()).unwrap(), all["spec"]);
        let schema = &definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let known: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        let given: Vec<&String> = all["spec"].as_object().unwrap().keys().collect();
        assert_eq!(known, given);
    }

    #[test]
    fn what_cannot_be_read_says_which_field() {
        let why = read(&json!({"spec": {"serviceType": "Balancer"}})).unwrap_err();
        assert!(why.contains("Balancer") && why.contains("ClusterIP"), "{why}");
    }
}
