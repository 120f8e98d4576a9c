//! What the proxies themselves said, in a status.

use k8s_openapi::jiff::Timestamp;
use lasthop_api_model::{Condition, ListenerStatus};
use lasthop_translator::{Status, condition_types::PROGRAMMED};
use serde_json::Value;

use super::merge::{condition, generation, list, text};

/// Reasons of `Programmed` that every replica finds by itself.
const FOUND: [&str; 5] = ["Pending", "Invalid", "AddressNotAssigned", "AddressNotUsable", "NoResources"];

/// What proxies said: the listener (or the empty name for the whole), whether it serves, and why not.
pub(super) type Word = Vec<(String, String, String, Option<i64>)>;

/// What the proxies said in this status; empty where they said nothing.
pub(super) fn of(status: &Status) -> Word {
    let (whole, listeners): (&[Condition], &[ListenerStatus]) = match status {
        Status::Gateway(status) => (&status.conditions, &status.listeners),
        Status::ListenerSet(status) => (&status.conditions, &status.listeners),
        Status::GatewayClass(_) | Status::Route(_) | Status::Policy(_) => return Word::new(),
    };
    let of_listeners = listeners.iter().map(|listener| (listener.name.as_str(), &listener.conditions[..]));
    std::iter::once(("", whole))
        .chain(of_listeners)
        .filter_map(|(name, conditions)| {
            let Condition { status, reason, observed_generation, .. } = programmed(conditions)?;
            Some((name.to_owned(), status.clone(), reason.clone(), *observed_generation))
        })
        .collect()
}

/// The condition, where proxies said it.
fn programmed(conditions: &[Condition]) -> Option<&Condition> {
    conditions
        .iter()
        .find(|condition| condition.type_ == PROGRAMMED && !FOUND.contains(&condition.reason.as_str()))
}

/// Whether a condition that stands there is what proxies of another replica said, and we know nothing about it.
pub(super) fn is_of_others(old: &Value, new: &Condition) -> bool {
    new.type_ == PROGRAMMED
        && ["Pending", "NoResources"].contains(&new.reason.as_str())
        && !FOUND.contains(&text(old, "reason"))
        && generation(old) >= new.observed_generation
}

/// A status with what our proxies said in it, and nothing else of ours; `None` when it stands there already, or when the
/// leader has not written of that generation yet.
pub(super) fn merge(old: Option<&Value>, new: &Status, now: Timestamp) -> Option<Value> {
    let (whole, listeners): (&[Condition], &[ListenerStatus]) = match new {
        Status::Gateway(status) => (&status.conditions, &status.listeners),
        Status::ListenerSet(status) => (&status.conditions, &status.listeners),
        Status::GatewayClass(_) | Status::Route(_) | Status::Policy(_) => return None,
    };
    let old = old?;
    let mut merged = old.clone();
    replace(&mut merged, whole, now);
    for listener in listeners {
        let place = list(old, "listeners").iter().position(|old| text(old, "name") == listener.name);
        let old = place.and_then(|place| merged.get_mut("listeners")?.get_mut(place));
        if let Some(old) = old {
            replace(old, &listener.conditions, now);
        }
    }
    (merged != *old).then_some(merged)
}

/// Whether the leader has not written yet of the generation that our proxies speak of.
pub(super) fn waits(old: Option<&Value>, new: &Status) -> bool {
    let ours = of(new).iter().filter_map(|(.., generation)| *generation).max();
    let conditions = old.map(|old| list(old, "conditions")).unwrap_or_default();
    let stands = conditions.iter().filter(|old| text(old, "type") == PROGRAMMED).filter_map(generation).max();
    ours > stands
}

fn replace(part: &mut Value, said: &[Condition], now: Timestamp) {
    let Some(said) = programmed(said) else { return };
    let conditions = part.get_mut("conditions").and_then(Value::as_array_mut);
    let stands = conditions.into_iter().flatten().find(|old| text(old, "type") == PROGRAMMED);
    if let Some(stands) = stands
        && generation(stands) == said.observed_generation
    {
        *stands = condition(Some(stands), said, now);
    }
}

#[cfg(test)]
mod tests {
    use lasthop_api_model::{GatewayStatus, Time};
    use serde_json::json;

    use super::*;

    fn said(status: &str, reason: &str, generation: i64) -> Condition {
        Condition {
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            message: "m".to_owned(),
            observed_generation: Some(generation),
            reason: reason.to_owned(),
            status: status.to_owned(),
            type_: PROGRAMMED.to_owned(),
        }
    }

    fn gateway(condition: Condition) -> Status {
        let listener = ListenerStatus {
            name: "http".to_owned(),
            conditions: vec![condition.clone()],
            ..ListenerStatus::default()
        };
        Status::Gateway(GatewayStatus {
            conditions: vec![condition],
            listeners: vec![listener],
            ..GatewayStatus::default()
        })
    }

    fn stands(status: &str, reason: &str, generation: i64) -> Value {
        let condition = json!({"type": "Programmed", "status": status, "reason": reason, "message": "",
            "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let accepted = json!({"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
            "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z"});
        json!({"conditions": [accepted, condition],
            "listeners": [{"name": "http", "conditions": [condition]}], "addresses": [{"value": "192.0.2.1"}]})
    }

    #[test]
    fn a_follower_writes_what_its_proxies_say_and_nothing_else() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let old = stands("Unknown", "Pending", 2);
        let merged = merge(Some(&old), &gateway(said("True", "Programmed", 2)), now).unwrap();
        assert_eq!(
            (&merged["conditions"][0], &merged["addresses"]),
            (&old["conditions"][0], &old["addresses"])
        );
        for condition in [&merged["conditions"][1], &merged["listeners"][0]["conditions"][0]] {
            assert_eq!((&condition["status"], &condition["reason"]), (&json!("True"), &json!("Programmed")));
        }
        assert_eq!(merge(Some(&merged), &gateway(said("True", "Programmed", 2)), now), None);
        // Of a generation that the leader has not written about.
        assert_eq!(merge(Some(&old), &gateway(said("True", "Programmed", 3)), now), None);
        // Nothing that the leader finds by itself.
        assert_eq!(merge(Some(&old), &gateway(said("False", "AddressNotAssigned", 2)), now), None);
        assert!(of(&gateway(said("Unknown", "Pending", 2))).is_empty());
    }

    #[test]
    fn a_leader_that_heard_nothing_leaves_what_another_heard() {
        let new = gateway(said("Unknown", "Pending", 2));
        let now = Timestamp::UNIX_EPOCH;
        let leads = |old: &Value| super::super::merge::merge(Some(old), &new, "us", now);
        // Of the conditions that are ours, it has this one to say.
        let says = |old: &Value| leads(old).unwrap()["conditions"][0]["status"].clone();
        assert_eq!(says(&stands("True", "Programmed", 2)), "True");
        for (old, status) in [
            (stands("True", "Programmed", 1), "Unknown"),
            (stands("False", "AddressNotAssigned", 2), "Unknown"),
            (stands("False", "PortUnavailable", 2), "False"),
        ] {
            assert_eq!(says(&old), status, "{old}");
        }
    }
}
