//! What is left of a BackendTLSPolicy that was refused: its targets.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::located::Located;
use crate::validate::FieldError;
use crate::{BackendTlsPolicy, BackendTlsPolicySpec, PolicyTargetReference, Resource, ResourceKey};

/// The policy reduced to the targets that can be read; `None` if none can.
pub(super) fn of(value: &Located, key: &ResourceKey, error: &FieldError) -> Option<Resource> {
    let targets = value.get("spec")?.get("targetRefs")?.list()?;
    let target_refs: Vec<_> = targets.iter().filter_map(target).collect();
    if target_refs.is_empty() {
        return None;
    }
    let refused = format!("the manifest is refused: {}: {}; {}", error.path, error.rule, error.remedy);
    let metadata = ObjectMeta {
        name: Some(key.name.clone()),
        namespace: Some(key.namespace.clone()),
        ..ObjectMeta::default()
    };
    let spec = BackendTlsPolicySpec { target_refs, refused: Some(Arc::from(refused)), ..Default::default() };
    Some(Resource::BackendTlsPolicy(Arc::new(BackendTlsPolicy { metadata, spec, ..Default::default() })))
}

/// A target by its name. What else is wrong with the reference is read as if it meant a Service: that refuses more,
/// never less.
fn target(value: &Located) -> Option<PolicyTargetReference> {
    let text = |field: &str| value.get(field).and_then(Located::text);
    Some(PolicyTargetReference {
        group: String::new(),
        kind: "Service".to_owned(),
        name: text("name")?.to_owned(),
        section_name: text("sectionName").map(str::to_owned),
    })
}
