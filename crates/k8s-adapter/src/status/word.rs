//! What the proxies themselves said, in a status.

use lasthop_api_model::Condition;
use lasthop_translator::condition_types::PROGRAMMED;
use serde_json::Value;

use super::merge::{generation, text};

/// Reasons of `Programmed` that a replica finds without a word from proxies.
const FOUND: [&str; 5] = ["Pending", "Invalid", "AddressNotAssigned", "AddressNotUsable", "NoResources"];

/// Whether a condition that stands there is what proxies said to another replica, or to this one before it started anew,
/// and we have not heard of them yet.
pub(super) fn is_of_others(old: &Value, new: &Condition) -> bool {
    new.type_ == PROGRAMMED
        && ["Pending", "NoResources"].contains(&new.reason.as_str())
        && !FOUND.contains(&text(old, "reason"))
        && generation(old) >= new.observed_generation
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;
    use lasthop_api_model::{GatewayStatus, ListenerStatus, Time};
    use lasthop_translator::Status;
    use serde_json::json;

    use super::*;
    use crate::status::merge::{Writing, merge};

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
    fn a_leader_that_heard_nothing_leaves_what_another_heard() {
        let new = gateway(said("Unknown", "Pending", 2));
        let now = Timestamp::UNIX_EPOCH;
        let writing = |is_new| Writing { controller: "us", now, is_new };
        let leads = |old: &Value| merge(Some(old), &new, &writing(true));
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
        let later = merge(Some(&stands("True", "Programmed", 2)), &new, &writing(false)).unwrap();
        assert_eq!(later["conditions"][0]["status"], "Unknown", "by now it would have heard");
    }
}
