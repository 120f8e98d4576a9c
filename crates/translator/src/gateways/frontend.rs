//! What a Gateway asks of its clients (GEP-91).

use std::sync::Arc;

use lasthop_api_model::{
    FrontendTlsValidation, FrontendValidationMode, Gateway, ObjectReference, ResourceKey, ResourceKind,
};
use lasthop_dataplane_api::{ClientValidation, ClientValidationMode, ObjectName};

use crate::{
    authorities::{self, Authority, AuthorityError, AuthorityRef},
    grants::{self, Referent, Referrer},
    index::Reader,
    names,
    problem::{Problem, messages},
};

/// What is asked of the clients of one HTTPS port.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Frontend {
    /// How their certificates are verified.
    pub validation: Option<ClientValidation>,
    /// Why it cannot be done as asked: the listener must not serve.
    pub refused: Option<Problem>,
    /// What is wrong with some of the references.
    pub unresolved: Option<Problem>,
}

/// What `spec.tls.frontend` says about a port: an entry for the port replaces the default, also by nothing.
pub(crate) fn frontend_of(reader: &Reader<'_>, gateway: &Gateway, own: &ObjectName, port: u16) -> Frontend {
    let Some(frontend) = gateway.spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref()) else {
        return Frontend::default();
    };
    let per_port = frontend.per_port.iter().position(|entry| entry.port == port);
    let (validation, field) = match per_port.and_then(|index| Some((index, frontend.per_port.get(index)?))) {
        Some((index, entry)) => {
            (&entry.tls.validation, format!("spec.tls.frontend.perPort[{index}].tls.validation"))
        }
        None => (&frontend.default.validation, "spec.tls.frontend.default.validation".to_owned()),
    };
    validation.as_ref().map_or_else(Frontend::default, |v| verification(reader, v, own, &field))
}

/// Whether some port lets clients in without a valid certificate.
pub(super) fn is_insecure(gateway: &Gateway) -> bool {
    let Some(frontend) = gateway.spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref()) else {
        return false;
    };
    let ports = frontend.per_port.iter().map(|entry| &entry.tls);
    std::iter::once(&frontend.default)
        .chain(ports)
        .filter_map(|tls| tls.validation.as_ref())
        .any(|validation| validation.mode == FrontendValidationMode::AllowInsecureFallback)
}

fn verification(
    reader: &Reader<'_>,
    validation: &FrontendTlsValidation,
    own: &ObjectName,
    field: &str,
) -> Frontend {
    let mode = match &validation.mode {
        FrontendValidationMode::AllowValidOnly => ClientValidationMode::AllowValidOnly,
        FrontendValidationMode::AllowInsecureFallback => ClientValidationMode::AllowInsecureFallback,
        FrontendValidationMode::Other(text) => {
            let message = format!(
                "{field}.mode: {text} is not known; use one of {}",
                FrontendValidationMode::KNOWN.join(", ")
            );
            let refused = Some(Problem::new("UnsupportedValue", message));
            return Frontend { refused, ..Frontend::default() };
        }
    };
    let referrer = names::key(ResourceKind::Gateway, own);
    let mut found: Vec<Authority> = Vec::new();
    let mut problems = Vec::new();
    for (index, reference) in validation.ca_certificate_refs.iter().enumerate() {
        let field = format!("{field}.caCertificateRefs[{index}]");
        match authority(reader, reference, own, &referrer, &field) {
            Ok(authority) => found.push(authority),
            Err(problem) => problems.push(problem),
        }
    }
    let unresolved = problems.first().map(|first| Problem::new(first.reason, messages(&problems)));
    if found.is_empty() {
        let message = if problems.is_empty() {
            format!("{field}.caCertificateRefs is empty; name at least one ConfigMap with the key ca.crt")
        } else {
            messages(&problems)
        };
        let refused = Some(Problem::new("NoValidCACertificate", message));
        return Frontend { validation: None, refused, unresolved };
    }
    match authorities::union(reader, &found) {
        Ok(anchors) => Frontend {
            validation: Some(ClientValidation { anchors: Arc::clone(&anchors), mode }),
            refused: None,
            unresolved,
        },
        Err(message) => Frontend {
            validation: None,
            refused: Some(Problem::new("NoValidCACertificate", format!("{field}: {message}"))),
            unresolved,
        },
    }
}

fn authority(
    reader: &Reader<'_>,
    reference: &ObjectReference,
    own: &ObjectName,
    referrer: &ResourceKey,
    field: &str,
) -> Result<Authority, Problem> {
    let namespace = match reference.namespace.as_deref() {
        Some(namespace) if !authorities::is_cluster_scoped(&reference.group, &reference.kind) => namespace,
        _ => &own.namespace,
    };
    let from = Referrer { kind: ResourceKind::Gateway, namespace: &own.namespace };
    let (group, kind, name) = (&*reference.group, &*reference.kind, &*reference.name);
    let to = Referent { group, kind, namespace, name };
    if !grants::allows(reader, from, to) {
        return Err(Problem::new("RefNotPermitted", format!("{field}: {}", grants::remedy(from, to))));
    }
    let to = AuthorityRef { group, kind, namespace, name };
    authorities::resolve(reader, to, referrer, field, &[authorities::CA_KEY]).map_err(|error| {
        let reason = match error {
            AuthorityError::Kind(_) => "InvalidCACertificateKind",
            AuthorityError::Content(_) => "InvalidCACertificateRef",
        };
        Problem::new(reason, error.message())
    })
}
