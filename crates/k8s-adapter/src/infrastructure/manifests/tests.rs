use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::core::v1::LocalObjectReference;
use lasthop_dataplane_api::ObjectName;

use super::*;
use crate::{
    infrastructure::{AUDIENCE, plan::Port},
    parameters::{BearerToken, DisruptionBudget, LasthopParameters, ServiceType},
};

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
        addresses: Vec::new(),
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
    plan.addresses = vec!["192.0.2.7".parse().unwrap()];
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

#[test]
fn each_further_address_has_a_service_with_the_same_ports() {
    let mut plan = plan(LasthopParameters::default());
    plan.addresses = ["192.0.2.7", "2001:db8::7"].map(|text| text.parse().unwrap()).to_vec();
    let all = all(&plan, &template(), "lasthop.dev/gateway");
    let services: Vec<&Manifest> = all.iter().filter(|manifest| manifest.kind == Placed::Service).collect();
    let names: Vec<&str> = services.iter().map(|service| service.name()).collect();
    assert_eq!(names, names::services(&plan.gateway, &plan.addresses));
    let spec = |index: usize| &services[index].object["spec"];
    assert_eq!((&spec(0)["loadBalancerIP"], spec(0).get("ipFamilies")), (&json!("192.0.2.7"), None));
    assert_eq!(spec(1)["loadBalancerIP"], "2001:db8::7");
    assert_eq!(spec(1)["ipFamilies"], json!(["IPv6"]));
    assert_eq!((&spec(0)["ports"], &spec(0)["selector"]), (&spec(1)["ports"], &spec(1)["selector"]));
    // Without a load balancer there is nobody to ask.
    let parameters = LasthopParameters { service_type: Some(ServiceType::ClusterIP), ..Default::default() };
    plan.parameters = Arc::new(parameters);
    let all = super::all(&plan, &template(), "lasthop.dev/gateway");
    assert_eq!(all.iter().filter(|manifest| manifest.kind == Placed::Service).count(), 1);
}

#[test]
fn proxies_find_settings_and_tokens() {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let parameters = LasthopParameters {
        settings: BTreeMap::from([pair("log-format", "text"), pair("limits.idle-timeout", "5s")]),
        bearer_tokens: vec![BearerToken {
            name: "pay".to_owned(),
            audience: "payments".to_owned(),
            expiration_seconds: Some(600),
        }],
        drain_seconds: Some(120),
        image_pull_secrets: vec![LocalObjectReference { name: "registry".to_owned() }],
        topology_spread_constraints: vec![json!({"maxSkew": 1, "topologyKey": "zone"})],
        ..LasthopParameters::default()
    };
    let mut template = template();
    template.environment = BTreeMap::from([pair("LASTHOP_LOG_FORMAT", "json"), pair("LASTHOP_ADMIN", "off")]);
    let all = all(&plan(parameters), &template, "lasthop.dev/gateway");
    let pod = &of(&all, Placed::Deployment).unwrap()["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let variables = container["env"].as_array().unwrap().iter();
    let variables: BTreeMap<&str, &str> =
        variables.map(|one| (one["name"].as_str().unwrap(), one["value"].as_str().unwrap())).collect();
    assert_eq!(variables.len(), container["env"].as_array().unwrap().len(), "none is there twice");
    assert_eq!(variables["LASTHOP_LOG_FORMAT"], "text", "the parameters go before the controller's");
    assert_eq!(variables["LASTHOP_ADMIN"], "0.0.0.0:15021", "what has to be so is so");
    assert_eq!(variables["LASTHOP_LIMITS_IDLE_TIMEOUT"], "5s");
    assert_eq!(
        (variables["LASTHOP_DRAIN_TIMEOUT"], &pod["terminationGracePeriodSeconds"]),
        ("120s", &json!(128))
    );
    let folder = variables["LASTHOP_BEARER_TOKEN_DIRECTORY"];
    let mount =
        container["volumeMounts"].as_array().unwrap().iter().find(|mount| mount["mountPath"] == folder);
    let volume =
        pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == mount.unwrap()["name"]);
    let token = &volume.unwrap()["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(*token, json!({"audience": "payments", "expirationSeconds": 600, "path": "pay"}));
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "registry"}]));
    let spread = &pod["topologySpreadConstraints"][0];
    assert_eq!(spread["labelSelector"], of(&all, Placed::Deployment).unwrap()["spec"]["selector"]);
}
