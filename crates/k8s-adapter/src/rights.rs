//! What the controller needs to be allowed, as RBAC has it.
//!
//! Everything it reads it reads in all namespaces, since Gateways may stand in any of them. It writes statuses, and what it
//! places for Gateways; it never writes Secrets but its own, in its own namespace. Kubernetes cannot narrow a right to
//! Secrets of a type or label: see [`crate::source`] for what is asked for.

use lasthop_api_model::{GROUP, ResourceKind, X_GROUP};
use serde_json::{Value, json};

use crate::{infrastructure::MANAGER, parameters, source::plural};

const READ: [&str; 3] = ["get", "list", "watch"];
/// What server-side apply and taking away need.
const PLACE: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];

/// The rules of the ClusterRole.
pub fn cluster_rules() -> Vec<Value> {
    let of_group = |group: &str| -> Vec<&str> {
        let mut kinds: Vec<&str> =
            ResourceKind::ALL.iter().filter(|kind| kind.group() == group).map(|kind| plural(*kind)).collect();
        kinds.sort_unstable();
        kinds
    };
    let with_status = |group: &str| -> Vec<String> {
        let without = ["referencegrants", "xbackends"];
        let kinds = of_group(group).into_iter().filter(|kind| !without.contains(kind));
        kinds.map(|kind| format!("{kind}/status")).collect()
    };
    let rule = |group: &str, resources: Value, verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    vec![
        rule(GROUP, json!(of_group(GROUP)), &READ),
        rule(GROUP, json!(with_status(GROUP)), &["update"]),
        rule(X_GROUP, json!(of_group(X_GROUP)), &READ),
        rule(parameters::GROUP, json!([parameters::PLURAL]), &READ),
        // Their version alone is looked at.
        rule("apiextensions.k8s.io", json!(["customresourcedefinitions"]), &["list", "watch"]),
        rule("", json!(["namespaces", "secrets"]), &READ),
        // Those of proxies alone, to say why one cannot run.
        rule("", json!(["pods"]), &["list", "watch"]),
        rule("discovery.k8s.io", json!(["endpointslices"]), &READ),
        rule("certificates.k8s.io", json!(["clustertrustbundles"]), &READ),
        rule("", json!(["configmaps", "serviceaccounts", "services"]), &PLACE),
        rule("apps", json!(["deployments"]), &PLACE),
        rule("policy", json!(["poddisruptionbudgets"]), &PLACE),
        // Whose token a proxy shows.
        rule("authentication.k8s.io", json!(["tokenreviews"]), &["create"]),
    ]
}

/// The rules of the Role in the controller's own namespace: the Lease, and the CA of the link.
pub fn own_rules(lease: &str, ca: &str) -> Vec<Value> {
    let named = |group: &str, kind: &str, name: &str| {
        json!({"apiGroups": [group], "resources": [kind], "resourceNames": [name],
            "verbs": ["get", "update"]})
    };
    let create =
        |group: &str, kind: &str| json!({"apiGroups": [group], "resources": [kind], "verbs": ["create"]});
    vec![
        named("coordination.k8s.io", "leases", lease),
        create("coordination.k8s.io", "leases"),
        named("", "secrets", ca),
        create("", "secrets"),
    ]
}

/// Both as objects: a ClusterRole and, for the controller's own namespace, a Role.
pub fn roles(lease: &str, ca: &str) -> [Value; 2] {
    let role = |kind: &str, rules: Vec<Value>| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": MANAGER},
            "rules": rules,
        })
    };
    [role("ClusterRole", cluster_rules()), role("Role", own_rules(lease, ca))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_may_be_read_and_no_secret_written() {
        let rules = cluster_rules();
        for kind in ResourceKind::ALL {
            let allows = |rule: &&Value| {
                rule["apiGroups"][0] == kind.group()
                    && rule["resources"].as_array().unwrap().contains(&plural(*kind).into())
                    && READ.iter().all(|verb| rule["verbs"].as_array().unwrap().contains(&(*verb).into()))
            };
            assert!(rules.iter().any(|rule| allows(&rule)), "{kind}");
        }
        let writes = |rule: &&Value| {
            rule["verbs"].as_array().unwrap().iter().any(|verb| !READ.contains(&verb.as_str().unwrap()))
        };
        let mut written = rules.iter().filter(writes);
        assert!(written.all(|rule| !rule["resources"].to_string().contains("secrets")));
        assert!(!Value::from(rules).to_string().contains('*'), "no right is given for everything");
    }

    #[test]
    fn only_what_is_placed_is_patched() {
        let mut rules = cluster_rules();
        rules.extend(own_rules("lease", "ca"));
        for rule in rules {
            let verbs = rule["verbs"].as_array().unwrap();
            assert!(*verbs == PLACE || !verbs.contains(&"patch".into()), "{rule}");
        }
    }
}
