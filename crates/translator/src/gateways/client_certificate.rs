//! The certificate a Gateway shows to its backends (GEP-3155).

use std::sync::Arc;

use lasthop_api_model::{Gateway, ResourceKind};
use lasthop_dataplane_api::ObjectName;
use lasthop_tls_verify::CertifiedKey;

use crate::{
    grants::{self, Referent, Referrer},
    index::Reader,
    problem::Problem,
    secrets,
};

/// The certificate a Gateway shows to backends that ask for one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum ClientCertificate {
    /// None was asked for.
    #[default]
    None,
    /// This one.
    Shown {
        /// Where it stands, such as `Secret shop/client`.
        reference: Arc<str>,
        /// The certificate.
        key: Arc<CertifiedKey>,
    },
    /// One was asked for and cannot be had: TLS backends of the Gateway are refused, since the operator wanted them
    /// to know who calls.
    Refused(Problem),
}

/// What `spec.tls.backend.clientCertificateRef` leads to.
pub(crate) fn backend_certificate(
    reader: &Reader<'_>,
    gateway: &Gateway,
    own: &ObjectName,
) -> ClientCertificate {
    let Some(reference) = gateway
        .spec
        .tls
        .as_ref()
        .and_then(|tls| tls.backend.as_ref())
        .and_then(|backend| backend.client_certificate_ref.as_ref())
    else {
        return ClientCertificate::None;
    };
    let field = "spec.tls.backend.clientCertificateRef";
    let namespace = reference.namespace.as_deref().unwrap_or(&own.namespace);
    let from = Referrer { kind: ResourceKind::Gateway, namespace: &own.namespace };
    let to = Referent { group: &reference.group, kind: &reference.kind, namespace, name: &reference.name };
    if !grants::allows(reader, from, to) {
        let message = format!("{field}: {}", grants::remedy(from, to));
        return ClientCertificate::Refused(Problem::new("RefNotPermitted", message));
    }
    let refused = |message: String| {
        ClientCertificate::Refused(Problem::new("InvalidClientCertificateRef", format!("{field}: {message}")))
    };
    if !reference.group.is_empty() || reference.kind != "Secret" {
        return refused(format!("kind {} holds no certificate; name a Secret", reference.kind));
    }
    let name = ObjectName::new(namespace, reference.name.as_str());
    match secrets::certified_key(reader, &name) {
        Ok(key) => ClientCertificate::Shown { reference: format!("Secret {name}").into(), key },
        Err(message) => refused(message),
    }
}
