//! The conditions of a status as a flat list.

use std::fmt;

use lasthop_api_model::{Condition, ParentReference};
use lasthop_translator::{Status, StatusChange};

/// A condition, with the part of the object it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The part, such as `listener https` or `parent Gateway infra/edge`; empty for the object as a whole.
    pub scope: String,
    /// The condition.
    pub condition: Condition,
}

/// What a condition means for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// All is well.
    Good,
    /// It is not known yet, or only to be noted.
    Open,
    /// Something the user wrote is not in force.
    Bad,
}

/// Conditions that are True when something is wrong; all others are False then.
const TRUE_IS_BAD: [&str; 2] = ["Conflicted", "PartiallyInvalid"];
/// Conditions that say nothing about whether the object is in force.
const TO_BE_NOTED: [&str; 3] = ["OverlappingTLSConfig", "InsecureFrontendValidationMode", "SupportedVersion"];

impl Entry {
    /// What it means.
    pub fn tone(&self) -> Tone {
        let Condition { type_, status, .. } = &self.condition;
        let bad = if TRUE_IS_BAD.contains(&type_.as_str()) { "True" } else { "False" };
        if status == "Unknown" || TO_BE_NOTED.contains(&type_.as_str()) {
            Tone::Open
        } else if status == bad {
            Tone::Bad
        } else {
            Tone::Good
        }
    }

    /// Whether only a running dataplane can answer it, and none has yet.
    pub fn is_pending(&self) -> bool {
        self.condition.type_ == "Programmed" && self.condition.reason == "Pending"
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Condition { type_, status, reason, message, .. } = &self.condition;
        if !self.scope.is_empty() {
            write!(f, "{}: ", self.scope)?;
        }
        write!(f, "{type_}={status} {reason}")?;
        if !message.is_empty() {
            write!(f, ": {message}")?;
        }
        Ok(())
    }
}

/// The conditions that `controller` wrote, in the order of the status.
pub fn entries(change: &StatusChange, controller: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut add = |scope: String, conditions: &[Condition]| {
        entries.extend(
            conditions.iter().map(|condition| Entry { scope: scope.clone(), condition: condition.clone() }),
        );
    };
    match &change.status {
        Status::GatewayClass(status) => add(String::new(), &status.conditions),
        Status::Gateway(status) => {
            add(String::new(), &status.conditions);
            status.listeners.iter().for_each(|listener| {
                add(format!("listener {}", listener.name), &listener.conditions);
            });
        }
        Status::ListenerSet(status) => {
            add(String::new(), &status.conditions);
            status.listeners.iter().for_each(|listener| {
                add(format!("listener {}", listener.name), &listener.conditions);
            });
        }
        Status::Route(status) => {
            status.parents.iter().filter(|parent| parent.controller_name == controller).for_each(|parent| {
                add(format!("parent {}", named(&parent.parent_ref, change)), &parent.conditions);
            });
        }
        Status::Policy(status) => {
            status.ancestors.iter().filter(|ancestor| ancestor.controller_name == controller).for_each(
                |ancestor| {
                    add(format!("ancestor {}", named(&ancestor.ancestor_ref, change)), &ancestor.conditions);
                },
            );
        }
    }
    entries
}

fn named(parent: &ParentReference, of: &StatusChange) -> String {
    let ParentReference { kind, namespace, name, section_name, port, .. } = parent;
    let namespace = namespace.as_deref().unwrap_or(&of.key.namespace);
    let mut text = format!("{kind} {namespace}/{name}");
    if let Some(section) = section_name {
        text.push_str(&format!(", section {section}"));
    }
    if let Some(port) = port {
        text.push_str(&format!(", port {port}"));
    }
    text
}
