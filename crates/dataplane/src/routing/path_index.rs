//! The matches of one host, found by path.
//!
//! A lookup costs one hash for the exact paths, one regular expression each, and one hash for each *length* of
//! prefix there is: neither the number of routes nor a client's long path makes it slow.

use std::{cmp::Ordering, rc::Rc, sync::Arc};

use super::{
    condition::{CompiledMatch, PathCondition, RequestView},
    host_map::shrink,
    precedence,
    rule::WorkerRule,
};
use crate::worker::QuickMap;

/// One match of one rule.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) rule: Rc<WorkerRule>,
    /// The match's place in the rule.
    pub(super) matched: usize,
}

impl Candidate {
    pub(super) fn conditions(&self) -> Option<&CompiledMatch> {
        self.rule.matches.get(self.matched)
    }
}

/// Matches by path, each list in order of precedence.
#[derive(Debug, Default)]
pub(super) struct PathIndex {
    exact: QuickMap<Arc<str>, Vec<Candidate>>,
    /// The longest exact path there ever was: longer paths need no hash.
    longest_exact: usize,
    regex: Vec<Candidate>,
    /// By prefix without its trailing slash; every path has the prefix "".
    prefix: QuickMap<Arc<str>, Vec<Candidate>>,
    /// The lengths of the prefixes, longest first, and how many there are of each.
    prefix_lengths: Vec<(usize, usize)>,
}

/// Where a condition stands in the index.
enum Place {
    Exact(Arc<str>),
    Regex,
    Prefix(Arc<str>),
    Nowhere,
}

impl PathCondition {
    fn place(&self) -> Place {
        match self {
            Self::Exact(path) => Place::Exact(path.clone()),
            Self::Grpc(_, rank) if rank.is_whole() => Place::Regex,
            Self::Regex(_) => Place::Regex,
            Self::Prefix(prefix) => Place::Prefix(prefix.clone()),
            // Behind everything that has a path of its own.
            Self::Grpc(..) => Place::Prefix("".into()),
            Self::Never => Place::Nowhere,
        }
    }
}

impl PathIndex {
    pub(super) fn insert(&mut self, candidate: Candidate) {
        let Some(conditions) = candidate.conditions() else { return };
        match conditions.path.place() {
            Place::Exact(path) => {
                self.longest_exact = self.longest_exact.max(path.len());
                insert_sorted(self.exact.entry(path).or_default(), candidate);
            }
            Place::Regex => insert_sorted(&mut self.regex, candidate),
            Place::Prefix(prefix) => {
                let length = prefix.len();
                let candidates = self.prefix.entry(prefix).or_insert_with(|| {
                    count_length(&mut self.prefix_lengths, length);
                    Vec::new()
                });
                insert_sorted(candidates, candidate);
            }
            Place::Nowhere => {}
        }
    }

    pub(super) fn remove(&mut self, candidate: &Candidate) {
        let Some(conditions) = candidate.conditions() else { return };
        match conditions.path.place() {
            Place::Exact(path) => {
                shrink(&mut self.exact, path, |candidates| remove_sorted(candidates, candidate));
            }
            Place::Regex => {
                remove_sorted(&mut self.regex, candidate);
            }
            Place::Prefix(prefix) => {
                let length = prefix.len();
                let lengths = &mut self.prefix_lengths;
                shrink(&mut self.prefix, prefix, |candidates| {
                    let emptied = remove_sorted(candidates, candidate);
                    if emptied {
                        uncount_length(lengths, length);
                    }
                    emptied
                });
            }
            Place::Nowhere => {}
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.regex.is_empty() && self.prefix.is_empty()
    }

    /// The first match in order of precedence: exact paths, regular expressions, prefixes from the longest on.
    pub(super) fn find(&self, request: &RequestView<'_>) -> Option<&Candidate> {
        let path = request.path();
        let exact = (path.len() <= self.longest_exact).then(|| self.exact.get(path)).flatten();
        let first = |candidates: &'_ [Candidate]| candidates.iter().position(|c| holds(c, request));
        if let Some(candidates) = exact
            && let Some(at) = first(candidates)
        {
            return candidates.get(at);
        }
        if let Some(at) = first(&self.regex) {
            return self.regex.get(at);
        }
        for &(length, _) in &self.prefix_lengths {
            let under = length == 0 || path.len() == length || path.as_bytes().get(length) == Some(&b'/');
            // `get` is `None` where a client's path has no character boundary; no prefix is there then.
            if under
                && let Some(candidates) = path.get(..length).and_then(|prefix| self.prefix.get(prefix))
                && let Some(at) = first(candidates)
            {
                return candidates.get(at);
            }
        }
        None
    }
}

/// Whether all conditions besides an exact or prefix path hold.
fn holds(candidate: &Candidate, request: &RequestView<'_>) -> bool {
    candidate.conditions().is_some_and(|conditions| conditions.rest_holds(request))
}

fn order(a: &Candidate, b: &Candidate) -> Ordering {
    precedence::order((&a.rule, a.matched), (&b.rule, b.matched))
}

fn insert_sorted(candidates: &mut Vec<Candidate>, candidate: Candidate) {
    match candidates.binary_search_by(|probe| order(probe, &candidate)) {
        Ok(at) => candidates[at] = candidate,
        Err(at) => candidates.insert(at, candidate),
    }
}

/// Returns whether nothing is left.
fn remove_sorted(candidates: &mut Vec<Candidate>, candidate: &Candidate) -> bool {
    if let Ok(at) = candidates.binary_search_by(|probe| order(probe, candidate)) {
        candidates.remove(at);
    }
    candidates.is_empty()
}

fn count_length(lengths: &mut Vec<(usize, usize)>, length: usize) {
    match lengths.binary_search_by(|(probe, _)| length.cmp(probe)) {
        Ok(at) => lengths[at].1 += 1,
        Err(at) => lengths.insert(at, (length, 1)),
    }
}

fn uncount_length(lengths: &mut Vec<(usize, usize)>, length: usize) {
    if let Ok(at) = lengths.binary_search_by(|(probe, _)| length.cmp(probe)) {
        lengths[at].1 -= 1;
        if lengths[at].1 == 0 {
            lengths.remove(at);
        }
    }
}
