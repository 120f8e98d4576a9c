//! From what the API server sends to an object of the store.

use lasthop_api_model::{
    Resource, ResourceKey, ResourceKind,
    read::{Refused, read_served},
};
use lasthop_runtime::source::{InForce, Problem, ProblemClass};
use serde_json::Value;

use super::watched::READ_LABEL;

/// What problems of objects name for a file.
pub(super) const PLACE: &str = "API server";
/// How certificates in PEM begin.
const PEM: &str = "-----BEGIN ";
/// The key that certificates of CAs stand under.
const CA_KEY: &str = "ca.crt";

/// What names an object.
pub(super) fn key_of(kind: ResourceKind, json: &Value) -> Option<ResourceKey> {
    let metadata = json.get("metadata")?;
    let text = |field| metadata.get(field).and_then(Value::as_str);
    Some(ResourceKey::new(kind, text("namespace").unwrap_or_default(), text("name")?))
}

/// Whether anything here may read the object. Of ConfigMaps only a few hold what we need.
pub(super) fn is_of_interest(kind: ResourceKind, json: &Value) -> bool {
    if kind != ResourceKind::ConfigMap {
        return true;
    }
    let object = |field: &str| json.get(field).and_then(Value::as_object);
    let labels = json.get("metadata").and_then(|metadata| metadata.get("labels"));
    let labelled = labels.and_then(|labels| labels.get(READ_LABEL)).and_then(Value::as_str) == Some("true");
    let certificates = object("data").is_some_and(|data| {
        data.contains_key(CA_KEY) || data.values().filter_map(Value::as_str).any(|text| text.contains(PEM))
    });
    labelled || certificates || object("binaryData").is_some_and(|data| !data.is_empty())
}

/// Reads an object.
pub(super) fn read(kind: ResourceKind, version: &str, mut json: Value) -> Result<Resource, Refused> {
    if matches!(kind, ResourceKind::EndpointSlice | ResourceKind::Service)
        && let Some(metadata) = json.get_mut("metadata").and_then(Value::as_object_mut)
    {
        // Other controllers keep books there.
        metadata.remove("annotations");
    }
    if kind == ResourceKind::EndpointSlice {
        forget_pods(&mut json);
    }
    read_served(kind, version, json)
}

/// The pods behind endpoints are of no interest, and there are many of them.
fn forget_pods(slice: &mut Value) {
    let endpoints = slice.get_mut("endpoints").and_then(Value::as_array_mut);
    for endpoint in endpoints.into_iter().flatten().filter_map(Value::as_object_mut) {
        endpoint.remove("targetRef");
    }
}

/// What is wrong with an object, as the shell tells it.
pub(super) fn problems(key: &ResourceKey, refused: &Refused, in_force: InForce) -> Vec<Problem> {
    refused
        .errors
        .iter()
        .take(lasthop_api_model::read::MAX_PROBLEMS)
        .map(|error| Problem {
            file: PLACE.to_owned(),
            line: 0,
            column: 0,
            class: ProblemClass::Invalid,
            key: Some(key.clone()),
            object: key.to_string(),
            field: error.field(),
            message: error.rule.clone(),
            remedy: format!(
                "{}; the CRDs may be of a newer version of the Gateway API than v1.7",
                error.remedy
            ),
            in_force,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_config_maps_only_those_with_certificates_are_kept() {
        for (map, kept) in [
            (json!({"data": {"ca.crt": ""}}), true),
            (json!({"data": {"bundle": "x\n-----BEGIN CERTIFICATE-----"}}), true),
            (json!({"binaryData": {"ca.der": "MII="}}), true),
            (json!({"metadata": {"labels": {READ_LABEL: "true"}}}), true),
            (json!({"metadata": {"labels": {READ_LABEL: "false"}}, "data": {"a": "b"}}), false),
            (json!({}), false),
        ] {
            assert_eq!(is_of_interest(ResourceKind::ConfigMap, &map), kept, "{map}");
        }
        assert!(is_of_interest(ResourceKind::Secret, &json!({})));
    }
}
