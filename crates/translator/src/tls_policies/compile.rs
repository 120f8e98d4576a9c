//! A BackendTLSPolicy by itself, and what it shares with an XBackend's TLS.

use std::{collections::BTreeMap, sync::Arc};

use lasthop_api_model::{BackendTlsPolicy, BackendTlsPolicyValidation, ResourceKey, ResourceKind};
use lasthop_dataplane_api::{ObjectName, Sni, UpstreamTlsPolicy, UpstreamTlsSettings};
use lasthop_tls_verify::{Identity, PeerRequirements};

use super::{
    Compiled, PolicyOutcome, identities,
    options::{self, Applied},
    targets,
    trust::{self, Trust},
};
use crate::{authorities::CA_KEY, index::Reader, names, problem::Problem};

/// What a backend must prove, and where that is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validation<'a> {
    /// The object it stands in.
    pub key: &'a ResourceKey,
    /// The field, for messages.
    pub field: &'a str,
    /// What is written there.
    pub wanted: &'a BackendTlsPolicyValidation,
}

/// What comes of a policy by itself; `None` when there is none.
pub(crate) fn translate(reader: &Reader<'_>, name: &ObjectName) -> Option<PolicyOutcome> {
    let policy = reader.object::<BackendTlsPolicy>(name)?;
    let key = names::key(ResourceKind::BackendTlsPolicy, name);
    let targets = targets::resolve(reader, policy, &key);
    if let Some(why) = &policy.spec.refused {
        let compiled = Err(Problem::new("Invalid", why.to_string()));
        return Some(PolicyOutcome { targets, unresolved: None, compiled });
    }
    let validation = Validation { key: &key, field: "spec.validation", wanted: &policy.spec.validation };
    let trust = match options::ca_keys(policy) {
        Ok(keys) => trust::resolve(reader, validation, &keys),
        Err(problem) => Trust { anchors: Err(problem), authorities: Vec::new(), unresolved: None },
    };
    let unresolved = trust.unresolved.clone();
    let compiled = settings(validation, trust).and_then(|(mut settings, authorities)| {
        let applied = options::apply(reader, &key, &policy.spec.options, &mut settings)?;
        finish(validation, name.to_string(), settings, applied, authorities)
    });
    Some(PolicyOutcome { targets, unresolved, compiled })
}

/// What a validation without options means, and what is wrong with some of its references. `more` adds to the settings
/// and says where a client certificate of its own stands.
pub(crate) fn compile(
    reader: &Reader<'_>,
    validation: Validation<'_>,
    source: String,
    more: impl FnOnce(&mut UpstreamTlsSettings) -> Option<Arc<str>>,
) -> (Result<Compiled, Problem>, Option<Problem>) {
    let trust = trust::resolve(reader, validation, &[CA_KEY]);
    let unresolved = trust.unresolved.clone();
    let compiled = settings(validation, trust).and_then(|(mut settings, authorities)| {
        let mut applied = options::apply(reader, validation.key, &BTreeMap::new(), &mut settings)?;
        applied.own_certificate = more(&mut settings);
        finish(validation, source, settings, applied, authorities)
    });
    (compiled, unresolved)
}

type Authorities = Vec<(Arc<str>, usize)>;

fn settings(validation: Validation<'_>, trust: Trust) -> Result<(UpstreamTlsSettings, Authorities), Problem> {
    let anchors = trust.anchors?;
    let hostname = identities::hostname(validation)?;
    let peer = PeerRequirements::new(anchors, identities::subject_alt_names(validation)?);
    Ok((UpstreamTlsSettings::new(peer, Sni::Name(hostname)), trust.authorities))
}

fn finish(
    validation: Validation<'_>,
    source: String,
    mut settings: UpstreamTlsSettings,
    applied: Applied,
    authorities: Authorities,
) -> Result<Compiled, Problem> {
    let Applied { own_certificate, require_hostname } = applied;
    let hostname = Identity::Dns(identities::hostname(validation)?);
    if settings.peer.identities.is_empty() {
        settings.peer.identities.push(hostname);
    } else if require_hostname {
        settings.peer.required.push(hostname);
    }
    Ok(Compiled { policy: Arc::new(UpstreamTlsPolicy::new(source, settings)), own_certificate, authorities })
}
