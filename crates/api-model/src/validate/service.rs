//! Service.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::KindSchema;
use super::endpoint_slice::PORT_NAME;
use super::metadata::namespaced_label;
use super::patterns::{LABEL_VALUE, QUALIFIED_NAME, is_dns_name, is_ip_address};
use crate::schema::path::FieldPath;
use crate::schema::{
    Look as _, Rule, Schema, anything, blames, boolean, integer, integer_or_text, list, map, object, one_of,
    optional, required, text,
};

pub(super) fn schema() -> KindSchema {
    KindSchema::with_fields(namespaced_label(), [optional("spec", spec().default(json!({})))])
        .status(object([optional("conditions", list(anything())), optional("loadBalancer", anything())]))
}

fn spec() -> Schema {
    let affinity = object([optional("clientIP", object([optional("timeoutSeconds", integer(1, 86400))]))]);
    object([
        optional(
            "type",
            one_of(&["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]).default("ClusterIP"),
        ),
        optional("ports", list(port())),
        optional("selector", map(text().at_most(63).pattern(LABEL_VALUE)).pattern(QUALIFIED_NAME)),
        optional("clusterIP", text()),
        optional("clusterIPs", list(text()).at_most(2)),
        optional("externalIPs", list(text())),
        optional("externalName", text()),
        optional("externalTrafficPolicy", one_of(&["Cluster", "Local"])),
        optional("internalTrafficPolicy", one_of(&["Cluster", "Local"])),
        optional("healthCheckNodePort", integer(0, 65535)),
        optional("ipFamilies", list(one_of(&["IPv4", "IPv6"])).at_most(2).unique()),
        optional("ipFamilyPolicy", one_of(&["SingleStack", "PreferDualStack", "RequireDualStack"])),
        optional("allocateLoadBalancerNodePorts", boolean()),
        optional("loadBalancerClass", text().pattern(QUALIFIED_NAME)),
        optional("loadBalancerIP", text()),
        optional("loadBalancerSourceRanges", list(text())),
        optional("publishNotReadyAddresses", boolean()),
        optional("sessionAffinity", one_of(&["None", "ClientIP"]).default("None")),
        optional("sessionAffinityConfig", affinity),
        optional("trafficDistribution", one_of(&["PreferClose", "PreferSameZone", "PreferSameNode"])),
    ])
    .rules(port_rules())
    .rules([
        blames("must be a DNS name when type is ExternalName", "give the name to point at", |spec| {
            let name = spec.text("externalName");
            let fits = is_dns_name(name.strip_suffix('.').unwrap_or(name));
            (spec.text("type") == "ExternalName" && !fits).then(|| FieldPath::root().then("externalName"))
        }),
        blames("must be an IP address, \"None\" or empty", "leave it out, or give one of these", |spec| {
            let address = spec.text("clusterIP");
            let fits = address.is_empty() || address == "None" || is_ip_address(address);
            (!fits).then(|| FieldPath::root().then("clusterIP"))
        }),
    ])
}

fn port() -> Schema {
    object([
        optional("name", text().at_most(63).pattern(PORT_NAME)),
        required("port", integer(1, 65535)),
        optional("targetPort", integer_or_text()),
        optional("protocol", one_of(&["TCP", "UDP", "SCTP"]).default("TCP")),
        optional("appProtocol", text().pattern(QUALIFIED_NAME)),
        optional("nodePort", integer(0, 65535)),
    ])
    .rule(blames(
        "must be a port number, or a name of at most 15 lower-case letters, digits and '-', one a letter",
        "give the port the pods listen on, by number or name",
        |port| {
            let fits = match port.get("targetPort") {
                Some(Value::String(name)) => name.is_empty() || is_target_port_name(name),
                Some(Value::Number(number)) => {
                    number.as_i64().is_some_and(|port| (0..=65535).contains(&port))
                }
                _ => true,
            };
            (!fits).then(|| FieldPath::root().then("targetPort"))
        },
    ))
}

/// RFC 6335, in lower case.
fn is_target_port_name(name: &str) -> bool {
    super::patterns::is_dns_label(name)
        && name.len() <= 15
        && !name.contains("--")
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
}

fn port_rules() -> [Rule; 4] {
    [
        blames("needs at least one entry", "add the ports, or set clusterIP to None", |spec| {
            let may_be_empty = spec.text("clusterIP") == "None" || spec.text("type") == "ExternalName";
            (spec.list("ports").is_empty() && !may_be_empty).then(|| FieldPath::root().then("ports"))
        }),
        blames("must be set when there is more than one port", "name each port", |spec| {
            let ports = spec.list("ports");
            let unnamed = ports.iter().position(|port| port.text("name").is_empty())?;
            (ports.len() > 1).then(|| FieldPath::root().then("ports").then(unnamed).then("name"))
        }),
        repeats("is the name of a port before it", "give each port its own name", |port| {
            Some(port.text("name").to_owned()).filter(|name| !name.is_empty())
        }),
        repeats("has port and protocol of a port before it", "change one of the two", |port| {
            Some(format!("{:?} {}", port.number("port"), port.text("protocol")))
        }),
    ]
}

fn repeats(says: &'static str, remedy: &'static str, key: fn(&Value) -> Option<String>) -> Rule {
    blames(says, remedy, move |spec| {
        let mut seen = BTreeSet::new();
        let again = |port| key(port).is_some_and(|key| !seen.insert(key));
        spec.list("ports").iter().position(again).map(|index| FieldPath::root().then("ports").then(index))
    })
}
