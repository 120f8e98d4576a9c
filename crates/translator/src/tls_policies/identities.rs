//! Who a backend must prove to be.

use lasthop_api_model::SubjectAltNameType;
use lasthop_tls_verify::{DnsName, Identity};

use super::Validation;
use crate::problem::Problem;

/// The name of the policy's `hostname`. An address is none: RFC 6066 §3 knows no literal in SNI.
pub(super) fn hostname(validation: Validation<'_>) -> Result<DnsName, Problem> {
    validation.wanted.hostname.parse().map_err(|error| {
        Problem::new(
            "Invalid",
            format!(
                "{}.hostname: {error}; for an address write a name here and lasthop.dev/subject-ip-sans in the \
                 spec.options of a BackendTLSPolicy",
                validation.field
            ),
        )
    })
}

/// The identities of `subjectAltNames`. With any of them, `hostname` is for SNI only, unless an option requires it.
pub(super) fn subject_alt_names(validation: Validation<'_>) -> Result<Vec<Identity>, Problem> {
    let invalid = |index, message: String| {
        Problem::new("Invalid", format!("{}.subjectAltNames[{index}]: {message}", validation.field))
    };
    let mut identities = Vec::new();
    for (index, name) in validation.wanted.subject_alt_names.iter().enumerate() {
        let parsed = match &name.r#type {
            SubjectAltNameType::Hostname => Identity::dns(name.hostname.as_deref().unwrap_or_default()),
            SubjectAltNameType::Uri => Identity::uri(name.uri.as_deref().unwrap_or_default()),
            SubjectAltNameType::Other(text) => {
                let known = SubjectAltNameType::KNOWN.join(", ");
                return Err(invalid(index, format!("type {text} is not known; use one of {known}")));
            }
        };
        identities.push(parsed.map_err(|error| invalid(index, error.to_string()))?);
    }
    Ok(identities)
}
