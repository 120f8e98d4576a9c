//! What the controller may not read, and what is not installed: named, and nothing else suffers.

use serde_json::{Value, json};

use super::support::{Site, becomes, find, kubectl, run, within};

/// What the GatewayClass says, once it is as wanted.
fn class(condition: &str, wanted: impl Fn(&str, &str) -> bool) -> String {
    let mut last = None;
    let found = within(|| {
        let class: Value =
            serde_json::from_str(&kubectl(&["get", "gatewayclass", "lasthop", "--output=json"])).ok()?;
        let (verdict, message) = find(&class["status"], condition)?;
        let right = wanted(&verdict, &message);
        last = Some(format!("{verdict}: {message}"));
        right.then_some(message)
    });
    found.unwrap_or_else(|| panic!("the GatewayClass stays at {last:?}"))
}

fn works(site: &Site, name: &str) {
    let nginx = site.nginx(name);
    site.service(name, &[nginx.port], "");
    site.route("edge", name, "");
    becomes(site.programmed("edge"), &format!("{name}.test"), 200);
}

#[test]
fn a_kind_that_may_not_be_read_is_named_and_the_others_work() {
    let Some(site) = Site::alone("rights") else { return };
    site.gateway("edge", "");
    works(&site, "before");
    let role: Value =
        serde_json::from_str(&kubectl(&["get", "clusterrole", "lasthop-controller", "--output=json"]))
            .unwrap();
    let mut less = role.clone();
    for rule in less["rules"].as_array_mut().unwrap() {
        rule["resources"].as_array_mut().unwrap().retain(|kind| kind != "udproutes");
    }
    let set = |role: &Value| {
        let patch = json!({"rules": role["rules"]}).to_string();
        kubectl(&["patch", "clusterrole", "lasthop-controller", "--type=merge", "--patch", &patch]);
        // A watch that stands is not ended by a right that goes.
        kubectl(&["--namespace=lasthop-system", "rollout", "restart", "deployment/lasthop-controller"]);
        let status = ["--namespace=lasthop-system", "rollout", "status", "deployment/lasthop-controller"];
        kubectl(&[&status[..], &["--timeout=90s"]].concat());
    };
    set(&less);
    let message =
        class("Accepted", |verdict, message| verdict == "True/Accepted" && message.contains("udproutes"));
    assert!(message.contains("allow get, list and watch"), "{message}");
    works(&site, "meanwhile");
    set(&role);
    class("Accepted", |_, message| !message.contains("udproutes"));
    works(&site, "after");
}

#[test]
fn crds_that_are_missing_or_of_another_version_are_named_until_they_are_there() {
    let Some(site) = Site::alone("crds") else { return };
    site.gateway("edge", "");
    works(&site, "before");
    let name = "tlsroutes.gateway.networking.k8s.io";
    let definition = kubectl(&["get", "crd", name, "--output=json"]);
    kubectl(&["delete", "crd", name]);
    class("Accepted", |_, message| message.contains("tlsroutes"));
    works(&site, "meanwhile");
    let mut definition: Value = serde_json::from_str(&definition).unwrap();
    definition.as_object_mut().unwrap().remove("status");
    let metadata = definition["metadata"].as_object_mut().unwrap();
    for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
        metadata.remove(field);
    }
    let created = run("kubectl", &["create", "-f", "-"], &definition.to_string());
    assert!(created.status.success(), "{created:?}");
    class("Accepted", |_, message| !message.contains("tlsroutes"));

    let version = "gateway.networking.k8s.io/bundle-version";
    let crd = "httproutes.gateway.networking.k8s.io";
    let path = "jsonpath={.metadata.annotations.gateway\\.networking\\.k8s\\.io/bundle-version}";
    let before = kubectl(&["get", "crd", crd, "--output", path]);
    // An older one is forbidden by a policy of the API's own.
    kubectl(&["annotate", "--overwrite", "crd", crd, &format!("{version}=v1.99.0")]);
    let message = class("SupportedVersion", |verdict, _| verdict == "False/UnsupportedVersion");
    assert!(message.contains("v1.99.0"), "{message}");
    works(&site, "other");
    kubectl(&["annotate", "--overwrite", "crd", crd, &format!("{version}={}", before.trim())]);
    class("SupportedVersion", |verdict, _| verdict == "True/SupportedVersion");
}
