//! Which nodes read which facts, and which of them are to be done again.

use std::collections::{BTreeSet, HashMap};

use super::{Fact, Node};

/// Which nodes read which facts, and which of them are to be done again.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    readers: HashMap<Fact, BTreeSet<Node>>,
    read: HashMap<Node, BTreeSet<Fact>>,
    due: BTreeSet<Node>,
    #[cfg(test)]
    done: u64,
}

impl Tracker {
    /// A fact changed: its readers are due.
    pub(crate) fn touch(&mut self, fact: &Fact) {
        if let Some(readers) = self.readers.get(fact) {
            self.due.extend(readers.iter().cloned());
        }
    }

    /// The node is to be done.
    pub(crate) fn schedule(&mut self, node: Node) {
        self.due.insert(node);
    }

    /// The next node to do.
    pub(crate) fn next(&mut self) -> Option<Node> {
        self.due.pop_first()
    }

    /// The next node to do, statuses left for later.
    pub(crate) fn next_but_statuses(&mut self) -> Option<Node> {
        // Statuses are the highest nodes: when the lowest that is due is one, all are.
        if self.due.first()?.is_status() { None } else { self.due.pop_first() }
    }

    /// The node was done, and read these facts.
    pub(crate) fn record(&mut self, node: &Node, facts: BTreeSet<Fact>) {
        #[cfg(test)]
        {
            self.done += 1;
        }
        let before = self.read.remove(node).unwrap_or_default();
        for fact in before.difference(&facts) {
            self.unread(node, fact);
        }
        for fact in facts.difference(&before) {
            self.readers.entry(fact.clone()).or_default().insert(node.clone());
        }
        if !facts.is_empty() {
            self.read.insert(node.clone(), facts);
        }
    }

    /// There is no such node any more.
    pub(crate) fn forget(&mut self, node: &Node) {
        self.due.remove(node);
        for fact in self.read.remove(node).unwrap_or_default() {
            self.unread(node, &fact);
        }
    }

    /// How many nodes were done so far.
    #[cfg(test)]
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// Whether it knows no node.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.readers.is_empty() && self.read.is_empty() && self.due.is_empty()
    }

    fn unread(&mut self, node: &Node, fact: &Fact) {
        if let Some(readers) = self.readers.get_mut(fact) {
            readers.remove(node);
            if readers.is_empty() {
                self.readers.remove(fact);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str) -> Node {
        Node::Policy(lasthop_dataplane_api::ObjectName::new("ns", name))
    }

    #[test]
    fn only_readers_of_what_changed_are_due_lowest_first() {
        let mut tracker = Tracker::default();
        let grants = Fact::Grants("a".into());
        tracker.record(&policy("x"), [Fact::AnyClass, grants.clone()].into());
        tracker.record(&policy("w"), [grants.clone()].into());
        tracker.record(&policy("y"), [Fact::AnyClass].into());
        tracker.touch(&grants);
        assert_eq!(tracker.next(), Some(policy("w")));
        assert_eq!(tracker.next(), Some(policy("x")));
        assert_eq!(tracker.next(), None);
    }

    #[test]
    fn what_is_no_longer_read_does_not_count() {
        let mut tracker = Tracker::default();
        tracker.record(&policy("x"), [Fact::AnyClass].into());
        tracker.record(&policy("x"), [Fact::Grants("a".into())].into());
        tracker.touch(&Fact::AnyClass);
        assert_eq!(tracker.next(), None);
        tracker.forget(&policy("x"));
        tracker.touch(&Fact::Grants("a".into()));
        assert_eq!(tracker.next(), None);
        assert!(tracker.readers.is_empty() && tracker.read.is_empty());
    }
}
