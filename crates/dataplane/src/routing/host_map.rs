//! A map from host patterns, read most specific first.

use std::{collections::hash_map::Entry, hash::Hash, sync::Arc};

use lasthop_dataplane_api::HostPattern;

use crate::worker::QuickMap;

/// Values by host pattern: exact names, wildcards, and one place for every host.
#[derive(Debug)]
pub(crate) struct HostMap<T> {
    exact: QuickMap<Arc<str>, T>,
    /// By suffix, which starts with a dot.
    wildcard: QuickMap<Arc<str>, T>,
    any: Option<T>,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self { exact: QuickMap::default(), wildcard: QuickMap::default(), any: None }
    }
}

impl<T: Default> HostMap<T> {
    /// What covers the host: the exact name, then wildcards from the longest suffix on, then what takes every host.
    pub(crate) fn covering(&self, host: &str) -> impl Iterator<Item = &T> {
        let exact = self.exact.get(host);
        // A table without wildcards need not look at the labels; `take(0)` keeps the iterator's type.
        let labels = if self.wildcard.is_empty() { "" } else { host };
        let wildcards = labels
            .bytes()
            .enumerate()
            // A suffix at 0 is the whole host: the wildcard label would be empty.
            .filter(|&(at, byte)| byte == b'.' && at > 0)
            .filter_map(move |(at, _)| self.wildcard.get(&labels[at..]));
        exact.into_iter().chain(wildcards).chain(self.any.as_ref())
    }

    /// The value of a pattern, made if there is none. `None` is every host.
    pub(crate) fn at(&mut self, pattern: Option<&HostPattern>) -> &mut T {
        match pattern {
            None => self.any.get_or_insert_default(),
            Some(HostPattern::Exact(name)) => self.exact.entry(name.clone()).or_default(),
            Some(HostPattern::Wildcard(suffix)) => self.wildcard.entry(suffix.clone()).or_default(),
        }
    }

    /// Changes the value of a pattern, if there is one, and drops it if `change` says that it became empty.
    pub(crate) fn shrink(&mut self, pattern: Option<&HostPattern>, change: impl FnOnce(&mut T) -> bool) {
        match pattern {
            None => {
                if self.any.as_mut().is_some_and(change) {
                    self.any = None;
                }
            }
            Some(HostPattern::Exact(name)) => shrink(&mut self.exact, name.clone(), change),
            Some(HostPattern::Wildcard(suffix)) => shrink(&mut self.wildcard, suffix.clone(), change),
        }
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty() && self.any.is_none()
    }
}

/// Changes the value of a key, if there is one, and drops it if `change` says that it became empty.
pub(super) fn shrink<K: Eq + Hash, T>(map: &mut QuickMap<K, T>, key: K, change: impl FnOnce(&mut T) -> bool) {
    if let Entry::Occupied(mut entry) = map.entry(key)
        && change(entry.get_mut())
    {
        entry.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(patterns: &[&str]) -> HostMap<String> {
        let mut map = HostMap::<String>::default();
        for pattern in patterns {
            let parsed = (*pattern != "any").then(|| pattern.parse().unwrap());
            *map.at(parsed.as_ref()) = (*pattern).to_owned();
        }
        map
    }

    #[test]
    fn the_most_specific_pattern_comes_first() {
        let map = map(&["any", "*.com", "*.example.com", "a.example.com"]);
        let covering = |host: &str| map.covering(host).map(String::as_str).collect::<Vec<_>>();
        assert_eq!(covering("a.example.com"), ["a.example.com", "*.example.com", "*.com", "any"]);
        assert_eq!(covering("b.a.example.com"), ["*.example.com", "*.com", "any"]);
        assert_eq!(covering("example.com"), ["*.com", "any"]);
        assert_eq!(covering("com"), ["any"]);
        assert_eq!(covering(""), ["any"]);
    }

    #[test]
    fn an_emptied_place_is_dropped() {
        let mut map = map(&["any", "*.com", "a.com"]);
        for pattern in [None, Some("*.com".parse().unwrap()), Some("a.com".parse().unwrap())] {
            map.shrink(pattern.as_ref(), |_| false);
            assert!(!map.is_empty());
            map.shrink(pattern.as_ref(), |_| true);
            map.shrink(pattern.as_ref(), |_| panic!("dropped before"));
        }
        assert!(map.is_empty());
    }
}
