//! Merging our conditions into those an object has.

use lasthop_api_model::{Condition, ParentReference, PolicyAncestorStatus, RouteParentStatus};

use super::Verdict;

/// Our verdicts among the conditions an object has: ours replaced in place or taken out, new ones at the end, those
/// of other types as they are. A condition that somebody made for a newer generation than we know stays.
pub(crate) fn conditions(
    existing: &[Condition],
    ours: &[&str],
    verdicts: &[Verdict],
    generation: Option<i64>,
) -> Vec<Condition> {
    let mut merged: Vec<Condition> = Vec::with_capacity(existing.len().max(verdicts.len()));
    for old in existing {
        if !ours.contains(&old.type_.as_str()) {
            merged.push(old.clone());
        } else if let Some(verdict) = verdicts.iter().find(|verdict| verdict.aspect == old.type_) {
            let newer = old.observed_generation.zip(generation).is_some_and(|(seen, known)| seen > known);
            merged.push(if newer { old.clone() } else { update(old, verdict, generation) });
        }
    }
    for verdict in verdicts {
        if !merged.iter().any(|condition| condition.type_ == verdict.aspect) {
            merged.push(verdict.condition(generation));
        }
    }
    merged
}

fn update(old: &Condition, verdict: &Verdict, generation: Option<i64>) -> Condition {
    let mut new = verdict.condition(generation);
    if new.status == old.status {
        new.last_transition_time = old.last_transition_time.clone();
    }
    new
}

/// One entry of a list that several controllers write to.
pub(crate) trait Entry: Clone {
    /// The object the entry is about.
    fn subject(&self) -> &ParentReference;
    /// Who wrote it.
    fn controller(&self) -> &str;
    /// Its conditions.
    fn conditions(&self) -> &[Condition];
    /// An entry of these parts.
    fn new(subject: ParentReference, controller: &str, conditions: Vec<Condition>) -> Self;
}

impl Entry for RouteParentStatus {
    fn subject(&self) -> &ParentReference {
        &self.parent_ref
    }

    fn controller(&self) -> &str {
        &self.controller_name
    }

    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn new(subject: ParentReference, controller: &str, conditions: Vec<Condition>) -> Self {
        Self { parent_ref: subject, controller_name: controller.to_owned(), conditions }
    }
}

impl Entry for PolicyAncestorStatus {
    fn subject(&self) -> &ParentReference {
        &self.ancestor_ref
    }

    fn controller(&self) -> &str {
        &self.controller_name
    }

    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn new(subject: ParentReference, controller: &str, conditions: Vec<Condition>) -> Self {
        Self { ancestor_ref: subject, controller_name: controller.to_owned(), conditions }
    }
}

/// What we say about one object of such a list.
pub(crate) type Said = (ParentReference, Vec<Verdict>);

/// Our entries among those there are: other controllers' entries stay as they are, ours are replaced in place, taken
/// out when we have nothing more to say, and put at the end when they are new.
pub(crate) fn entries<E: Entry>(
    existing: &[E],
    controller: &str,
    ours: &[&str],
    said: &[Said],
    generation: Option<i64>,
) -> Vec<E> {
    let mut merged: Vec<E> = Vec::with_capacity(existing.len().max(said.len()));
    let is_there = |merged: &[E], subject: &ParentReference| {
        merged.iter().any(|entry| entry.controller() == controller && entry.subject() == subject)
    };
    for old in existing {
        if old.controller() != controller {
            merged.push(old.clone());
        } else if let Some((subject, verdicts)) = said.iter().find(|(subject, _)| subject == old.subject())
            && !is_there(&merged, subject)
        {
            let conditions = conditions(old.conditions(), ours, verdicts, generation);
            merged.push(E::new(subject.clone(), controller, conditions));
        }
    }
    for (subject, verdicts) in said {
        if !is_there(&merged, subject) {
            merged.push(E::new(subject.clone(), controller, conditions(&[], ours, verdicts, generation)));
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;
    use lasthop_api_model::Time;

    use super::{super::types, *};

    fn old(type_: &str, status: &str, generation: i64) -> Condition {
        Condition {
            last_transition_time: Time(Timestamp::from_second(1_000).unwrap()),
            message: "old".to_owned(),
            observed_generation: Some(generation),
            reason: "Old".to_owned(),
            status: status.to_owned(),
            type_: type_.to_owned(),
        }
    }

    #[test]
    fn foreign_types_stay_and_ours_are_replaced_in_place() {
        let existing = [old("Accepted", "True", 1), old("example.com/Audited", "False", 1), {
            old("InsecureFrontendValidationMode", "True", 1)
        }];
        let verdicts =
            [Verdict::yes(types::ACCEPTED, "Accepted", ""), Verdict::no(types::PROGRAMMED, "Invalid", "")];
        let merged = conditions(&existing, types::GATEWAY, &verdicts, Some(2));
        let names: Vec<_> = merged.iter().map(|c| c.type_.as_str()).collect();
        assert_eq!(names, ["Accepted", "example.com/Audited", "Programmed"]);
        assert_eq!(merged[1], existing[1]);
        assert_eq!(merged[0].observed_generation, Some(2));
        assert_eq!(
            merged[0].last_transition_time, existing[0].last_transition_time,
            "the status is the same"
        );
        assert_eq!(merged[2].last_transition_time, Time(Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn a_changed_status_gets_no_old_time_and_a_newer_generation_stays() {
        let verdicts = [Verdict::no(types::ACCEPTED, "Invalid", "")];
        let merged = conditions(&[old("Accepted", "True", 1)], types::GATEWAY, &verdicts, Some(1));
        assert_eq!(merged[0].last_transition_time, Time(Timestamp::UNIX_EPOCH));
        let newer = old("Accepted", "True", 9);
        assert_eq!(conditions(std::slice::from_ref(&newer), types::GATEWAY, &verdicts, Some(8)), [newer]);
    }

    #[test]
    fn entries_of_others_survive_and_stale_ones_of_ours_go() {
        let parent = |name: &str| ParentReference { name: name.to_owned(), ..ParentReference::default() };
        let entry =
            |name: &str, by: &str| RouteParentStatus::new(parent(name), by, vec![old("Accepted", "True", 1)]);
        let existing = [entry("stale", "us"), entry("a", "them"), entry("a", "us")];
        let said = [(parent("b"), vec![]), (parent("a"), vec![Verdict::no(types::ACCEPTED, "X", "")])];
        let merged = entries(&existing, "us", types::ROUTE, &said, Some(2));
        let names: Vec<_> = merged.iter().map(|e| (e.controller(), e.subject().name.as_str())).collect();
        assert_eq!(names, [("them", "a"), ("us", "a"), ("us", "b")]);
        assert_eq!(merged[0], existing[1]);
        assert_eq!(merged[1].conditions[0].status, "False");
    }
}
