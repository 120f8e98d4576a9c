//! Which of several policies holds for which port of a Service.

use std::collections::BTreeMap;

use lasthop_api_model::BackendTlsPolicy;
use lasthop_dataplane_api::ObjectName;

use crate::{index::Reader, names};

/// Which policy holds for which port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    /// By port name; `None` stands for the whole Service.
    winners: BTreeMap<Option<String>, ObjectName>,
    /// For each policy that lost: against whom, and for which section.
    lost: BTreeMap<ObjectName, Vec<(Option<String>, ObjectName)>>,
}

/// The policies of a Service against each other: for the same target the oldest holds, then the one whose name comes
/// first. A policy that names the port goes before one for the whole Service; the two do not conflict. A policy whose
/// manifest is refused holds only where no other does.
pub(crate) fn claims(reader: &Reader<'_>, service: &ObjectName) -> Option<Claims> {
    let mut by_section: BTreeMap<Option<String>, Vec<(bool, i64, &ObjectName)>> = BTreeMap::new();
    for name in reader.policies_of(service) {
        let Some(policy) = reader.object::<BackendTlsPolicy>(name) else { continue };
        let created = names::created(&policy.metadata);
        for target in &policy.spec.target_refs {
            if target.group.is_empty() && target.kind == "Service" && *target.name == *service.name {
                let section = target.section_name.clone().filter(|section| !section.is_empty());
                by_section.entry(section).or_default().push((policy.spec.refused.is_some(), created, name));
            }
        }
    }
    let mut claims = Claims::default();
    for (section, mut candidates) in by_section {
        candidates.sort_unstable();
        candidates.dedup();
        let mut candidates = candidates.into_iter().map(|(_, _, name)| name);
        let Some(winner) = candidates.next() else { continue };
        for loser in candidates {
            claims.lost.entry(loser.clone()).or_default().push((section.clone(), winner.clone()));
        }
        claims.winners.insert(section, winner.clone());
    }
    (!claims.winners.is_empty()).then_some(claims)
}

impl Claims {
    /// The policy that holds for a port of this name.
    pub(crate) fn winner(&self, port: Option<&str>) -> Option<&ObjectName> {
        self.of_port(port).or_else(|| self.winners.get(&None))
    }

    /// The policy that names a port.
    pub(crate) fn of_port(&self, port: Option<&str>) -> Option<&ObjectName> {
        let named = port.filter(|name| !name.is_empty()).map(|name| Some(name.to_owned()));
        named.and_then(|section| self.winners.get(&section))
    }

    /// Against whom a policy lost, and for which section.
    pub(crate) fn lost(&self, policy: &ObjectName) -> &[(Option<String>, ObjectName)] {
        self.lost.get(policy).map_or(&[], Vec::as_slice)
    }
}
