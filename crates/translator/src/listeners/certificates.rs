//! The certificates a listener shows.

use std::sync::Arc;

use lasthop_api_model::{ListenerTlsConfig, TlsMode};
use lasthop_dataplane_api::ObjectName;
use lasthop_tls_verify::CertifiedKey;

use super::Draft;
use crate::{
    grants::{self, Referent, Referrer},
    index::Reader,
    problem::Problem,
    secrets,
    tls_policies::OPTION_PREFIX,
};

/// The certificates of an HTTPS listener or of a TLS listener that terminates, in the order they are named; those that
/// cannot be used become problems of the listener, and the others serve.
pub(super) fn resolve(reader: &Reader<'_>, draft: &mut Draft<'_>) -> Vec<Arc<CertifiedKey>> {
    let Some(tls) = &draft.spec.tls else {
        draft.outcome.unresolved.push(Problem::new(
            "InvalidCertificateRef",
            "tls is missing; a listener that terminates TLS needs tls.certificateRefs with a Secret of type \
             kubernetes.io/tls",
        ));
        return Vec::new();
    };
    if tls.certificate_refs.is_empty() {
        draft.outcome.unresolved.push(Problem::new(
            "InvalidCertificateRef",
            "tls.certificateRefs is empty; name a Secret of type kubernetes.io/tls",
        ));
    }
    let mut certificates = Vec::new();
    for (index, reference) in tls.certificate_refs.iter().enumerate() {
        let field = format!("tls.certificateRefs[{index}]");
        let own = draft.owner_namespace();
        let namespace = reference.namespace.as_deref().unwrap_or(own);
        let from = Referrer { kind: draft.owner_kind(), namespace: own };
        let (group, kind, name) = (&*reference.group, &*reference.kind, &*reference.name);
        let to = Referent { group, kind, namespace, name };
        let found = if !grants::allows(reader, from, to) {
            Err(Problem::new("RefNotPermitted", format!("{field}: {}", grants::remedy(from, to))))
        } else if !group.is_empty() || kind != "Secret" {
            let message = format!("{field}: kind {kind} holds no certificate; name a Secret");
            Err(Problem::new("InvalidCertificateRef", message))
        } else {
            secrets::served_key(reader, &ObjectName::new(namespace, name))
                .map_err(|message| Problem::new("InvalidCertificateRef", format!("{field}: {message}")))
        };
        match found {
            Ok(key) => certificates.push(key),
            Err(problem) => draft.outcome.unresolved.push(problem),
        }
    }
    certificates
}

/// What a listener's `tls` asks for that cannot be done; `modes` are those that fit its protocol.
pub(super) fn unsupported(tls: &ListenerTlsConfig, modes: &[TlsMode]) -> Option<Problem> {
    if !modes.contains(&tls.mode) {
        let fitting: Vec<String> = modes.iter().map(ToString::to_string).collect();
        let message =
            format!("tls.mode: {} does not fit the protocol; use {}", tls.mode, fitting.join(" or "));
        return Some(Problem::new("UnsupportedValue", message));
    }
    let option = tls.options.keys().find(|key| key.starts_with(OPTION_PREFIX))?;
    let message = format!("tls.options: {option} is not known; listeners have no options, remove it");
    Some(Problem::new("UnsupportedValue", message))
}
