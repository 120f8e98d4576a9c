//! A BackendTLSPolicy by itself.

use std::sync::Arc;

use lasthop_api_model::{BackendTlsPolicy, ResourceKey, ResourceKind};
use lasthop_dataplane_api::{ObjectName, Sni, UpstreamTlsPolicy, UpstreamTlsSettings};
use lasthop_tls_verify::{Identity, PeerRequirements, TrustAnchors};

use super::{
    Compiled, PolicyOutcome, identities,
    options::{self, Applied},
    targets, trust,
};
use crate::{index::Reader, names, problem::Problem};

/// What comes of a policy by itself; `None` when there is none.
pub(crate) fn translate(reader: &Reader<'_>, name: &ObjectName) -> Option<PolicyOutcome> {
    let policy = reader.object::<BackendTlsPolicy>(name)?;
    let key = names::key(ResourceKind::BackendTlsPolicy, name);
    let targets = targets::resolve(reader, policy, &key);
    if let Some(why) = &policy.spec.refused {
        let compiled = Err(Problem::new("Invalid", why.to_string()));
        return Some(PolicyOutcome { targets, unresolved: None, compiled });
    }
    let trust = trust::resolve(reader, policy, &key);
    let compiled =
        trust.anchors.and_then(|anchors| compile(reader, policy, &key, anchors, trust.authorities));
    Some(PolicyOutcome { targets, unresolved: trust.unresolved, compiled })
}

fn compile(
    reader: &Reader<'_>,
    policy: &BackendTlsPolicy,
    key: &ResourceKey,
    anchors: Arc<TrustAnchors>,
    authorities: Vec<(Arc<str>, usize)>,
) -> Result<Compiled, Problem> {
    let validation = &policy.spec.validation;
    let hostname = identities::hostname(validation)?;
    let mut settings = UpstreamTlsSettings::new(
        PeerRequirements::new(anchors, identities::subject_alt_names(validation)?),
        Sni::Name(hostname.clone()),
    );
    let Applied { own_certificate, require_hostname } =
        options::apply(reader, key, &policy.spec.options, &mut settings)?;
    let hostname = Identity::Dns(hostname);
    if settings.peer.identities.is_empty() {
        settings.peer.identities.push(hostname);
    } else if require_hostname {
        settings.peer.required.push(hostname);
    }
    let source = format!("{}/{}", key.namespace, key.name);
    Ok(Compiled { policy: Arc::new(UpstreamTlsPolicy::new(source, settings)), own_certificate, authorities })
}
