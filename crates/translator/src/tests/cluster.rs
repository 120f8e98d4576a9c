//! Where each Gateway has a Service of its own, and a source that knows the cluster.

use std::{net::IpAddr, sync::Arc};

use lasthop_api_model::{Installation, Parameters, Resource};
use lasthop_dataplane_api::{ListenerState, ObjectName, Report};

use crate::{
    ClassPolicy, Options, Status,
    fixtures::{GATEWAY, World, message, objects},
};

fn world() -> World {
    World::with(Options {
        class_policy: ClassPolicy::OwnAllWithoutClass,
        gateways_share_ports: false,
        services_of: Some(|gateway: &ObjectName, addresses: &[IpAddr]| {
            let further = (1..addresses.len()).map(|number| format!("{}-lasthop-{number}", gateway.name));
            std::iter::once(format!("{}-lasthop", gateway.name)).chain(further).collect()
        }),
        supported_features: vec!["HTTPRoute", "Gateway"],
        ..Options::default()
    })
}

fn service(status: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: gw-lasthop}}\n\
         spec: {{type: LoadBalancer, clusterIPs: [10.96.0.7], ports: [{{port: 80}}]}}\n{status}"
    )
}

/// A proxy of the Gateway `gw`, ready or not.
fn proxy(ready: bool) -> String {
    format!(
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: gw-lasthop-1, labels: {{kubernetes.io/service-name: gw-lasthop}}}}\n\
         addressType: IPv4\nports: [{{port: 80}}]\n\
         endpoints: [{{addresses: [10.0.0.9], conditions: {{ready: {ready}}}}}]\n"
    )
}

#[test]
fn programmed_waits_for_the_services_address_and_a_proxy_behind_it() {
    let mut world = world();
    world.apply(&[GATEWAY]);
    world.bind_all();
    assert_eq!(world.gateway("gw")[1], "Programmed=False/AddressNotAssigned");
    world.apply(&[&service("")]);
    assert_eq!(world.gateway("gw")[1], "Programmed=False/AddressNotAssigned");
    world.apply(&[&service("status: {loadBalancer: {ingress: [{ip: 192.0.2.9}]}}\n")]);
    assert_eq!(world.gateway("gw")[1], "Programmed=Unknown/Pending");
    world.apply(&[&proxy(false)]);
    assert_eq!(world.gateway("gw")[1], "Programmed=Unknown/Pending");
    world.apply(&[&proxy(true)]);
    assert_eq!(world.gateway("gw")[1], "Programmed=True/Programmed");
    assert_eq!(world.gateway_status("gw").addresses[0].value, "192.0.2.9");
}

#[test]
fn an_address_that_is_missing_does_not_hide_what_the_dataplane_said() {
    let mut world = world();
    world.apply(&[GATEWAY]);
    let key = world.translator.snapshot().listeners.keys().next().unwrap().clone();
    let failed = ListenerState::Failed { reason: "PortUnavailable".into(), message: "in use".into() };
    let report = Report { version: 1, listeners: vec![(key, failed)], ..Report::default() };
    world.translator.programmed(&report);
    let not_given = service("");
    let given = service("status: {loadBalancer: {ingress: [{ip: 192.0.2.9}]}}\n");
    // Without an address, and without a proxy that is ready.
    for service in [&not_given, &given] {
        world.apply(&[service]);
        assert_eq!(world.gateway("gw")[1], "Programmed=False/Invalid");
        let said = message(&world.gateway_status("gw").conditions, "Programmed");
        assert_eq!(said, "No listener serves: in use");
    }
    // What the user asked for and has not got is said in any case.
    world.apply(&[&format!("{GATEWAY}  addresses: [{{value: 198.51.100.1}}]\n")]);
    assert_eq!(world.gateway("gw")[1], "Programmed=False/AddressNotUsable");
}

#[test]
fn further_addresses_are_those_of_further_services() {
    let mut world = world();
    let asking = format!("{GATEWAY}  addresses: [{{value: 192.0.2.10}}, {{value: 192.0.2.9}}]\n");
    let given =
        |address: &str| service(&format!("status: {{loadBalancer: {{ingress: [{{ip: {address}}}]}}}}\n"));
    let second = given("192.0.2.10").replace("gw-lasthop", "gw-lasthop-1");
    world.apply(&[&asking, &given("192.0.2.9"), &proxy(true)]);
    world.bind_all();
    assert_eq!(world.gateway("gw")[1], "Programmed=False/AddressNotUsable");
    let said = message(&world.gateway_status("gw").conditions, "Programmed").to_owned();
    assert!(said.contains("192.0.2.10") && !said.contains("192.0.2.9,"), "{said}");
    world.apply(&[&second]);
    assert_eq!(world.gateway("gw")[1], "Programmed=True/Programmed");
    let addresses = |world: &World| -> Vec<String> {
        world.gateway_status("gw").addresses.iter().map(|address| address.value.clone()).collect()
    };
    assert_eq!(addresses(&world), ["192.0.2.9", "192.0.2.10"]);
    // What is not asked for any more is not looked at, though it may stand a little longer.
    world.apply(&[&format!("{GATEWAY}  addresses: [{{value: 192.0.2.9}}]\n")]);
    assert_eq!(addresses(&world), ["192.0.2.9"]);
}

#[test]
fn an_address_that_the_service_has_not_got_is_not_usable() {
    let mut world = world();
    let asks = |address: &str| format!("{GATEWAY}  addresses: [{{value: {address}}}]\n");
    let given = service("status: {loadBalancer: {ingress: [{ip: 192.0.2.9}]}}\n");
    world.apply(&[&asks("198.51.100.1"), &given, &proxy(true)]);
    world.bind_all();
    assert_eq!(world.gateway("gw")[..2], ["Accepted=True/Accepted", "Programmed=False/AddressNotUsable"]);
    let listeners = world.translator.snapshot().listeners.values();
    assert!(
        listeners.clone().count() == 1 && listeners.clone().all(|listener| listener.addresses.is_empty())
    );
    world.apply(&[&asks("192.0.2.9")]);
    world.bind_all();
    assert_eq!(world.gateway("gw")[1], "Programmed=True/Programmed");
}

#[test]
fn parameters_are_what_the_source_found_them_to_be() {
    let mut world = world();
    let reference =
        "  infrastructure: {parametersRef: {group: lasthop.dev, kind: LasthopParameters, name: p}}\n";
    let manifest = format!("{GATEWAY}{reference}");
    for (parameters, said) in [
        (Parameters::Good, "Accepted=True/Accepted"),
        (Parameters::Bad("there is none".into()), "Accepted=False/InvalidParameters"),
        (Parameters::Unread, "Accepted=False/InvalidParameters"),
    ] {
        let Resource::Gateway(mut gateway) = objects(&manifest).remove(0) else { panic!("no Gateway") };
        Arc::make_mut(&mut gateway).spec.infrastructure.as_mut().unwrap().parameters = parameters;
        world.put(gateway.into());
        assert_eq!(world.gateway("gw")[0], said);
        // Proxies that stand serve on.
        assert_eq!(world.translator.snapshot().listeners.len(), 1);
    }
    world.apply(&[&format!("{manifest}  addresses: [{{type: Hostname, value: nowhere.test}}]\n")]);
    assert!(world.translator.snapshot().listeners.is_empty(), "what it asks for cannot be had");
}

#[test]
fn a_class_says_its_features_and_the_version_of_the_crds() {
    let class = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: lasthop}
spec: {controllerName: lasthop.dev/gateway}
";
    for (versions, said) in [
        (&["v1.7.0"][..], Some("True")),
        (&["v1.6.3"], Some("True")),
        (&["v1.5.1"], Some("False")),
        (&["v1.6.3", "v1.7.0"], Some("False")),
        (&[], None),
    ] {
        let mut world = world();
        let Resource::GatewayClass(mut object) = objects(class).remove(0) else { panic!("no class") };
        let versions = versions.iter().map(|version| (*version).to_owned()).collect();
        let unread = vec!["kind UDPRoute".to_owned()];
        Arc::make_mut(&mut object).spec.installation =
            Some(Arc::new(Installation { versions, unread, ..Installation::default() }));
        world.put(object.into());
        let statuses: Vec<_> = world.translator.statuses().collect();
        let [(_, Status::GatewayClass(status))] = &statuses[..] else { panic!("{statuses:?}") };
        let features: Vec<&str> = status.supported_features.iter().map(|feature| &*feature.name).collect();
        assert_eq!(features, ["Gateway", "HTTPRoute"]);
        let version = status.conditions.iter().find(|condition| condition.type_ == "SupportedVersion");
        assert_eq!(version.map(|condition| &*condition.status), said);
        assert!(status.conditions[0].message.contains("kind UDPRoute"));
    }
}

#[test]
fn proxies_that_cannot_run_are_said_until_they_speak() {
    let mut world = world();
    let balancer = service("status: {loadBalancer: {ingress: [{ip: 192.0.2.9}]}}\n");
    let Resource::Gateway(mut gateway) = objects(GATEWAY).remove(0) else { panic!("no Gateway") };
    Arc::make_mut(&mut gateway).spec.trouble = Some("Service gw-lasthop: quota exceeded".into());
    world.put(gateway.into());
    assert_eq!(world.gateway("gw")[1], "Programmed=False/NoResources");
    world.apply(&[GATEWAY, &balancer]);
    assert_eq!(world.gateway("gw")[1], "Programmed=Unknown/Pending");
    let Resource::Gateway(mut gateway) = objects(GATEWAY).remove(0) else { panic!("no Gateway") };
    Arc::make_mut(&mut gateway).spec.trouble = Some("Pod gw-1: ImagePullBackOff".into());
    world.put(gateway.into());
    assert_eq!(world.gateway("gw")[1], "Programmed=False/NoResources");
    world.bind_all();
    world.apply(&[&proxy(true)]);
    assert_eq!(world.gateway("gw")[1], "Programmed=True/Programmed", "another proxy serves");
    let said = message(&world.gateway_status("gw").conditions, "Programmed").to_owned();
    assert_eq!(said, "The dataplane serves the Gateway; but Pod gw-1: ImagePullBackOff");
    world.apply(&[GATEWAY]);
    assert_eq!(
        message(&world.gateway_status("gw").conditions, "Programmed"),
        "The dataplane serves the Gateway"
    );
}
