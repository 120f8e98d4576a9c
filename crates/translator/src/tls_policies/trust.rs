//! The trust anchors of a policy.

use std::sync::Arc;

use lasthop_api_model::WellKnownCaCertificates;
use lasthop_tls_verify::TrustAnchors;

use super::Validation;
use crate::{
    authorities::{self, AuthorityError, AuthorityRef},
    index::Reader,
    problem::{Problem, messages},
};

/// What a policy trusts.
#[derive(Debug)]
pub(super) struct Trust {
    /// The anchors, or why there are none.
    pub anchors: Result<Arc<TrustAnchors>, Problem>,
    /// Where they come from, and how many there are.
    pub authorities: Vec<(Arc<str>, usize)>,
    /// What is wrong with some of the references.
    pub unresolved: Option<Problem>,
}

/// The anchors of a validation: all those of its references together, from the first of `keys` that exists in each, or
/// the system's.
///
/// References that cannot be used are reported; the policy is honoured with the others, because trust in fewer CAs
/// accepts no peer that trust in all of them would refuse. Without any that can be used the policy is refused.
pub(super) fn resolve(reader: &Reader<'_>, of: Validation<'_>, keys: &[&str]) -> Trust {
    let Validation { key, field: place, wanted: validation } = of;
    if validation.ca_certificate_refs.is_empty()
        && let Some(well_known) = &validation.well_known_ca_certificates
    {
        return well_known_anchors(reader, well_known, place);
    }
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for (index, reference) in validation.ca_certificate_refs.iter().enumerate() {
        let field = format!("{place}.caCertificateRefs[{index}]");
        let (group, kind, name) = (&*reference.group, &*reference.kind, &*reference.name);
        let to = AuthorityRef { group, kind, namespace: &key.namespace, name };
        match authorities::resolve(reader, to, key, &field, keys) {
            Ok(authority) => found.push(authority),
            Err(error @ AuthorityError::Kind(_)) => {
                problems.push(Problem::new("InvalidKind", error.message()))
            }
            Err(error @ AuthorityError::Content(_)) => {
                problems
                    .push(Problem::new("InvalidCACertificateRef", format!("{field}: {}", error.message())));
            }
        }
    }
    let unresolved = problems.first().map(|first| Problem::new(first.reason, messages(&problems)));
    let anchors = if found.is_empty() {
        Err(unresolved.as_ref().map_or_else(
            || Problem::new("NoValidCACertificate", format!("{place} names no CA certificate")),
            |problem| Problem::new("NoValidCACertificate", problem.message.clone()),
        ))
    } else {
        authorities::union(reader, &found).map_err(|message| Problem::new("NoValidCACertificate", message))
    };
    let authorities = found
        .iter()
        .map(|authority| (authority.reference.clone(), authority.anchors.certificates().len()))
        .collect();
    Trust { anchors, authorities, unresolved }
}

fn well_known_anchors(reader: &Reader<'_>, well_known: &WellKnownCaCertificates, place: &str) -> Trust {
    let field = format!("{place}.wellKnownCACertificates");
    let anchors = match well_known {
        WellKnownCaCertificates::System => reader
            .cache()
            .system(&reader.options.system_anchors)
            .map_err(|why| Problem::new("Invalid", format!("{field}: the system's trust store: {why}"))),
        WellKnownCaCertificates::Other(text) => {
            let message = format!(
                "{field}: {text} is not known; use one of {}",
                WellKnownCaCertificates::KNOWN.join(", ")
            );
            Err(Problem::new("Invalid", message))
        }
    };
    let count = anchors.as_ref().map_or(0, |anchors| anchors.certificates().len());
    Trust { anchors, authorities: vec![("System".into(), count)], unresolved: None }
}
