//! Statuses of BackendTLSPolicies.

use lasthop_api_model::{BackendTlsPolicy, ParentReference, PolicyStatus, ResourceKind};
use lasthop_dataplane_api::{BackendKind, ObjectName};

use super::{Said, Verdict, merge, types};
use crate::{
    gateways,
    index::Reader,
    names,
    problem::Problem,
    tls_policies::{self, PolicyOutcome, Target, TargetState},
};

/// The status of a policy: one entry for each Gateway whose accepted routes lead to a target. `None` when there is
/// nothing to say.
pub(crate) fn policy_status(reader: &Reader<'_>, name: &ObjectName) -> Option<PolicyStatus> {
    let policy = reader.object::<BackendTlsPolicy>(name)?;
    let outcome = reader.policy(name)?;
    let said: Vec<Said> = tls_policies::ancestors(reader, name, outcome)
        .iter()
        .map(|gateway| (ancestor(gateway), verdicts(reader, name, outcome, gateway)))
        .collect();
    if said.is_empty() && gateways::owns_everything(reader) {
        // The API has no place to say it, but whoever wrote the policy should know.
        let object = names::key(ResourceKind::BackendTlsPolicy, name);
        let message = "no accepted route leads to a target; the policy is in force nowhere";
        reader.notice(object, "spec.targetRefs", message);
    }
    let old = policy.status.as_ref().map_or(&[][..], |status| &status.ancestors);
    let controller = &reader.options.controller_name;
    if said.is_empty() && !old.iter().any(|entry| entry.controller_name == *controller) {
        return None;
    }
    let generation = policy.metadata.generation;
    Some(PolicyStatus { ancestors: merge::entries(old, controller, types::POLICY, &said, generation) })
}

pub(super) fn ancestor(gateway: &ObjectName) -> ParentReference {
    ParentReference {
        namespace: Some(gateway.namespace.to_string()),
        name: gateway.name.to_string(),
        ..ParentReference::default()
    }
}

fn verdicts(
    reader: &Reader<'_>,
    name: &ObjectName,
    outcome: &PolicyOutcome,
    gateway: &ObjectName,
) -> Vec<Verdict> {
    let used = |target: &&Target| reader.users(BackendKind::Service, &target.service).contains(&gateway);
    let targets: Vec<&Target> = outcome.targets.iter().filter(used).collect();
    let accepted = match problem(reader, name, outcome, gateway, &targets) {
        Some(problem) => Verdict::problem(types::ACCEPTED, &problem),
        None => {
            let mut warnings: Vec<String> = targets
                .iter()
                .filter_map(|target| match &target.state {
                    TargetState::Found(warning) => warning.clone(),
                    TargetState::Bad(_) => None,
                })
                .collect();
            let passed = targets.iter().filter(|target| reader.is_passed(&target.service, gateway));
            warnings.extend(passed.map(|target| {
                format!(
                    "TLS listeners of mode Passthrough hand on the client's own TLS to Service {}; the policy does \
                     not hold behind them",
                    target.service
                )
            }));
            let message = if warnings.is_empty() {
                "The policy is in force".to_owned()
            } else {
                format!("The policy is in force. {}", warnings.join("; "))
            };
            Verdict::yes(types::ACCEPTED, "Accepted", message)
        }
    };
    let resolved = match &outcome.unresolved {
        Some(problem) => Verdict::problem(types::RESOLVED_REFS, problem),
        None => Verdict::yes(types::RESOLVED_REFS, "ResolvedRefs", "All references are resolved"),
    };
    vec![accepted, resolved]
}

fn problem(
    reader: &Reader<'_>,
    name: &ObjectName,
    outcome: &PolicyOutcome,
    gateway: &ObjectName,
    targets: &[&Target],
) -> Option<Problem> {
    for target in targets {
        if let TargetState::Bad(problem) = &target.state {
            return Some(problem.clone());
        }
    }
    for target in targets {
        let claims = reader.claims(&target.service);
        if let Some((section, winner)) = claims.and_then(|claims| claims.lost(name).first()) {
            let of = section.as_ref().map_or_else(String::new, |section| format!("port {section} of "));
            return Some(Problem::new(
                "Conflicted",
                format!(
                    "BackendTLSPolicy {winner} targets {of}Service {} too and goes first, being older or first by name",
                    target.service
                ),
            ));
        }
    }
    if let Err(problem) = &outcome.compiled {
        return Some(problem.clone());
    }
    let refused = reader.refusals(name.to_string()).find(|(key, _)| key.gateway == *gateway);
    refused.map(|(key, refusal)| {
        let message =
            format!("the TLS stack cannot set up {}: {}: {}", key.endpoints, refusal.reason, refusal.message);
        Problem::new("Invalid", message)
    })
}
