//! The CRD of `LasthopParameters`.

use serde_json::{Value, json};

use super::{GROUP, KIND, PLURAL, VERSION};
use crate::infrastructure::AUDIENCE;

/// The CRD, as it is to be installed.
pub fn definition() -> Value {
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
                        "spec": spec(),
                    },
                }},
            }],
        },
    })
}

fn spec() -> Value {
    let mut properties = proxies();
    merge(&mut properties, service());
    merge(&mut properties, placement());
    json!({
        "type": "object",
        "description": "How the proxies of a Gateway look. What is not given is as the controller has it by itself.",
        "properties": properties,
    })
}

fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}

fn text(says: &str) -> Value {
    json!({"type": "string", "minLength": 1, "description": says})
}

fn texts(says: &str) -> Value {
    json!({"type": "object", "additionalProperties": {"type": "string"}, "description": says})
}

fn choice(says: &str, values: &[&str]) -> Value {
    json!({"type": "string", "enum": values, "description": says})
}

fn amount() -> Value {
    json!({"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": true})
}

/// The proxies themselves.
fn proxies() -> Value {
    let amounts = json!({"type": "object", "additionalProperties": amount()});
    let token = json!({
        "type": "object",
        "required": ["name", "audience"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 253, "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]*$",
                "description": "What policies call it."},
            "audience": {"type": "string", "minLength": 1, "maxLength": 1024,
                "description": "Whom it is for: a backend that is shown a token of another audience refuses it.",
                "x-kubernetes-validations": [{"rule": format!("self != '{AUDIENCE}'"),
                    "message": format!("{AUDIENCE} is the controller's own audience; name the backend's")}]},
            "expirationSeconds": {"type": "integer", "format": "int32", "minimum": 600, "maximum": 86400,
                "description": "How long it is good; it is renewed before that. 3600 when absent."},
        },
    });
    json!({
        "replicas": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 1000,
            "description": "How many proxies; absent leaves the number to whoever scales the Deployment."},
        "image": text("The image of the proxies."),
        "imagePullSecrets": {"type": "array", "maxItems": 16,
            "description": "Secrets of the Gateway's namespace to pull the image with.",
            "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}}}},
        "logLevel": text("What the proxies log: a level, or directives such as info,lasthop_dataplane=debug."),
        "settings": texts("Other settings of the proxies by their names, those of the table as limits.NAME."),
        "bearerTokens": {"type": "array", "maxItems": 16, "items": token,
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "description": "Tokens of the proxies' service account, which policies name by lasthop.dev/bearer-token."},
        "drainSeconds": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 86400,
            "description": "How long what is under way may take to end when a proxy has to go; 30 when absent."},
        "resources": {"type": "object", "description": "What a proxy needs and may take of a machine.",
            "properties": {"limits": amounts.clone(), "requests": amounts}},
    })
}

fn service() -> Value {
    json!({
        "serviceType": choice("How the Service is reached; LoadBalancer when absent.",
            &["LoadBalancer", "ClusterIP", "NodePort"]),
        "serviceAnnotations": texts("Annotations of the Service alone."),
        "externalTrafficPolicy": choice("Whether a node sends requests to proxies on other nodes, too.",
            &["Cluster", "Local"]),
        "loadBalancerClass": text("Which load balancer, where a cluster has several."),
        "loadBalancerSourceRanges": {"type": "array", "maxItems": 64, "items": {"type": "string", "minLength": 1},
            "description": "Who may reach the load balancer, as address ranges; everybody when absent."},
        "ipFamilyPolicy": choice("Whether the Service has addresses of both families.",
            &["SingleStack", "PreferDualStack", "RequireDualStack"]),
        "ipFamilies": {"type": "array", "maxItems": 2, "items": {"type": "string", "enum": ["IPv4", "IPv6"]},
            "description": "The Service's families, the first one first."},
    })
}

/// Where proxies run.
fn placement() -> Value {
    let toleration = json!({"type": "object", "properties": {
        "effect": {"type": "string", "enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
        "key": {"type": "string"},
        "operator": {"type": "string"},
        "tolerationSeconds": {"type": "integer", "format": "int64"},
        "value": {"type": "string"},
    }});
    // Pods have these, and the API server judges them when a pod's template is applied.
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let mut affinity = anything.clone();
    merge(&mut affinity, json!({"description": "Which nodes proxies run on, and beside what; as in a Pod."}));
    json!({
        "nodeSelector": texts("Labels of the nodes that proxies may run on."),
        "tolerations": {"type": "array", "maxItems": 64, "items": toleration,
            "description": "Taints of nodes that proxies tolerate."},
        "affinity": affinity,
        "topologySpreadConstraints": {"type": "array", "maxItems": 16, "items": anything,
            "description": "How proxies are spread over nodes and zones; as in a Pod. One without a labelSelector \
                counts the Gateway's own proxies."},
        "priorityClassName": text("Which pods go first when there is too little room."),
        "podDisruptionBudget": {"type": "object",
            "description": "How many proxies may be away at a time; absent makes no PodDisruptionBudget.",
            "properties": {"minAvailable": amount(), "maxUnavailable": amount()},
            "x-kubernetes-validations": [{
                "rule": "has(self.minAvailable) != has(self.maxUnavailable)",
                "message": "give either minAvailable or maxUnavailable",
            }]},
    })
}
