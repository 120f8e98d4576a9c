//! What the API server does to an object it has taken, beyond the defaults of its schema.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::{ResourceKind, ResourceType as _, Secret, Service};

/// The namespace of objects that name none.
pub(super) const DEFAULT_NAMESPACE: &str = "default";

pub(super) fn finish(kind: ResourceKind, json: &mut Value) {
    name_type(kind, json);
    let Some(object) = json.as_object_mut() else { return };
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["generation", "resourceVersion", "managedFields", "selfLink"] {
            metadata.remove(field);
        }
        if kind.is_namespaced() {
            metadata.entry("namespace").or_insert_with(|| DEFAULT_NAMESPACE.into());
        } else {
            metadata.remove("namespace");
        }
    }
    match kind {
        Secret::KIND => join_data(object),
        Service::KIND => target_ports(object),
        _ => {}
    }
    for field in ["data", "binaryData"] {
        if kind == Secret::KIND || field == "binaryData" {
            one_line(object.get_mut(field));
        }
    }
}

/// Puts in the kind, in the version our types have. k8s-openapi's types look at both; entries of typed lists may lack
/// them.
pub(super) fn name_type(kind: ResourceKind, json: &mut Value) {
    let Some(object) = json.as_object_mut() else { return };
    let api_version = if kind.group().is_empty() {
        kind.version().to_owned()
    } else {
        format!("{}/{}", kind.group(), kind.version())
    };
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.as_str().into());
}

/// `stringData` is a way to write `data`, and wins over it.
fn join_data(secret: &mut Map<String, Value>) {
    let Some(Value::Object(plain)) = secret.remove("stringData") else { return };
    let data = secret.entry("data").or_insert_with(|| json!({}));
    if let Some(data) = data.as_object_mut() {
        for (key, value) in plain {
            data.insert(key, STANDARD.encode(value.as_str().unwrap_or_default()).into());
        }
    }
}

/// Base64 may stand in several lines of a file.
fn one_line(data: Option<&mut Value>) {
    for value in data.and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        if let Value::String(text) = value {
            text.retain(|c| !matches!(c, '\r' | '\n'));
        }
    }
}

/// A port that names no target has the same number in the pods.
fn target_ports(service: &mut Map<String, Value>) {
    let ports = service.get_mut("spec").and_then(|spec| spec.get_mut("ports")).and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        let unset = matches!(port.get("targetPort"), None | Some(Value::Null));
        let unset =
            unset || port.get("targetPort") == Some(&json!(0)) || port.get("targetPort") == Some(&json!(""));
        if let (true, Some(number), Some(object)) = (unset, port.get("port").cloned(), port.as_object_mut()) {
            object.insert("targetPort".to_owned(), number);
        }
    }
}
