//! Turns one value of a file into an object, or says why it is none.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::located::Located;
use super::{MAX_PROBLEMS, Origin, PassedOver, Problem, Reader, finish, refused_policy};
use crate::schema::path::FieldPath;
use crate::schema::suggest::nearest;
use crate::validate::{FieldError, KindSchema, served_versions};
use crate::{Resource, ResourceKey, ResourceKind, ResourceType};

/// What an API server takes in one request.
const MAX_OBJECT_WEIGHT: usize = 3 * 1024 * 1024;

/// Reads an object or a list of objects. Entries of a typed list may lack `apiVersion` and `kind`.
pub(super) fn read(reader: &mut Reader, value: &Located, list_of: Option<(&str, &str)>) {
    let text = |field: &str| value.get(field).and_then(Located::text).filter(|text| !text.is_empty());
    let (api_version, kind) = match (text("apiVersion"), text("kind"), list_of) {
        (Some(api_version), Some(kind), _) => (api_version, kind),
        (None, None, Some(inherited)) => inherited,
        (api_version, ..) => {
            let missing = if api_version.is_none() { "apiVersion" } else { "kind" };
            let message = format!("has no {missing}");
            reader.document_problem(
                value.line,
                value.column,
                message,
                "give apiVersion and kind, as for kubectl",
            );
            return;
        }
    };
    if let (Some(entry_kind), Some(entries)) =
        (kind.strip_suffix("List"), value.get("items").and_then(Located::list))
    {
        let inherited = (!entry_kind.is_empty()).then_some((api_version, entry_kind));
        entries.iter().for_each(|entry| reader.read_value(entry, inherited));
        return;
    }
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let Some(known) = ResourceKind::find(group, kind) else {
        let same_group = ResourceKind::ALL.iter().filter(|known| known.group() == group);
        let meant = match nearest(kind, same_group.map(|known| known.as_str())) {
            Some(near) => format!("; did you mean {near}?"),
            None => String::new(),
        };
        let reason = format!("{api_version} {kind} is not a kind this gateway reads{meant}");
        let object = name_of(value, kind, true);
        pass_over(reader, value, object, reason);
        return;
    };
    let object = Object { value, kind: known, name: name_of(value, kind, known.is_namespaced()) };
    object.read(reader, version, api_version);
}

/// The object as messages call it.
fn name_of(value: &Located, kind: &str, namespaced: bool) -> String {
    let metadata = value.get("metadata");
    let text = |field: &str| metadata.and_then(|metadata| metadata.get(field)).and_then(Located::text);
    let shown = |text: &str| text.chars().take(253).collect::<String>().escape_debug().to_string();
    match (text("namespace"), text("name")) {
        (_, None) => format!("{} without a name", shown(kind)),
        (Some(namespace), Some(name)) => format!("{} {}/{}", shown(kind), shown(namespace), shown(name)),
        (None, Some(name)) if namespaced => format!("{} default/{}", shown(kind), shown(name)),
        (None, Some(name)) => format!("{} {}", shown(kind), shown(name)),
    }
}

fn pass_over(reader: &mut Reader, value: &Located, object: String, reason: String) {
    let origin = Origin { file: Arc::clone(&reader.file), line: value.line };
    reader.outcome.passed_over.push(PassedOver { origin, object, reason });
}

struct Object<'a> {
    value: &'a Located,
    kind: ResourceKind,
    name: String,
}

impl Object<'_> {
    fn read(&self, reader: &mut Reader, version: &str, api_version: &str) {
        let Some(version) = served_versions(self.kind).iter().find(|&&served| served == version) else {
            let versions = served_versions(self.kind).join(", ");
            let path = FieldPath::root().then("apiVersion");
            let rule = format!("{} is not served as \"{api_version}\"", self.kind);
            self.refuse(
                reader,
                &[FieldError::new(&path, rule, format!("use one of the versions {versions}"))],
            );
            return;
        };
        if self.value.weight() > MAX_OBJECT_WEIGHT {
            let root = FieldPath::root();
            self.refuse(reader, &[FieldError::new(&root, "the object is larger than 3 MiB", "split it")]);
            return;
        }
        let mut repeated = Vec::new();
        self.value.repeated_keys(&FieldPath::root(), &mut repeated);
        for (index, (path, line, column)) in repeated.iter().take(MAX_PROBLEMS).enumerate() {
            let error = FieldError::new(path, "the field is given twice", "keep one of the two");
            self.problem(reader, (*line, *column), &error);
            if index == 0 {
                self.keep_claims(reader, &error);
            }
        }
        if !repeated.is_empty() {
            return;
        }
        let schema = KindSchema::of(self.kind, version);
        let mut json = self.value.to_json();
        let status = schema.take_status(&mut json);
        let errors = schema.check(&mut json);
        if !errors.is_empty() {
            self.refuse(reader, &errors);
            return;
        }
        if let Some(status) = status.and_then(|status| self.sound_status(reader, schema, status))
            && let Some(object) = json.as_object_mut()
        {
            object.insert("status".to_owned(), status);
        }
        finish::finish(self.kind, &mut json);
        match into_resource(self.kind, json) {
            Ok(resource) => self.accept(reader, resource),
            Err(_) if schema.is_secret() => {
                let root = FieldPath::root();
                self.refuse(
                    reader,
                    &[FieldError::new(&root, "does not have the form of its kind", "correct it")],
                );
            }
            Err(error) => {
                let path = from_serde(error.path());
                self.refuse(
                    reader,
                    &[FieldError::new(&path, error.inner().to_string(), "correct the value")],
                );
            }
        }
    }

    /// The status when it follows its schema; otherwise nothing, with a note.
    fn sound_status(&self, reader: &mut Reader, schema: &KindSchema, mut status: Value) -> Option<Value> {
        let errors = schema.check_status(&mut status);
        let Some(first) = errors.first() else { return Some(status) };
        let reason = format!("its status is left out: {}: {}", first.path, first.rule);
        pass_over(reader, self.value, self.name.clone(), reason);
        None
    }

    fn accept(&self, reader: &mut Reader, resource: Resource) {
        let line = self.value.line;
        let key = resource.key();
        if let Some(first) = reader.first_lines.get(&key) {
            let rule = format!("the object is in this file already, at line {first}, which counts");
            let path = FieldPath::root().then("metadata").then("name");
            self.refuse(reader, &[FieldError::new(&path, rule, "take one of the two out, or rename it")]);
            return;
        }
        reader.first_lines.insert(key, line);
        reader.outcome.objects.push((resource, Origin { file: Arc::clone(&reader.file), line }));
    }

    fn refuse(&self, reader: &mut Reader, errors: &[FieldError]) {
        let shown = if errors.len() > MAX_PROBLEMS { MAX_PROBLEMS - 1 } else { errors.len() };
        for error in errors.iter().take(shown) {
            self.problem(reader, self.value.place_of(&error.path), error);
        }
        if errors.len() > shown {
            let rule = format!("has {} more problems", errors.len() - shown);
            let more = FieldError::new(&FieldPath::root(), rule, "correct those above first");
            self.problem(reader, (self.value.line, self.value.column), &more);
        }
        if let Some(first) = errors.first() {
            self.keep_claims(reader, first);
        }
    }

    /// A policy that is refused still says whom it was meant for.
    fn keep_claims(&self, reader: &mut Reader, error: &FieldError) {
        let Some(key) = self.key().filter(|key| {
            key.kind == ResourceKind::BackendTlsPolicy && !reader.first_lines.contains_key(key)
        }) else {
            return;
        };
        if let Some(policy) = refused_policy::of(self.value, &key, error) {
            let origin = Origin { file: Arc::clone(&reader.file), line: self.value.line };
            reader.outcome.refused_policies.push((policy, origin));
        }
    }

    fn problem(&self, reader: &mut Reader, (line, column): (usize, usize), error: &FieldError) {
        reader.outcome.problems.push(Problem {
            file: Arc::clone(&reader.file),
            line,
            column,
            key: self.key(),
            object: self.name.clone(),
            field: error.path.to_string(),
            message: error.rule.clone(),
            remedy: error.remedy.clone(),
        });
    }

    fn key(&self) -> Option<ResourceKey> {
        let metadata = self.value.get("metadata")?;
        let name = metadata.get("name").and_then(Located::text)?;
        let namespace = match metadata.get("namespace").and_then(Located::text) {
            _ if !self.kind.is_namespaced() => "",
            Some(namespace) if !namespace.is_empty() => namespace,
            _ => finish::DEFAULT_NAMESPACE,
        };
        Some(ResourceKey::new(self.kind, namespace, name))
    }
}

fn from_serde(path: &serde_path_to_error::Path) -> FieldPath {
    use serde_path_to_error::Segment;
    path.iter().fold(FieldPath::root(), |path, segment| match segment {
        Segment::Seq { index } => path.then(*index),
        Segment::Map { key } => path.then(key.as_str()),
        Segment::Enum { variant } => path.then(variant.as_str()),
        Segment::Unknown => path,
    })
}

pub(super) type TypedError = serde_path_to_error::Error<serde_json::Error>;

fn typed<T: ResourceType + DeserializeOwned>(json: Value) -> Result<Resource, TypedError> {
    serde_path_to_error::deserialize::<_, T>(json).map(|object| Arc::new(object).into_resource())
}

pub(super) fn into_resource(kind: ResourceKind, json: Value) -> Result<Resource, TypedError> {
    match kind {
        ResourceKind::GatewayClass => typed::<crate::GatewayClass>(json),
        ResourceKind::Gateway => typed::<crate::Gateway>(json),
        ResourceKind::ListenerSet => typed::<crate::ListenerSet>(json),
        ResourceKind::HttpRoute => typed::<crate::HttpRoute>(json),
        ResourceKind::GrpcRoute => typed::<crate::GrpcRoute>(json),
        ResourceKind::TlsRoute => typed::<crate::TlsRoute>(json),
        ResourceKind::TcpRoute => typed::<crate::TcpRoute>(json),
        ResourceKind::UdpRoute => typed::<crate::UdpRoute>(json),
        ResourceKind::ReferenceGrant => typed::<crate::ReferenceGrant>(json),
        ResourceKind::BackendTlsPolicy => typed::<crate::BackendTlsPolicy>(json),
        ResourceKind::XBackend => typed::<crate::XBackend>(json),
        ResourceKind::Service => typed::<crate::Service>(json),
        ResourceKind::EndpointSlice => typed::<crate::EndpointSlice>(json),
        ResourceKind::Secret => typed::<crate::Secret>(json),
        ResourceKind::ConfigMap => typed::<crate::ConfigMap>(json),
        ResourceKind::Namespace => typed::<crate::Namespace>(json),
        ResourceKind::ClusterTrustBundle => typed::<crate::ClusterTrustBundle>(json),
    }
}
