//! The verdict the API server would give, rule by rule.
//!
//! Where the two channels of v1.7.0 differ, a field passes when either would take it, with one exception: what only
//! makes sense with kinds of the experimental channel (an XBackend or a ClusterTrustBundle as a target) follows that
//! channel's rules. So `caCertificateRefs: []` beside `wellKnownCACertificates` passes, as do header values that the
//! experimental channel alone restricts (see [`is_field_value`]) and parents that differ in the port alone.
//!
//! Rules between two versions of an object (a GatewayClass's `controllerName` is immutable) are not looked at.

mod backend_tls_policy;
mod cluster_trust_bundle;
mod config_map;
mod endpoint_slice;
mod external_auth;
mod filters;
mod gateway;
mod gateway_class;
mod grpc_route;
mod http_path;
mod http_route;
mod http_route_filters;
mod listener;
mod listener_set;
mod metadata;
mod namespace;
mod parent_refs;
pub(crate) mod patterns;
mod reference_grant;
mod references;
#[cfg(test)]
pub(crate) mod samples;
mod secret;
mod service;
mod session_persistence;
mod status;
mod stream_routes;
mod xbackend;

use std::fmt;
use std::sync::LazyLock;

pub use patterns::is_field_value;

use crate::schema::check::{fill_defaults, find_errors};
use crate::schema::path::FieldPath;
use crate::schema::{Field, Schema, Shape, object, optional, required, text};
use crate::{Resource, ResourceKind};

/// Something an object must not be, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldError {
    /// Where.
    pub path: FieldPath,
    /// What is wrong.
    pub rule: String,
    /// What to do about it.
    pub remedy: String,
}

impl FieldError {
    pub(crate) fn new(path: &FieldPath, rule: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { path: path.clone(), rule: rule.into(), remedy: remedy.into() }
    }

    /// The field, such as `spec.rules[0].name`.
    pub fn field(&self) -> String {
        self.path.to_string()
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.rule, self.remedy)
    }
}

/// What the API server would refuse in this object; empty when it would take it.
///
/// Status is left out: a write to an object does not look at it.
pub fn validate(resource: &Resource) -> Vec<FieldError> {
    let mut json = match resource.to_json() {
        Ok(json) => json,
        Err(error) => {
            let rule = format!("cannot be written as JSON: {error}");
            return vec![FieldError::new(&FieldPath::root(), rule, "give it in the form the API has")];
        }
    };
    let kind = KindSchema::of(resource.kind(), resource.kind().version());
    kind.take_status(&mut json);
    kind.check(&mut json)
}

/// The schema of one kind in one version.
pub(crate) struct KindSchema {
    body: Schema,
    status: Option<Schema>,
}

impl KindSchema {
    fn new(metadata: Schema, spec: Schema) -> Self {
        Self::with_fields(metadata, [required("spec", spec)])
    }

    fn with_fields(metadata: Schema, fields: impl IntoIterator<Item = Field>) -> Self {
        let common =
            [optional("apiVersion", text()), optional("kind", text()), required("metadata", metadata)];
        Self { body: object(common.into_iter().chain(fields)), status: None }
    }

    fn status(mut self, status: Schema) -> Self {
        self.status = Some(status);
        self
    }

    fn rule(mut self, rule: crate::schema::Rule) -> Self {
        self.body = self.body.rule(rule);
        self
    }

    /// Fills in the defaults and gives every error.
    pub(crate) fn check(&self, json: &mut serde_json::Value) -> Vec<FieldError> {
        fill_defaults(&self.body, json);
        let mut errors = Vec::new();
        find_errors(&self.body, json, &FieldPath::root(), &mut errors);
        errors
    }

    /// Takes the status out of an object, when it is of a kind that has one.
    pub(crate) fn take_status(&self, json: &mut serde_json::Value) -> Option<serde_json::Value> {
        let object = json.as_object_mut()?;
        self.status.as_ref().and_then(|_| object.remove("status")).filter(|status| !status.is_null())
    }

    /// Fills in the defaults of a status and gives every error in it.
    pub(crate) fn check_status(&self, status: &mut serde_json::Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let Some(schema) = &self.status {
            fill_defaults(schema, status);
            find_errors(schema, status, &FieldPath::root().then("status"), &mut errors);
        }
        errors
    }

    /// Whether messages must not repeat values found in the object.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(&self.body.shape, Shape::Object(fields) if fields.iter().any(|field| field.schema.secret))
    }

    #[cfg(test)]
    pub(crate) fn body(&self) -> &Schema {
        &self.body
    }

    #[cfg(test)]
    pub(crate) fn status_schema(&self) -> Option<&Schema> {
        self.status.as_ref()
    }

    /// The schema of a kind, in a version that [`served_versions`] has.
    pub(crate) fn of(kind: ResourceKind, version: &str) -> &'static Self {
        macro_rules! built {
            ($build:expr) => {{
                static BUILT: LazyLock<KindSchema> = LazyLock::new(|| $build);
                &BUILT
            }};
        }
        match (kind, version) {
            (ResourceKind::GatewayClass, _) => built!(gateway_class::schema()),
            (ResourceKind::Gateway, _) => built!(gateway::schema()),
            (ResourceKind::ListenerSet, _) => built!(listener_set::schema()),
            (ResourceKind::HttpRoute, _) => built!(http_route::schema()),
            (ResourceKind::GrpcRoute, _) => built!(grpc_route::schema()),
            (ResourceKind::TlsRoute, "v1alpha2") => built!(stream_routes::tls_route_v1alpha2()),
            (ResourceKind::TlsRoute, _) => built!(stream_routes::tls_route()),
            (ResourceKind::TcpRoute | ResourceKind::UdpRoute, "v1alpha2") => {
                built!(stream_routes::stream_route_v1alpha2())
            }
            (ResourceKind::TcpRoute | ResourceKind::UdpRoute, _) => built!(stream_routes::stream_route()),
            (ResourceKind::ReferenceGrant, _) => built!(reference_grant::schema()),
            (ResourceKind::BackendTlsPolicy, _) => built!(backend_tls_policy::schema()),
            (ResourceKind::XBackend, _) => built!(xbackend::schema()),
            (ResourceKind::Service, _) => built!(service::schema()),
            (ResourceKind::EndpointSlice, _) => built!(endpoint_slice::schema()),
            (ResourceKind::Secret, _) => built!(secret::schema()),
            (ResourceKind::ConfigMap, _) => built!(config_map::schema()),
            (ResourceKind::Namespace, _) => built!(namespace::schema()),
            (ResourceKind::ClusterTrustBundle, _) => built!(cluster_trust_bundle::schema()),
        }
    }
}

/// The versions of a kind we read, the newest first.
pub(crate) fn served_versions(kind: ResourceKind) -> &'static [&'static str] {
    match kind {
        ResourceKind::GatewayClass
        | ResourceKind::Gateway
        | ResourceKind::HttpRoute
        | ResourceKind::ReferenceGrant => &["v1", "v1beta1"],
        ResourceKind::TlsRoute => &["v1", "v1alpha3", "v1alpha2"],
        ResourceKind::TcpRoute | ResourceKind::UdpRoute => &["v1", "v1alpha2"],
        ResourceKind::BackendTlsPolicy => &["v1", "v1alpha3"],
        ResourceKind::XBackend => &["v1alpha1"],
        _ => &["v1"],
    }
}

#[cfg(test)]
mod tests;
