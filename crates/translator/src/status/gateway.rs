//! Statuses of Gateways.

use std::{collections::BTreeSet, net::IpAddr};

use lasthop_api_model::{AddressType, Gateway, GatewayStatus, GatewayStatusAddress};
use lasthop_dataplane_api::{ListenerState, ObjectName};

use super::{
    Verdict, assigned,
    listener::{self, Told},
    listener_set, merge, types,
};
use crate::{
    gateways::{ClientCertificate, GatewayOutcome},
    index::{Reader, Uses, WholeUse},
    listeners::ListenerOutcome,
    names,
    progress::{Progress, Word},
};

/// The status of a Gateway; `None` when it is not ours.
pub(crate) fn gateway_status(reader: &Reader<'_>, name: &ObjectName) -> Option<GatewayStatus> {
    let gateway = reader.object::<Gateway>(name)?;
    let outcome = reader.gateway(name)?;
    let progress = reader.progress(name);
    let uses = reader.uses(name);
    let generation = gateway.metadata.generation;
    let none = GatewayStatus::default();
    let old = gateway.status.as_ref().unwrap_or(&none);
    let told = Told { progress, gateway_accepted: outcome.refused.is_none() };
    let own: Vec<&ListenerOutcome> =
        outcome.listeners.iter().filter(|listener| listener.key.set.is_none()).collect();
    let assigned = assigned::addresses(reader, name, &outcome.addresses);
    let mut programmed = programmed(outcome, told);
    if let (Some(assigned), None) = (&assigned, &outcome.refused) {
        if let Some(short) = assigned::shortfall(reader, name, outcome, assigned, &programmed) {
            programmed = short;
        }
        if let Some(trouble) = &gateway.spec.trouble {
            match &*programmed.reason {
                // Those that serve may be some of several, or of before the last change.
                "Programmed" => programmed.message = format!("{}; but {trouble}", programmed.message).into(),
                "Pending" | "AddressNotAssigned" => {
                    programmed = Verdict::no(types::PROGRAMMED, "NoResources", trouble.to_string());
                }
                _ => {}
            }
        }
    }
    let verdicts = verdicts(outcome, &own, programmed);
    tell_idle(reader, uses, name);
    let sets = outcome.sets.keys().filter(|set| listener_set::problem(outcome, set).is_none()).count();
    Some(GatewayStatus {
        addresses: assigned.unwrap_or_else(|| addresses(outcome, progress)),
        conditions: merge::conditions(&old.conditions, types::GATEWAY, &verdicts, generation),
        listeners: own
            .into_iter()
            .map(|listener| listener::status(listener, told, uses, &old.listeners, generation))
            .collect(),
        attached_listener_sets: (gateway.spec.allowed_listeners.is_some() || !outcome.sets.is_empty())
            .then(|| i32::try_from(sets).unwrap_or(i32::MAX)),
    })
}

fn programmed(outcome: &GatewayOutcome, told: Told<'_>) -> Verdict {
    match &outcome.refused {
        Some(problem) => Verdict::no(types::PROGRAMMED, "Invalid", problem.message.clone()),
        None => listener::programmed_together(&outcome.listeners, told, "Gateway"),
    }
}

fn verdicts(outcome: &GatewayOutcome, own: &[&ListenerOutcome], programmed: Verdict) -> Vec<Verdict> {
    let mut verdicts = vec![accepted(outcome, own), programmed, resolved(outcome)];
    if outcome.insecure_frontend {
        verdicts.push(Verdict::yes(
            types::INSECURE_FRONTEND,
            "ConfigurationChanged",
            "spec.tls.frontend has AllowInsecureFallback: clients without a valid certificate are let in",
        ));
    }
    verdicts
}

fn accepted(outcome: &GatewayOutcome, own: &[&ListenerOutcome]) -> Verdict {
    if let Some(problem) = &outcome.refused {
        return Verdict::problem(types::ACCEPTED, problem);
    }
    let bad: Vec<String> = own
        .iter()
        .filter_map(|listener| {
            let problem = listener.refused.as_ref()?;
            Some(format!("listener {}: {}", listener.key.name, problem.message))
        })
        .collect();
    if bad.is_empty() {
        return Verdict::yes(types::ACCEPTED, "Accepted", "The Gateway is accepted");
    }
    let message = bad.join("; ");
    if bad.len() == own.len() {
        Verdict::no(types::ACCEPTED, "ListenersNotValid", message)
    } else {
        Verdict::yes(types::ACCEPTED, "ListenersNotValid", message)
    }
}

fn resolved(outcome: &GatewayOutcome) -> Verdict {
    if let ClientCertificate::Refused(problem) = &outcome.client_certificate {
        return Verdict::problem(types::RESOLVED_REFS, problem);
    }
    let bad: Vec<String> = outcome
        .listeners
        .iter()
        .filter(|listener| !listener.unresolved.is_empty())
        .map(|listener| listener.key.name.to_string())
        .collect();
    if bad.is_empty() {
        Verdict::yes(types::RESOLVED_REFS, "ResolvedRefs", "All references are resolved")
    } else {
        let message = format!("References of these listeners are not resolved: {}", bad.join(", "));
        Verdict::no(types::RESOLVED_REFS, "ListenersNotResolved", message)
    }
}

/// Of several TCPRoutes or UDPRoutes of a listener only the oldest serves. The API wants all of them accepted, so that
/// no condition has a place for it.
fn tell_idle(reader: &Reader<'_>, uses: &Uses, gateway: &ObjectName) {
    let mut serving: Option<&WholeUse> = None;
    for whole in uses.whole(gateway) {
        let (listener, _, route) = whole;
        match serving {
            Some((same, _, first)) if same == listener => {
                let message = format!(
                    "listener {listener} serves {} {}, which is older or first by name; this route gets nothing of it",
                    first.kind, first.object
                );
                reader.notice(names::route_resource(route), "spec.parentRefs", message);
            }
            _ => serving = Some(whole),
        }
    }
}

/// The addresses the dataplane listens on. Listening on all of a machine's addresses names none.
fn addresses(outcome: &GatewayOutcome, progress: &Progress) -> Vec<GatewayStatusAddress> {
    let mut addresses: BTreeSet<IpAddr> = BTreeSet::new();
    for listener in &outcome.listeners {
        if let Word::Current(ListenerState::Bound(bound)) | Word::Older(ListenerState::Bound(bound), _) =
            progress.word(&listener.key)
        {
            addresses.extend(bound.iter().map(std::net::SocketAddr::ip).filter(|ip| !ip.is_unspecified()));
        }
    }
    let status = |ip: IpAddr| GatewayStatusAddress {
        r#type: AddressType::IpAddress,
        value: ip.to_string(),
        routability: None,
    };
    addresses.into_iter().map(status).collect()
}
