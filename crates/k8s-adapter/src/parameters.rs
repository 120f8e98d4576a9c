//! `LasthopParameters`: how the proxies of a Gateway look.

mod definition;
mod settings;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::{
    api::core::v1::{LocalObjectReference, ResourceRequirements, Toleration},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::core::ApiResource;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use definition::definition;

use crate::infrastructure::AUDIENCE;

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
    /// Secrets of the Gateway's namespace to pull the image with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// What the proxies log: a level, or directives such as `info,lasthop_dataplane=debug`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
    /// Other settings of the proxies by their names, those of the table as `limits.NAME`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Tokens for backends, which policies name by `lasthop.dev/bearer-token`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bearer_tokens: Vec<BearerToken>,
    /// How long what is under way may take to end when a proxy has to go; 30 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_seconds: Option<u32>,
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
    /// Who may reach the load balancer, as address ranges; everybody when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load_balancer_source_ranges: Vec<String>,
    /// Whether the Service has addresses of both families: `SingleStack`, `PreferDualStack` or `RequireDualStack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<String>,
    /// The Service's families, the first one first: `IPv4`, `IPv6`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_families: Vec<String>,
    /// Labels of the nodes that proxies may run on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that proxies tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Which nodes proxies run on, and beside what; as in a Pod, and judged by the API server alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Value>,
    /// How proxies are spread over nodes and zones; as in a Pod. One without a `labelSelector` counts the Gateway's
    /// own proxies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<Value>,
    /// Which pods go first when there is too little room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// How many proxies may be away at a time; absent makes no PodDisruptionBudget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_disruption_budget: Option<DisruptionBudget>,
}

/// A token that proves to a backend who the proxies are: of their service account, for one audience, renewed before it
/// ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BearerToken {
    /// What policies call it.
    pub name: String,
    /// Whom it is for.
    pub audience: String,
    /// How long it is good; Kubernetes renews it when a fifth of that is left. 3600 when absent, 600 at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_seconds: Option<u32>,
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
    let read: LasthopParameters =
        serde_json::from_value(spec).map_err(|error| format!("spec cannot be read: {error}"))?;
    settings::variables(&read.settings)?;
    check_tokens(&read.bearer_tokens)?;
    Ok(Arc::new(read))
}

impl LasthopParameters {
    /// The settings as a proxy finds them in its environment.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        // Without error: they were read.
        settings::variables(&self.settings).unwrap_or_default()
    }
}

/// The API server has looked at their form.
fn check_tokens(tokens: &[BearerToken]) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for (index, BearerToken { name, audience, .. }) in tokens.iter().enumerate() {
        let fits = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(fits) {
            return Err(format!(
                "spec.bearerTokens[{index}].name: {name:?} is no name of a token; use letters, digits, '-', '_' and '.'"
            ));
        }
        if !names.insert(name) {
            return Err(format!(
                "spec.bearerTokens[{index}].name: {name:?} is there twice; remove one of them"
            ));
        }
        // Whoever is shown it could ask for the Gateway's configuration and keys with it.
        if audience == AUDIENCE {
            return Err(format!(
                "spec.bearerTokens[{index}].audience: {AUDIENCE} is the controller's own; name the backend's"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_in_the_definition() {
        let all = json!({"spec": {
            "replicas": 2, "image": "i", "imagePullSecrets": [{"name": "s"}], "logLevel": "debug",
            "settings": {"access-log": "off"}, "bearerTokens": [{"name": "t", "audience": "a", "expirationSeconds": 900}],
            "drainSeconds": 60, "resources": {"limits": {"cpu": "1"}},
            "serviceType": "ClusterIP", "serviceAnnotations": {"a": "b"}, "externalTrafficPolicy": "Local",
            "loadBalancerClass": "c", "loadBalancerSourceRanges": ["192.0.2.0/24"],
            "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6"],
            "nodeSelector": {"a": "b"}, "tolerations": [{"key": "k"}], "affinity": {"podAffinity": {}},
            "topologySpreadConstraints": [{"maxSkew": 1}], "priorityClassName": "p",
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
    fn what_cannot_be_used_says_which_field_and_what_to_do() {
        for (spec, told) in [
            (json!({"serviceType": "Balancer"}), "ClusterIP"),
            (json!({"settings": {"acces-log": "off"}}), "access-log"),
            (json!({"settings": {"limits.idle-timeout": "soon"}}), "limits.idle-timeout"),
            (json!({"settings": {"access-log": ""}}), "leave it out"),
            (json!({"settings": {"log-level": "debug"}}), "spec.logLevel"),
            (json!({"settings": {"control-plane": "a:1"}}), "the controller"),
            (json!({"bearerTokens": [{"name": "a/b", "audience": "c"}]}), "spec.bearerTokens[0].name"),
            (json!({"bearerTokens": [{"name": "a", "audience": "lasthop.dev/link"}]}), "the backend's"),
            (
                json!({"bearerTokens": [{"name": "a", "audience": "b"}, {"name": "a", "audience": "c"}]}),
                "twice",
            ),
        ] {
            let why = read(&json!({"spec": spec})).unwrap_err();
            assert!(why.contains(told), "{told} is not in {why}");
        }
    }
}
