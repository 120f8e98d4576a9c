//! The conditions of all objects as they are now.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use lasthop_api_model::{Condition, ResourceKey, Time};
use lasthop_translator::StatusChange;
use serde_json::{Value, json};

use super::{Entry, entries};
use crate::source::Problem;

/// The conditions of all objects, and the problems of the source.
#[derive(Debug)]
pub struct Board {
    controller: String,
    objects: BTreeMap<ResourceKey, Vec<Entry>>,
    problems: Vec<Problem>,
}

impl Board {
    /// A board for the conditions of this controller.
    pub fn new(controller: impl Into<String>) -> Self {
        Self { controller: controller.into(), objects: BTreeMap::new(), problems: Vec::new() }
    }

    /// Takes an object's status over, and answers the conditions that are new or changed. One whose status stays as it
    /// was keeps its time.
    pub fn take(&mut self, change: &StatusChange, now: Timestamp) -> Vec<Entry> {
        let before = self.objects.remove(&change.key).unwrap_or_default();
        let mut now_true = entries(change, &self.controller);
        let mut changed = Vec::new();
        for entry in &mut now_true {
            let same =
                |old: &&Entry| old.scope == entry.scope && old.condition.type_ == entry.condition.type_;
            let old = before.iter().find(same).map(|old| &old.condition);
            entry.condition.last_transition_time = match old {
                Some(old) if old.status == entry.condition.status => old.last_transition_time.clone(),
                _ => Time(now),
            };
            let new = &entry.condition;
            let told = |old: &Condition| {
                (&old.status, &old.reason, &old.message) == (&new.status, &new.reason, &new.message)
            };
            if !old.is_some_and(told) {
                changed.push(entry.clone());
            }
        }
        self.objects.insert(change.key.clone(), now_true);
        changed
    }

    /// Forgets an object.
    pub fn forget(&mut self, key: &ResourceKey) {
        self.objects.remove(key);
    }

    /// Replaces the problems of the source, and answers what they were.
    pub fn set_problems(&mut self, problems: Vec<Problem>) -> Vec<Problem> {
        std::mem::replace(&mut self.problems, problems)
    }

    /// The problems of the source.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// All objects with their conditions.
    pub fn objects(&self) -> impl Iterator<Item = (&ResourceKey, &[Entry])> {
        self.objects.iter().map(|(key, entries)| (key, entries.as_slice()))
    }

    /// All of it as JSON.
    pub fn to_json(&self) -> Value {
        let objects: Vec<Value> = self.objects().map(|(key, entries)| object(key, entries)).collect();
        json!({ "objects": objects, "problems": self.problems })
    }
}

/// An object with its conditions as JSON.
pub fn object(key: &ResourceKey, entries: &[Entry]) -> Value {
    let conditions: Vec<Value> = entries.iter().map(condition).collect();
    json!({
        "kind": key.kind.as_str(),
        "namespace": key.namespace,
        "name": key.name,
        "conditions": conditions,
    })
}

fn condition(entry: &Entry) -> Value {
    let Condition { type_, status, reason, message, observed_generation, last_transition_time } =
        &entry.condition;
    let mut value = json!({
        "scope": entry.scope,
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": observed_generation,
    });
    // The translator has no clock; the epoch means that nobody has put the time in.
    if last_transition_time.0 != Timestamp::UNIX_EPOCH {
        value["lastTransitionTime"] = last_transition_time.0.to_string().into();
    }
    value
}

#[cfg(test)]
mod tests {
    use lasthop_api_model::{GatewayClassStatus, ResourceKind};
    use lasthop_translator::Status;

    use super::*;

    fn change(status: &str, reason: &str) -> StatusChange {
        let condition = Condition {
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            message: String::new(),
            observed_generation: Some(1),
            reason: reason.to_owned(),
            status: status.to_owned(),
            type_: "Accepted".to_owned(),
        };
        let status = GatewayClassStatus { conditions: vec![condition], ..GatewayClassStatus::default() };
        StatusChange {
            key: ResourceKey::new(ResourceKind::GatewayClass, "", "lasthop"),
            status: Status::GatewayClass(status),
        }
    }

    #[test]
    fn only_changes_are_told_and_times_stay_while_the_status_does() {
        let mut board = Board::new("lasthop.dev/gateway");
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(board.take(&change("True", "Accepted"), at(1)).len(), 1);
        assert_eq!(board.take(&change("True", "Accepted"), at(2)).len(), 0);
        assert_eq!(board.take(&change("True", "Other"), at(3)).len(), 1);
        let time =
            |board: &Board| board.to_json()["objects"][0]["conditions"][0]["lastTransitionTime"].clone();
        assert_eq!(time(&board), "1970-01-01T00:00:01Z");
        assert_eq!(board.take(&change("False", "Other"), at(4)).len(), 1);
        assert_eq!(time(&board), "1970-01-01T00:00:04Z");
        board.forget(&change("True", "").key);
        assert_eq!(board.to_json()["objects"], json!([]));
    }
}
