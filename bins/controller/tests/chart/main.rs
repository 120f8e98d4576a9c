//! The Helm chart, rendered by the real Helm: with its default values it is what `lasthop-controller manifests` prints.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests, all of it")]

mod yaml;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

const NAMESPACE: &str = "lasthop-system";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Helm, where `cargo xtask setup` puts it. `None` where it is missing, which is a failure in CI.
fn helm() -> Option<Command> {
    let built = root().join(".lasthop/bin/helm");
    if !built.exists() {
        assert!(std::env::var_os("CI").is_none(), "CI needs Helm: cargo xtask setup");
        eprintln!("SKIPPED: there is no Helm here; `cargo xtask setup` builds it");
        return None;
    }
    let mut command = Command::new(built);
    command.current_dir(root().join("charts/lasthop"));
    // No file of the user's, and no cluster.
    for variable in ["HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME"] {
        command.env(variable, env!("CARGO_TARGET_TMPDIR"));
    }
    command.env("KUBECONFIG", "/dev/null");
    Some(command)
}

fn rendered(namespace: &str, values: &[&str]) -> Option<Output> {
    let mut helm = helm()?;
    helm.args(["template", "lasthop", ".", "--namespace", namespace]);
    for value in values {
        helm.args(["--set-json", value]);
    }
    Some(helm.output().unwrap())
}

/// The objects by kind and name.
fn objects(text: &str) -> BTreeMap<String, Value> {
    let documents = yaml::documents(text);
    let count = documents.len();
    let name = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', "");
    let objects: BTreeMap<_, _> = documents.into_iter().map(|object| (name(&object), object)).collect();
    assert_eq!(objects.len(), count, "two objects of one name");
    objects
}

fn template(namespace: &str, values: &[&str]) -> Option<BTreeMap<String, Value>> {
    let output = rendered(namespace, values)?;
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{values:?}: {says}");
    Some(objects(&String::from_utf8_lossy(&output.stdout)))
}

/// Why the chart does not take these values.
fn refusal(values: &[&str]) -> Option<String> {
    let output = rendered(NAMESPACE, values)?;
    assert!(!output.status.success(), "{values:?} is taken");
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What the controller prints, but for the namespace: Helm asks for it before it installs anything.
fn manifests(arguments: &[&str]) -> BTreeMap<String, Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lasthop-controller"));
    let output = command.arg("manifests").args(arguments).output().unwrap();
    assert!(output.status.success());
    let mut objects = objects(&String::from_utf8_lossy(&output.stdout));
    objects.retain(|_, object| object["kind"] != "Namespace");
    objects
}

fn assert_same(chart: &BTreeMap<String, Value>, manifests: &BTreeMap<String, Value>) {
    let names = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(chart), names(manifests));
    for (name, object) in manifests {
        let advice = "`cargo xtask chart` brings CRD and rights up to date";
        assert_eq!(
            &chart[name], object,
            "{name}: the chart (left) is not what the controller prints; {advice}"
        );
    }
}

fn pod(objects: &BTreeMap<String, Value>) -> &Value {
    &objects["Deployment lasthop-controller"]["spec"]["template"]["spec"]
}

fn setting<'a>(objects: &'a BTreeMap<String, Value>, name: &str) -> &'a Value {
    let settings = pod(objects)["containers"][0]["env"].as_array().unwrap();
    settings.iter().find(|setting| setting["name"] == name).map_or(&Value::Null, |setting| &setting["value"])
}

#[test]
fn lint_has_no_objection() {
    let Some(mut helm) = helm() else { return };
    let output = helm.args(["lint", "--strict", "."]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn renders_what_the_controller_prints() {
    let Some(chart) = template(NAMESPACE, &[]) else { return };
    assert_same(&chart, &manifests(&[]));
    assert_eq!(chart.len(), 11);
}

#[test]
fn renders_the_same_for_another_installation() {
    let values = [
        "image={\"repository\": \"example.com/lasthop-controller\", \"tag\": \"9\"}",
        "proxyImage={\"repository\": \"example.com/lasthop-proxy\", \"tag\": \"9\"}",
        "replicas=3",
    ];
    let Some(chart) = template("edge", &values) else { return };
    let arguments = ["--namespace", "edge", "--registry", "example.com", "--tag", "9", "--replicas", "3"];
    assert_same(&chart, &manifests(&arguments));
}

#[test]
fn versions_are_the_controllers() {
    let text = std::fs::read_to_string(root().join("charts/lasthop/Chart.yaml")).unwrap();
    let chart = &yaml::documents(&text)[0];
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn what_is_turned_off_is_not_there() {
    let values = [
        "networkPolicy.enabled=false",
        "podDisruptionBudget.enabled=false",
        "gatewayClass.create=false",
        "crds.install=false",
    ];
    let Some(chart) = template(NAMESPACE, &values) else { return };
    let mut expected = manifests(&[]);
    let off = ["NetworkPolicy", "PodDisruptionBudget", "GatewayClass", "CustomResourceDefinition"];
    expected.retain(|_, object| !off.contains(&object["kind"].as_str().unwrap()));
    assert_same(&chart, &expected);
}

#[test]
fn settings_reach_the_controller() {
    let values = [
        "settings={\"log-level\": \"debug\", \"allow-insecure-verify\": true, \"tls-backend\": \"boringssl\"}",
        "proxyImage.pullPolicy=\"Always\"",
        "proxyImage.digest=\"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"",
        "lease=\"mine\"",
        "linkSecret=\"ca\"",
    ];
    let Some(chart) = template(NAMESPACE, &values) else { return };
    let digest = "ghcr.io/lasthop/lasthop-proxy@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    for (name, value) in [
        ("LASTHOP_LOG_LEVEL", "debug"),
        ("LASTHOP_ALLOW_INSECURE_VERIFY", "true"),
        ("LASTHOP_TLS_BACKEND", "boringssl"),
        ("LASTHOP_PROXY_IMAGE_PULL_POLICY", "Always"),
        ("LASTHOP_PROXY_IMAGE", digest),
        ("LASTHOP_LEASE", "mine"),
        ("LASTHOP_LINK_SECRET", "ca"),
    ] {
        assert_eq!(setting(&chart, name), value, "{name}");
    }
    // The rights go with the names.
    let rules = chart["Role lasthop-controller"]["rules"].as_array().unwrap();
    let named: Vec<&Value> = rules.iter().filter_map(|rule| rule.get("resourceNames")).collect();
    assert_eq!(named, [&json!(["mine"]), &json!(["ca"])]);
}

#[test]
fn a_pod_is_placed_as_asked_for_and_stays_hardened() {
    let values = [
        "nodeSelector={\"disk\": \"fast\"}",
        "tolerations=[{\"key\": \"edge\", \"operator\": \"Exists\"}]",
        "podAnnotations={\"note\": \"x\"}",
        "podLabels={\"team\": \"edge\"}",
        "imagePullSecrets=[{\"name\": \"registry\"}]",
        "priorityClassName=\"system-cluster-critical\"",
        "resources={\"limits\": {\"memory\": \"128Mi\"}}",
        "gatewayClass={\"name\": \"edge\", \"parametersRef\": {\"name\": \"all\"}}",
        "crds.keep=true",
    ];
    let Some(chart) = template("edge", &values) else { return };
    let pod = pod(&chart);
    assert_eq!(pod["nodeSelector"], json!({"disk": "fast"}));
    assert_eq!(pod["tolerations"][0]["key"], "edge");
    assert_eq!(pod["imagePullSecrets"][0]["name"], "registry");
    assert_eq!(pod["priorityClassName"], "system-cluster-critical");
    assert_eq!(pod["containers"][0]["resources"]["limits"]["memory"], "128Mi");
    let plain = manifests(&[]);
    assert_eq!(pod["securityContext"], self::pod(&plain)["securityContext"]);
    let own = |pod: &Value| pod["containers"][0]["securityContext"].clone();
    assert_eq!(own(pod), own(self::pod(&plain)));
    let metadata = &chart["Deployment lasthop-controller"]["spec"]["template"]["metadata"];
    assert_eq!(metadata["labels"], json!({"team": "edge", "app.kubernetes.io/name": "lasthop-controller"}));
    let parameters =
        json!({"group": "lasthop.dev", "kind": "LasthopParameters", "name": "all", "namespace": "edge"});
    assert_eq!(chart["GatewayClass edge"]["spec"]["parametersRef"], parameters);
    let crd = &chart["CustomResourceDefinition lasthopparameters.lasthop.dev"];
    assert_eq!(crd["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
}

#[test]
fn what_the_chart_does_not_know_is_refused() {
    for (value, says) in [
        ("replica=3", "replica"),
        ("networkPolicy.enable=true", "enable"),
        ("image.digest=\"latest\"", "digest"),
        ("settings={\"proxy-image\": \"x\"}", "settings.proxy-image"),
        ("settings={\"identity\": \"x\"}", "settings.identity"),
        ("settings={\"link\": \"0.0.0.0:9\"}", "settings.link"),
        ("settings={\"Log_Level\": \"x\"}", "Log_Level"),
    ] {
        let Some(why) = refusal(&[value]) else { return };
        assert!(why.contains(says), "{value}: {why}");
    }
}
