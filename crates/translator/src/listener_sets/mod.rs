//! ListenerSets: which of them join a Gateway, and in which order.

use std::{collections::BTreeMap, sync::Arc};

use lasthop_api_model::{GROUP, Gateway, ListenerSet, ResourceKind};
use lasthop_dataplane_api::ObjectName;

use crate::{gateways::PROXY_PROTOCOL, index::Reader, names, namespaces, problem::Problem};

/// The ListenerSets that name a Gateway as their parent.
#[derive(Debug)]
pub(crate) struct AttachedSets {
    /// Those it lets in: the oldest first, then by name.
    pub accepted: Vec<(ObjectName, Arc<ListenerSet>)>,
    refused: Vec<(ObjectName, Problem)>,
}

/// Which ListenerSets a Gateway lets in.
pub(crate) fn attached(reader: &Reader<'_>, gateway: &Gateway, own: &ObjectName) -> AttachedSets {
    let allowed = gateway.spec.allowed_listeners.as_ref().map(|allowed| &allowed.namespaces);
    let mut sets = AttachedSets { accepted: Vec::new(), refused: Vec::new() };
    for name in reader.listener_sets(own) {
        let Some(set) = reader.object::<ListenerSet>(name) else { continue };
        if set.spec.parent_ref.group != GROUP || set.spec.parent_ref.kind != "Gateway" {
            continue;
        }
        if set.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(PROXY_PROTOCOL)) {
            let field = format!("metadata.annotations[{PROXY_PROTOCOL}]");
            let message = "has no effect on a ListenerSet: whoever owns the Gateway decides, by the Gateway's annotation";
            reader.notice(names::key(ResourceKind::ListenerSet, name), field, message);
        }
        let admitted = allowed.is_some_and(|allowed| {
            let selector = allowed.selector.as_ref();
            namespaces::admits(reader, &allowed.from, selector, &own.namespace, &name.namespace)
        });
        if admitted {
            sets.accepted.push((name.clone(), Arc::clone(set)));
        } else {
            let message = format!(
                "spec.allowedListeners of Gateway {own} does not let in ListenerSets of namespace {}",
                name.namespace
            );
            sets.refused.push((name.clone(), Problem::new("NotAllowed", message)));
        }
    }
    sets.accepted.sort_by_key(|(name, set)| (names::created(&set.metadata), name.clone()));
    sets
}

impl AttachedSets {
    /// Why each of them is not accepted, if it is not; `parent` is what is wrong with the Gateway.
    pub(crate) fn verdicts(&self, parent: Option<Problem>) -> BTreeMap<ObjectName, Option<Problem>> {
        let accepted = self.accepted.iter().map(|(name, _)| (name.clone(), parent.clone()));
        let refused = self.refused.iter().map(|(name, problem)| (name.clone(), Some(problem.clone())));
        accepted.chain(refused).collect()
    }
}
