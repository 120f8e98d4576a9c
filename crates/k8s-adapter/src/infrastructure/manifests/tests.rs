use std::{collections::BTreeSet, sync::Arc};

use lasthop_dataplane_api::ObjectName;

use super::*;
use crate::parameters::{DisruptionBudget, LasthopParameters};

fn template() -> Template {
    Template {
        image: "registry.example/proxy:1".to_owned(),
        image_pull_policy: None,
        log_level: "info".to_owned(),
        link: "controller.system.svc:15010".to_owned(),
        link_ca: "PEM".to_owned(),
        environment: BTreeMap::new(),
    }
}

fn plan(parameters: LasthopParameters) -> Plan {
    let pair = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    Plan {
        gateway: ObjectName::new("infra", "edge"),
        uid: "u-1".to_owned(),
        ports: BTreeSet::from([
            Port { number: 443, is_udp: false },
            Port { number: 53, is_udp: true },
            Port { number: 53, is_udp: false },
        ]),
        labels: pair("team", "edge"),
        annotations: pair("note", "x"),
        address: None,
        parameters: Arc::new(parameters),
    }
}

fn of(all: &[Manifest], kind: Placed) -> Option<&Value> {
    all.iter().find(|manifest| manifest.kind == kind).map(|manifest| &manifest.object)
}

#[test]
fn everything_is_marked_and_owned() {
    let all = all(&plan(LasthopParameters::default()), &template(), "lasthop.dev/gateway");
    let kinds: Vec<Placed> = all.iter().map(|manifest| manifest.kind).collect();
    assert_eq!(kinds, Placed::ALL[..4]);
    for Manifest { kind, object } in &all {
        let metadata = &object["metadata"];
        assert_eq!((&metadata["name"], &metadata["namespace"]), (&json!("lasthop-edge"), &json!("infra")));
        assert_eq!(metadata["labels"][GATEWAY_LABEL], "edge", "{kind:?}");
        assert_eq!(
            (&metadata["labels"]["team"], &metadata["annotations"]["note"]),
            (&json!("edge"), &json!("x"))
        );
        assert_eq!(metadata["ownerReferences"][0]["uid"], "u-1");
    }
    let pod = &of(&all, Placed::Deployment).unwrap()["spec"]["template"];
    assert_eq!(
        (&pod["metadata"]["labels"]["team"], &pod["metadata"]["annotations"]["note"]),
        (&json!("edge"), &json!("x"))
    );
}

#[test]
fn users_cannot_take_over_the_labels_pods_are_found_by() {
    let mut plan = plan(LasthopParameters::default());
    plan.labels.insert(GATEWAY_LABEL.to_owned(), "other".to_owned());
    plan.labels.insert(MANAGED_BY.to_owned(), "me".to_owned());
    let all = all(&plan, &template(), "lasthop.dev/gateway");
    let pod = &of(&all, Placed::Deployment).unwrap()["spec"]["template"]["metadata"]["labels"];
    assert_eq!(pod[CONTROLLER], "lasthop.dev_gateway");
    assert_eq!((&pod[GATEWAY_LABEL], &pod[MANAGED_BY]), (&json!("edge"), &json!(MANAGER)));
}

#[test]
fn the_service_has_the_listeners_ports_of_both_protocols() {
    let mut plan = plan(LasthopParameters::default());
    plan.address = Some("192.0.2.7".to_owned());
    let all = all(&plan, &template(), "lasthop.dev/gateway");
    let spec = &of(&all, Placed::Service).unwrap()["spec"];
    let names: Vec<&str> =
        spec["ports"].as_array().unwrap().iter().map(|port| port["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["tcp-53", "udp-53", "tcp-443"]);
    assert_eq!(spec["ports"][1]["targetPort"], 53);
    assert_eq!((&spec["type"], &spec["loadBalancerIP"]), (&json!("LoadBalancer"), &json!("192.0.2.7")));
    assert_eq!(spec["selector"], of(&all, Placed::Deployment).unwrap()["spec"]["selector"]["matchLabels"]);
}

#[test]
fn parameters_shape_what_is_placed() {
    let parameters = LasthopParameters {
        replicas: Some(3),
        image: Some("mine:2".to_owned()),
        log_level: Some("debug".to_owned()),
        service_type: Some(ServiceType::ClusterIP),
        service_annotations: BTreeMap::from([("cloud".to_owned(), "internal".to_owned())]),
        external_traffic_policy: Some("Local".to_owned()),
        node_selector: BTreeMap::from([("zone".to_owned(), "a".to_owned())]),
        pod_disruption_budget: Some(DisruptionBudget { min_available: None, ..DisruptionBudget::default() }),
        ..LasthopParameters::default()
    };
    let all = all(&plan(parameters), &template(), "lasthop.dev/gateway");
    let service = of(&all, Placed::Service).unwrap();
    assert_eq!(service["metadata"]["annotations"], json!({"cloud": "internal", "note": "x"}));
    assert_eq!(service["spec"]["type"], "ClusterIP");
    assert_eq!(service["spec"].get("externalTrafficPolicy"), None, "a ClusterIP has no such thing");
    let deployment = of(&all, Placed::Deployment).unwrap();
    assert_eq!(deployment["spec"]["replicas"], 3);
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(
        (&pod["containers"][0]["image"], &pod["nodeSelector"]["zone"]),
        (&json!("mine:2"), &json!("a"))
    );
    assert!(
        pod["containers"][0]["env"].to_string().contains(r#"{"name":"LASTHOP_LOG_LEVEL","value":"debug"}"#)
    );
    assert!(of(&all, Placed::PodDisruptionBudget).is_some());
    assert_eq!(deployment["metadata"]["annotations"], json!({"note": "x"}), "the Service's are its own");
}

#[test]
fn pods_run_with_the_least_rights() {
    let all = all(&plan(LasthopParameters::default()), &template(), "lasthop.dev/gateway");
    let pod = &of(&all, Placed::Deployment).unwrap()["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["automountServiceAccountToken"], false);
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(container["capabilities"]["drop"], json!(["ALL"]));
    let token = &pod["volumes"][1]["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(token["audience"], AUDIENCE);
}
