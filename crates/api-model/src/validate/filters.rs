//! What the filters of HTTPRoute and GRPCRoute share.

use super::patterns::FIELD_NAME;
use super::references::backend_object;
use crate::schema::path::FieldPath;
use crate::schema::{Look as _, Rule, Schema, blames, integer, list, object, optional, required, text};

pub(super) fn field_name() -> Schema {
    text().between(1, 256).pattern(FIELD_NAME)
}

pub(super) fn header_modifier() -> Schema {
    let header = || object([required("name", field_name()), required("value", text().between(1, 4096))]);
    object([
        optional("set", list(header()).at_most(16).unique_by("name")),
        optional("add", list(header()).at_most(16).unique_by("name")),
        optional("remove", list(text()).at_most(16).unique()),
    ])
}

pub(super) fn request_mirror() -> Schema {
    let most = i64::from(i32::MAX);
    let fraction = object([
        required("numerator", integer(0, most)),
        optional("denominator", integer(1, most).default(100)),
    ])
    .rule(blames(
        "must not be greater than the denominator",
        "give a share of at most one",
        |fraction| {
            let broken = fraction.number("numerator") > fraction.number("denominator");
            broken.then(|| FieldPath::root().then("numerator"))
        },
    ));
    object([
        required("backendRef", backend_object()),
        optional("percent", integer(0, 100)),
        optional("fraction", fraction),
    ])
    .rule(blames("must not be set beside percent", "keep one of the two", |mirror| {
        (mirror.has("percent") && mirror.has("fraction")).then(|| FieldPath::root().then("fraction"))
    }))
}

/// A type of filter that may stand in a list once.
pub(super) fn once(of_type: &'static str) -> Rule {
    blames(
        format!("is a second {of_type} filter; one is allowed"),
        "join the two, or take one out",
        move |filters| {
            let second = filters
                .entries()
                .iter()
                .enumerate()
                .filter(|(_, filter)| filter.text("type") == of_type)
                .map(|(index, _)| index)
                .nth(1)?;
            Some(FieldPath::root().then(second))
        },
    )
}

/// Names of rules are unique within a route.
pub(super) fn unique_rule_names() -> Rule {
    blames("is the name of a rule before it", "give each rule its own name", |rules| {
        let rules = rules.entries();
        let repeats = |&at: &usize| {
            let name = rules.get(at).map(|rule| rule.text("name")).filter(|name| !name.is_empty());
            name.is_some() && rules.iter().take(at).any(|before| Some(before.text("name")) == name)
        };
        (0..rules.len()).find(repeats).map(|index| FieldPath::root().then(index).then("name"))
    })
}

/// All matches of a route together are at most 128.
pub(super) fn total_matches() -> Rule {
    crate::schema::holds("the rules have more than 128 matches together", "split the route in two", |rules| {
        rules.entries().iter().map(|rule| rule.list("matches").len()).sum::<usize>() <= 128
    })
}
