//! Which of several matches goes first.
//!
//! The order of the HTTPRoute API, continuing on ties: exact path, regular expression (the longer text first),
//! longest prefix; a method; more header fields; more query parameters; the older route; `namespace/name`; the
//! earlier rule; the earlier match. The API leaves the place of regular expressions open. They go before prefixes
//! because a rule for `/` would otherwise hide all of them.
//!
//! The order of the GRPCRoute API is service, method, header fields. Service and method both given stand with the
//! regular expressions (or with the exact paths, if both are exact), an exact service with the prefixes, and anything
//! less, an expression for the service or the method alone, goes after those and before what serves every path.

use std::cmp::{Ordering, Reverse};

use super::{
    condition::{CompiledMatch, PathCondition},
    rule::CompiledRule,
};

/// Orders two matches of any rules; `Less` goes first. `Equal` only for the same match of the same rule.
pub(super) fn order(a: (&CompiledRule, usize), b: (&CompiledRule, usize)) -> Ordering {
    let specific = |(rule, at): (&CompiledRule, usize)| rule.matches.get(at).map(specificity).map(Reverse);
    specific(a).cmp(&specific(b)).then_with(|| tie_break(a).cmp(&tie_break(b)))
}

/// Greater goes first.
fn specificity(conditions: &CompiledMatch) -> impl Ord + use<> {
    let path = match &conditions.path {
        PathCondition::Exact(path) => (3, path.len(), None),
        PathCondition::Grpc(_, rank) if rank.is_whole() => (2, usize::MAX, Some(*rank)),
        PathCondition::Regex(regex) => (2, regex.as_str().len(), None),
        PathCondition::Prefix(prefix) => (1, prefix.len(), None),
        PathCondition::Grpc(_, rank) => (1, 0, Some(*rank)),
        PathCondition::Never => (0, 0, None),
    };
    (path, conditions.method.is_some(), conditions.headers.len(), conditions.query.len())
}

fn tie_break<'a>((rule, at): (&'a CompiledRule, usize)) -> impl Ord + use<'a> {
    let source = &rule.source;
    let route = &source.key.route;
    let name = JoinedName { namespace: &route.object.namespace, name: &route.object.name };
    (source.created, name, route.kind, source.key.index, at)
}

/// Compares as the text `namespace/name` does, without building it. Comparing one after the other would put `a/z`
/// before `a-b/a`; the text puts it after, as '-' is less than '/'.
#[derive(PartialEq, Eq)]
struct JoinedName<'a> {
    namespace: &'a str,
    name: &'a str,
}

impl JoinedName<'_> {
    fn bytes(&self) -> impl Iterator<Item = u8> {
        self.namespace.bytes().chain([b'/']).chain(self.name.bytes())
    }
}

impl Ord for JoinedName<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl PartialOrd for JoinedName<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
