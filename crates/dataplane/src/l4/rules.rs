//! From a connection to the rule that serves it.

use std::{cmp::Ordering, rc::Rc, sync::Arc};

use lasthop_dataplane_api::{BackendKey, BackendTarget, HostPattern, L4Rule, ListenerKey, RuleKey};

use crate::{
    routing::{HostMap, Turns, by_own, by_weight},
    worker::QuickMap,
};

/// The rules of TLSRoutes, TCPRoutes and UDPRoutes.
#[derive(Default)]
pub(crate) struct L4Rules {
    rules: QuickMap<RuleKey, Rc<RuleView>>,
    by_listener: QuickMap<ListenerKey, HostMap<Vec<Candidate>>>,
}

/// A rule as a worker holds it.
pub(crate) struct RuleView {
    /// What the snapshot says.
    pub source: Arc<L4Rule>,
    /// The sum of the weights.
    total: u64,
    turns: Turns,
}

/// A rule at one of its hosts.
struct Candidate {
    own: Option<HostPattern>,
    rule: Rc<RuleView>,
}

impl RuleView {
    /// Whether some of its share goes to a backend.
    pub(crate) fn leads_to(&self, key: &BackendKey) -> bool {
        let is_there =
            |target: &BackendTarget| matches!(target, BackendTarget::Backend(other) if other == key);
        self.source.backends.iter().any(|backend| backend.weight > 0 && is_there(&backend.target))
    }

    /// The next target, by weight; `None` if no backend has a weight.
    pub(crate) fn choose(&self) -> Option<&BackendTarget> {
        self.for_number(self.turns.next())
    }

    fn for_number(&self, number: u32) -> Option<&BackendTarget> {
        let chosen = by_weight(&self.source.backends, self.total, |backend| backend.weight, number);
        chosen.map(|backend| &backend.target)
    }
}

impl L4Rules {
    /// Adds, changes or removes a rule.
    pub(crate) fn set(&mut self, key: &RuleKey, rule: Option<&Arc<L4Rule>>) {
        if let Some(old) = self.rules.remove(key) {
            self.detach(&old);
        }
        if let Some(source) = rule {
            let total = source.backends.iter().map(|backend| u64::from(backend.weight)).sum();
            let rule = Rc::new(RuleView { source: source.clone(), total, turns: Turns::new() });
            self.attach(&rule);
            self.rules.insert(key.clone(), rule);
        }
    }

    /// The rule for a connection on a listener: the most precise host, then the older route, then the first by name, then
    /// the first of a route. Without a server name only rules for all hosts serve.
    pub(crate) fn find(&self, listener: &ListenerKey, server_name: Option<&str>) -> Option<Rc<RuleView>> {
        let hosts = self.by_listener.get(listener)?;
        hosts.covering(server_name.unwrap_or_default()).flatten().next().map(|found| found.rule.clone())
    }

    fn attach(&mut self, rule: &Rc<RuleView>) {
        for (listener, effective, own) in places(&rule.source) {
            let candidates = self.by_listener.entry(listener.clone()).or_default().at(effective);
            let candidate = Candidate { own: own.cloned(), rule: rule.clone() };
            let at = candidates.partition_point(|other| other.order(&candidate).is_lt());
            candidates.insert(at, candidate);
        }
    }

    fn detach(&mut self, rule: &Rc<RuleView>) {
        for (listener, effective, _) in places(&rule.source) {
            let Some(hosts) = self.by_listener.get_mut(listener) else { continue };
            hosts.shrink(effective, |candidates| {
                candidates.retain(|candidate| !Rc::ptr_eq(&candidate.rule, rule));
                candidates.is_empty()
            });
            if hosts.is_empty() {
                self.by_listener.remove(listener);
            }
        }
    }
}

impl Candidate {
    fn order(&self, other: &Self) -> Ordering {
        let age = |candidate: &Self| {
            let source = &candidate.rule.source;
            (source.created, source.key.route.object.clone(), source.key.route.kind, source.key.index)
        };
        by_own(self.own.as_ref(), other.own.as_ref()).then_with(|| age(self).cmp(&age(other)))
    }
}

/// Where a rule is attached: listener, effective host, the route's own host. No host is every host.
fn places(rule: &L4Rule) -> impl Iterator<Item = (&ListenerKey, Option<&HostPattern>, Option<&HostPattern>)> {
    rule.attachments.iter().flat_map(|attachment| {
        let every = attachment.hosts.is_empty().then_some((&attachment.listener, None, None));
        let named = attachment.hosts.iter();
        let named = named.map(|host| (&attachment.listener, Some(&host.effective), Some(&host.own)));
        every.into_iter().chain(named)
    })
}

#[cfg(test)]
mod tests {
    use lasthop_dataplane_api::{
        AttachedHost, Attachment, InvalidBackend, L4Backend, ObjectName, RouteKey, RouteKind,
    };

    use super::*;

    fn listener() -> ListenerKey {
        ListenerKey { gateway: ObjectName::new("default", "gw"), set: None, name: "tls".into() }
    }

    fn rule(name: &str, created: i64, hosts: &[&str], weights: &[u32]) -> Arc<L4Rule> {
        let host = |host: &&str| {
            let own: HostPattern = host.parse().unwrap();
            AttachedHost { effective: own.clone(), own }
        };
        let backend = |weight: &u32| L4Backend {
            weight: *weight,
            target: BackendTarget::Invalid(InvalidBackend {
                reason: "BackendNotFound".into(),
                reference: weight.to_string().into(),
            }),
        };
        Arc::new(L4Rule {
            key: RuleKey {
                route: RouteKey { kind: RouteKind::TLSRoute, object: ObjectName::new("default", name) },
                gateway: listener().gateway,
                index: 0,
            },
            name: None,
            created,
            attachments: vec![Attachment { listener: listener(), hosts: hosts.iter().map(host).collect() }],
            backends: weights.iter().map(backend).collect(),
        })
    }

    #[test]
    fn the_most_precise_host_serves_then_the_older_route() {
        let mut rules = L4Rules::default();
        let all = [
            rule("any", 0, &[], &[1]),
            rule("wild", 0, &["*.example.com"], &[1]),
            rule("younger", 5, &["a.example.com"], &[1]),
            rule("older", 3, &["a.example.com"], &[1]),
            rule("oldest", 3, &["a.example.com"], &[1]),
        ];
        all.iter().for_each(|rule| rules.set(&rule.key, Some(rule)));
        let found = |rules: &L4Rules, name| {
            rules.find(&listener(), name).map(|rule| rule.source.key.route.object.name.to_string())
        };
        assert_eq!(found(&rules, Some("a.example.com")).as_deref(), Some("older"), "by name among the old");
        assert_eq!(found(&rules, Some("b.example.com")).as_deref(), Some("wild"));
        assert_eq!(found(&rules, Some("example.org")).as_deref(), Some("any"));
        assert_eq!(found(&rules, None).as_deref(), Some("any"));
        rules.set(&all[3].key, None);
        rules.set(&all[4].key, None);
        assert_eq!(found(&rules, Some("a.example.com")).as_deref(), Some("younger"));
        rules.set(&all[0].key, None);
        assert_eq!(found(&rules, None), None);
        all.iter().for_each(|rule| rules.set(&rule.key, None));
        assert!(rules.by_listener.is_empty() && rules.rules.is_empty());
    }

    #[test]
    fn weights_share_and_nothing_is_left_without_one() {
        let mut rules = L4Rules::default();
        let shared = rule("shared", 0, &[], &[1, 0, 3]);
        rules.set(&shared.key, Some(&shared));
        let view = rules.find(&listener(), None).unwrap();
        let share = |random| match view.for_number(random) {
            Some(BackendTarget::Invalid(invalid)) => invalid.reference.to_string(),
            _ => String::new(),
        };
        assert_eq!(share(0), "1");
        assert_eq!(share(u32::MAX / 4), "1");
        assert_eq!(share(u32::MAX / 4 + 2), "3");
        assert_eq!(share(u32::MAX), "3");
        let none = rule("none", 0, &[], &[0]);
        rules.set(&none.key, Some(&none));
        rules.set(&shared.key, None);
        assert!(rules.find(&listener(), None).unwrap().choose().is_none());
    }
}
