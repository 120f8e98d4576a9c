//! Objects that an API server serves. It has taken them, so that most of them are sound; but it may follow the rules of
//! another version of the API than ours.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::located::Located;
use super::object::into_resource;
use super::{finish, refused_policy};
use crate::schema::path::FieldPath;
use crate::validate::{FieldError, KindSchema, served_versions};
use crate::{Resource, ResourceKey, ResourceKind};

/// What is kept of metadata: what somebody here reads.
const METADATA: [&str; 8] = [
    "name",
    "namespace",
    "uid",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "annotations",
];
/// A copy of the object as it was applied, as large as the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Why a served object cannot take effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// What is wrong with it; never empty.
    pub errors: Vec<FieldError>,
    /// Of a BackendTLSPolicy: its targets, with `spec.refused` set, so that they are not reached in plaintext where no
    /// good version of it is in force.
    pub policy: Option<Arc<Resource>>,
}

/// The versions of a kind that can be read, the newest first.
pub fn versions(kind: ResourceKind) -> &'static [&'static str] {
    served_versions(kind)
}

/// Reads an object as an API server serves it in this version, with its generation.
///
/// Objects of the Gateway API follow the rules of our version: an unknown field may be one that narrows what the object
/// allows, so that an object with one is refused. Kubernetes' own kinds are taken as they come. A status that does not fit
/// is left out.
///
/// # Errors
/// An object that does not have the form of its kind, or one that our version of the API does not know.
pub fn read_served(kind: ResourceKind, version: &str, mut json: Value) -> Result<Resource, Refused> {
    trim(&mut json);
    let key = key_of(kind, &json);
    let is_ours = kind.group().starts_with("gateway.networking.");
    let schema = KindSchema::of(kind, version);
    if is_ours {
        let status = schema.take_status(&mut json);
        let errors = schema.check(&mut json);
        if !errors.is_empty() {
            return Err(refuse(&key, &json, errors));
        }
        if let Some(mut status) = status
            && schema.check_status(&mut status).is_empty()
            && let Some(object) = json.as_object_mut()
        {
            object.insert("status".to_owned(), status);
        }
    }
    finish::name_type(kind, &mut json);
    let copy = (kind == ResourceKind::BackendTlsPolicy).then(|| json.clone());
    into_resource(kind, json).map_err(|error| {
        // serde repeats what it found.
        let says = if schema.is_secret() {
            "does not have the form of its kind".to_owned()
        } else {
            error.to_string()
        };
        let errors = vec![FieldError::new(&FieldPath::root(), says, "correct the value")];
        refuse(&key, copy.as_ref().unwrap_or(&Value::Null), errors)
    })
}

fn refuse(key: &ResourceKey, json: &Value, errors: Vec<FieldError>) -> Refused {
    let is_policy = key.kind == ResourceKind::BackendTlsPolicy;
    let first = errors.first().filter(|_| is_policy);
    let policy = first.and_then(|first| refused_policy::of(&Located::from_json(json), key, first));
    Refused { errors, policy: policy.map(Arc::new) }
}

fn key_of(kind: ResourceKind, json: &Value) -> ResourceKey {
    let text = |field: &str| json.pointer(field).and_then(Value::as_str).unwrap_or_default();
    ResourceKey::new(kind, text("/metadata/namespace"), text("/metadata/name"))
}

fn trim(json: &mut Value) {
    let Some(metadata) = json.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.retain(|field, _| METADATA.contains(&field.as_str()));
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    let empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
    metadata.retain(|_, value| !empty(value));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(validation: Value) -> Value {
        json!({
            "metadata": {"name": "p", "namespace": "shop", "generation": 3, "uid": "u", "resourceVersion": "9",
                "managedFields": [{"manager": "kubectl"}]},
            "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "cart"}], "validation": validation},
        })
    }

    #[test]
    fn keeps_the_generation_and_drops_what_nobody_reads() {
        let validation = json!({"hostname": "cart.example", "wellKnownCACertificates": "System"});
        let read = read_served(ResourceKind::BackendTlsPolicy, "v1", policy(validation)).unwrap();
        let metadata = read.metadata();
        assert_eq!(
            (metadata.generation, metadata.uid.as_deref(), &metadata.resource_version),
            (Some(3), Some("u"), &None)
        );
        assert!(metadata.managed_fields.is_none());
    }

    #[test]
    fn a_field_of_another_version_refuses_and_keeps_the_targets() {
        let validation =
            json!({"hostname": "cart.example", "wellKnownCACertificates": "System", "strictly": true});
        let refused = read_served(ResourceKind::BackendTlsPolicy, "v1", policy(validation)).unwrap_err();
        assert_eq!(refused.errors[0].field(), "spec.validation.strictly");
        let Some(Resource::BackendTlsPolicy(policy)) = refused.policy.as_deref() else { panic!("no policy") };
        assert_eq!(policy.spec.target_refs[0].name, "cart");
        assert!(policy.spec.refused.is_some());
    }

    #[test]
    fn kinds_of_kubernetes_are_taken_as_they_come() {
        let service =
            json!({"metadata": {"name": "s", "namespace": "shop"}, "spec": {"ports": [], "novel": 1}});
        assert!(read_served(ResourceKind::Service, "v1", service).is_ok());
        let secret = json!({"metadata": {"name": "s"}, "data": {"tls.key": 5}});
        let refused = read_served(ResourceKind::Secret, "v1", secret).unwrap_err();
        assert!(!refused.errors[0].rule.contains('5'), "{refused:?}");
    }

    #[test]
    fn a_status_that_does_not_fit_is_left_out() {
        let class = json!({"metadata": {"name": "c"}, "spec": {"controllerName": "lasthop.dev/gateway"},
            "status": {"conditions": 7}});
        let Ok(Resource::GatewayClass(class)) = read_served(ResourceKind::GatewayClass, "v1", class) else {
            panic!("refused");
        };
        assert_eq!(class.status, None);
    }
}
