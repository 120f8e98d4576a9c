//! Our words between those of others, in an object's status as the API server has it.

use k8s_openapi::jiff::Timestamp;
use lasthop_api_model::Condition;
use lasthop_translator::{Status, condition_types as types};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::word;

/// How our words are written.
#[derive(Clone, Copy)]
pub(super) struct Writing<'a> {
    /// Who we are.
    pub(super) controller: &'a str,
    pub(super) now: Timestamp,
    /// Whether proxies may not have been heard yet.
    pub(super) is_new: bool,
}

/// The status with our words in it; `None` when it says all that already.
///
/// What other controllers wrote stays as it is: their entries, conditions of types that are not ours, fields we do not
/// know. A condition's time changes with its status alone. A condition that was made for a newer generation stays.
pub(super) fn merge(old: Option<&Value>, new: &Status, writing: &Writing<'_>) -> Option<Value> {
    let none = Value::Object(Map::new());
    let old = old.filter(|old| old.is_object()).unwrap_or(&none);
    let mut merged = old.clone();
    let set = |merged: &mut Value, field: &str, value: Value| {
        if let Some(object) = merged.as_object_mut() {
            object.insert(field.to_owned(), value);
        }
    };
    match new {
        Status::GatewayClass(class) => {
            set(&mut merged, "conditions", conditions(old, &class.conditions, types::CLASS, writing));
            set(&mut merged, "supportedFeatures", json(&class.supported_features));
        }
        Status::Gateway(gateway) => {
            set(&mut merged, "addresses", json(&gateway.addresses));
            set(&mut merged, "conditions", conditions(old, &gateway.conditions, types::GATEWAY, writing));
            set(&mut merged, "listeners", listeners(old, &gateway.listeners, writing));
            match gateway.attached_listener_sets {
                Some(count) => set(&mut merged, "attachedListenerSets", count.into()),
                None => {
                    merged.as_object_mut().and_then(|object| object.remove("attachedListenerSets"));
                }
            }
        }
        Status::ListenerSet(listener_set) => {
            set(
                &mut merged,
                "conditions",
                conditions(old, &listener_set.conditions, types::LISTENER_SET, writing),
            );
            set(&mut merged, "listeners", listeners(old, &listener_set.listeners, writing));
        }
        Status::Route(route) => {
            let ours = route.parents.iter().filter(|parent| parent.controller_name == writing.controller);
            let ours = ours.map(|parent| (json(&parent.parent_ref), &parent.conditions[..]));
            let entries = Entries { list: "parents", subject: "parentRef", ours: types::ROUTE, writing };
            set(&mut merged, "parents", entries.merge(old, ours.collect()));
        }
        Status::Policy(policy) => {
            let ours =
                policy.ancestors.iter().filter(|ancestor| ancestor.controller_name == writing.controller);
            let ours = ours.map(|ancestor| (json(&ancestor.ancestor_ref), &ancestor.conditions[..]));
            let entries = Entries { list: "ancestors", subject: "ancestorRef", ours: types::POLICY, writing };
            set(&mut merged, "ancestors", entries.merge(old, ours.collect()));
        }
    }
    (without_empty(&merged) != without_empty(old)).then_some(merged)
}

/// An absent list and an empty one are the same.
fn without_empty(status: &Value) -> Value {
    let mut status = status.clone();
    if let Some(object) = status.as_object_mut() {
        object.retain(|_, value| value.as_array().is_none_or(|list| !list.is_empty()));
    }
    status
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

pub(super) fn list<'a>(of: &'a Value, field: &str) -> &'a [Value] {
    of.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The conditions of `old` with ours replaced in place, taken out, or put at the end.
fn conditions(old: &Value, new: &[Condition], ours: &[&str], writing: &Writing<'_>) -> Value {
    let mut merged = Vec::new();
    let existing = list(old, "conditions");
    let of_type = |wanted: &str| new.iter().find(|condition| condition.type_ == wanted);
    for old in existing {
        let name = text(old, "type");
        if !ours.contains(&name) {
            merged.push(old.clone());
        } else if let Some(new) = of_type(name) {
            merged.push(condition(Some(old), new, writing));
        }
    }
    for new in new.iter().filter(|condition| ours.contains(&condition.type_.as_str())) {
        if !existing.iter().any(|old| text(old, "type") == new.type_) {
            merged.push(condition(None, new, writing));
        }
    }
    Value::Array(merged)
}

pub(super) fn generation(old: &Value) -> Option<i64> {
    old.get("observedGeneration").and_then(Value::as_i64)
}

/// A condition in place of an old one.
pub(super) fn condition(old: Option<&Value>, new: &Condition, writing: &Writing<'_>) -> Value {
    if writing.is_new
        && let Some(old) = old
        && word::is_of_others(old, new)
    {
        return old.clone();
    }
    if let Some(old) = old
        && generation(old).zip(new.observed_generation).is_some_and(|(seen, known)| seen > known)
    {
        return old.clone();
    }
    let since =
        old.filter(|old| text(old, "status") == new.status).and_then(|old| old.get("lastTransitionTime"));
    // The API has whole seconds.
    let Writing { now, .. } = *writing;
    let now = || Timestamp::from_second(now.as_second()).unwrap_or(now).to_string();
    let mut value = json!({
        "type": new.type_,
        "status": new.status,
        "reason": new.reason,
        "message": new.message,
        "lastTransitionTime": since.cloned().unwrap_or_else(|| now().into()),
    });
    if let Some(generation) = new.observed_generation {
        value["observedGeneration"] = generation.into();
    }
    value
}

/// The listeners as they are now, each with the foreign conditions it had.
fn listeners(old: &Value, new: &[lasthop_api_model::ListenerStatus], writing: &Writing<'_>) -> Value {
    let existing = list(old, "listeners");
    let merged = new.iter().map(|listener| {
        let none = Value::Null;
        let old = existing.iter().find(|old| text(old, "name") == listener.name).unwrap_or(&none);
        let mut merged = json(listener);
        merged["conditions"] = conditions(old, &listener.conditions, types::LISTENER, writing);
        merged
    });
    merged.collect()
}

/// A list that several controllers write to, each its own entries.
struct Entries<'a> {
    list: &'static str,
    subject: &'static str,
    ours: &'a [&'a str],
    writing: &'a Writing<'a>,
}

impl Entries<'_> {
    fn merge(&self, old: &Value, said: Vec<(Value, &[Condition])>) -> Value {
        let mut left = said;
        let mut merged = Vec::new();
        for old in list(old, self.list) {
            if text(old, "controllerName") != self.writing.controller {
                merged.push(old.clone());
                continue;
            }
            let subject = old.get(self.subject);
            let place = left.iter().position(|(said, _)| subject.is_some_and(|old| same_subject(old, said)));
            if let Some(place) = place {
                let (subject, said) = left.remove(place);
                merged.push(self.entry(old, subject, said));
            }
        }
        for (subject, said) in left {
            merged.push(self.entry(&Value::Null, subject, said));
        }
        Value::Array(merged)
    }

    fn entry(&self, old: &Value, subject: Value, said: &[Condition]) -> Value {
        let conditions = conditions(old, said, self.ours, self.writing);
        let mut entry = json!({"controllerName": self.writing.controller, "conditions": conditions});
        entry[self.subject] = old.get(self.subject).cloned().unwrap_or(subject);
        entry
    }
}

/// Whether two references mean the same object. What the API server fills in by itself may be absent.
fn same_subject(a: &Value, b: &Value) -> bool {
    let or = |value: &Value, field: &str, default: &str| {
        value.get(field).and_then(Value::as_str).unwrap_or(default).to_owned()
    };
    let identity = |value: &Value| {
        (
            or(value, "group", lasthop_api_model::GROUP),
            or(value, "kind", "Gateway"),
            or(value, "namespace", ""),
            or(value, "name", ""),
            or(value, "sectionName", ""),
            value.get("port").and_then(Value::as_i64),
        )
    };
    identity(a) == identity(b)
}

#[cfg(test)]
mod tests;
