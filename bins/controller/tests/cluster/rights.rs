//! What the controller may not read, and what is not installed: named, and nothing else suffers.

use serde_json::{Value, json};

use super::support::{Nginx, Site, becomes, curl, find, kubectl, run, within};

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

/// The controller's ClusterRole.
fn rules() -> Value {
    serde_json::from_str(&kubectl(&["get", "clusterrole", "lasthop-controller", "--output=json"])).unwrap()
}

fn without(role: &Value, kind: &str) -> Value {
    let mut less = role.clone();
    for rule in less["rules"].as_array_mut().unwrap() {
        rule["resources"].as_array_mut().unwrap().retain(|found| found != kind);
    }
    less
}

fn set(role: &Value) {
    let patch = json!({"rules": role["rules"]}).to_string();
    kubectl(&["patch", "clusterrole", "lasthop-controller", "--type=merge", "--patch", &patch]);
}

/// Sets the rules of before, for the tests to come.
struct Restored(Value);

impl Drop for Restored {
    fn drop(&mut self) {
        set(&self.0);
    }
}

fn works(site: &Site, name: &str) -> Nginx {
    let nginx = site.nginx(name);
    site.service(name, &[nginx.port], "");
    site.route("edge", name, "");
    becomes(site.programmed("edge"), &format!("{name}.test"), 200);
    nginx
}

#[test]
fn a_kind_that_may_not_be_read_is_named_and_the_others_work() {
    let Some(site) = Site::alone("rights") else { return };
    site.gateway("edge", "");
    works(&site, "before");
    let role = rules();
    set(&without(&role, "udproutes"));
    // A watch that stands is not ended by a right that goes.
    kubectl(&["--namespace=lasthop-system", "rollout", "restart", "deployment/lasthop-controller"]);
    let status = ["--namespace=lasthop-system", "rollout", "status", "deployment/lasthop-controller"];
    kubectl(&[&status[..], &["--timeout=90s"]].concat());
    let message =
        class("Accepted", |verdict, message| verdict == "True/Accepted" && message.contains("udproutes"));
    assert!(message.contains("allow get, list and watch"), "{message}");
    works(&site, "meanwhile");
    set(&role);
    // Without a restart.
    class("Accepted", |_, message| !message.contains("udproutes"));
    works(&site, "after");
}

#[test]
fn who_cannot_read_gateways_or_policies_leaves_everything_as_it_is() {
    let Some(site) = Site::alone("blind") else { return };
    site.gateway("edge", "");
    let _nginx = works(&site, "before");
    let address = site.programmed("edge");
    let uid = site.object("deployment", "lasthop-edge")["metadata"]["uid"].clone();
    let role = rules();
    let _restored = Restored(role.clone());
    for kind in ["gateways", "gatewayclasses", "backendtlspolicies"] {
        set(&without(&role, kind));
        let selector = "--selector=app.kubernetes.io/name=lasthop-controller";
        kubectl(&["--namespace=lasthop-system", "delete", "pods", selector]);
        if kind == "gatewayclasses" {
            // There is no class to say it at.
            let said = within(|| {
                // A container that is about to start has none yet.
                let log = run("kubectl", &["--namespace=lasthop-system", "logs", "--tail=-1", selector], "");
                let log = String::from_utf8_lossy(&log.stdout);
                log.lines().any(|line| line.contains("still waiting") && line.contains(kind)).then_some(())
            });
            assert!(said.is_some(), "nobody says what is missing");
        } else {
            let message = class("Accepted", |verdict, message| {
                verdict == "Unknown/Pending" && message.contains(&format!("{kind}."))
            });
            assert!(message.contains("allow get, list and watch"), "{message}");
        }
        // Time enough to take something away. In plaintext, without the policy, nginx would answer 400.
        std::thread::sleep(std::time::Duration::from_secs(3));
        assert_eq!(site.object("deployment", "lasthop-edge")["metadata"]["uid"], uid, "without {kind}");
        assert_eq!(curl(address, "before.test", &[]).status, 200, "without {kind}");
        set(&role);
        class("Accepted", |verdict, message| verdict == "True/Accepted" && !message.contains(kind));
        works(&site, &format!("after-{kind}"));
        assert_eq!(site.object("deployment", "lasthop-edge")["metadata"]["uid"], uid, "after {kind}");
    }
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
    let message = class("SupportedVersion", |verdict, _| verdict == "False/UnsupportedVersion");
    assert!(message.contains("tlsroutes") && message.contains("install all"), "{message}");
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
    class("SupportedVersion", |verdict, _| verdict == "True/SupportedVersion");

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
