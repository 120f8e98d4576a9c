//! One route.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lasthop_dataplane_api::{
    Attachment, HttpRule, L4Rule, ListenerKey, ObjectName, RouteKey, RouteKind, RuleKey,
};

use super::{
    RouteOutcome,
    attach::{self, Parent},
    http::RuleBody,
    scope::Scope,
    stream::StreamBody,
    verdicts,
    view::{RouteView, Rules},
};
use crate::{index::Reader, names};

/// What comes of a route; `None` when there is none.
pub(crate) fn translate(reader: &Reader<'_>, key: &RouteKey) -> Option<RouteOutcome> {
    let route = super::view(reader, key)?;
    let implied = attach::default_parents(reader, key, &route);
    let references = route.parent_refs.iter().chain(&implied);
    let parents: Vec<Parent<'_>> =
        references.filter_map(|parent| attach::parent(reader, key, &route, parent)).collect();
    if let Rules::Streams(rules) = &route.rules
        && rules.len() > 1
    {
        let message = "nothing tells connections of one rule from those of another: only the first rule serves; \
                       split the route";
        reader.notice(names::route_resource(key), "spec.rules[1]", message);
    }
    let mut outcome = RouteOutcome::default();
    let accepting = attachments(&parents);
    let is_stream = is_stream(key.kind, &parents);
    let mut scopes = Vec::new();
    for (gateway, attachments) in &accepting {
        let mut scope = Scope::new(reader, key, gateway, is_stream);
        let bodies = bodies(&mut scope, &route);
        outcome.uses.referents.extend(scope.referents.iter().map(|to| (to.clone(), (*gateway).clone())));
        if passes_tls(&parents, gateway) {
            let passed = scope.referents.iter().map(|to| (to.clone(), (*gateway).clone()));
            outcome.uses.passed.extend(passed);
        }
        if !attachments.is_empty() {
            outcome.uses.backends.append(&mut scope.backends);
            for (index, body) in bodies {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                let key = RuleKey { route: key.clone(), gateway: (*gateway).clone(), index };
                match body {
                    Body::Http(body) => {
                        outcome.rules.push(Arc::new(http_rule(key, &route, attachments, *body)));
                    }
                    Body::Stream(body) => {
                        outcome.l4_rules.push(Arc::new(l4_rule(key, &route, attachments, body)));
                    }
                }
            }
        }
        scopes.push(scope);
    }
    // A route that is accepted nowhere is still told what is wrong with its references.
    if let (true, Some(parent)) = (scopes.is_empty(), parents.first()) {
        let mut scope = Scope::new(reader, key, &parent.gateway, is_stream);
        bodies(&mut scope, &route);
        scopes.push(scope);
    }
    if let Some(scope) = scopes.first() {
        let summary = verdicts::Summary::of(scope, rule_count(&route));
        outcome.said = parents.iter().map(|parent| summary.at(parent)).collect();
        if summary.accepted() {
            outcome.uses.attached = attached(&parents);
            if matches!(key.kind, RouteKind::TCPRoute | RouteKind::UDPRoute) {
                let created = names::created(route.metadata);
                let listeners = outcome.uses.attached.iter();
                outcome.uses.whole =
                    listeners.map(|listener| (listener.clone(), created, key.clone())).collect();
            }
        }
    }
    Some(outcome)
}

/// The listeners that serve the route, by Gateway; each once, however many references lead to it.
fn attachments<'p>(parents: &'p [Parent<'_>]) -> BTreeMap<&'p ObjectName, Vec<Attachment>> {
    let mut by_gateway: BTreeMap<&ObjectName, Vec<Attachment>> = BTreeMap::new();
    for parent in parents {
        let Ok(listeners) = &parent.attached else { continue };
        let attachments = by_gateway.entry(&parent.gateway).or_default();
        for listener in listeners.iter().filter(|listener| listener.serves) {
            if !attachments.iter().any(|known| known.listener == listener.key) {
                attachments
                    .push(Attachment { listener: listener.key.clone(), hosts: listener.hosts.clone() });
            }
        }
    }
    by_gateway
}

/// Whether some listener hands connections of the route on whose hop a policy decides about.
fn is_stream(kind: RouteKind, parents: &[Parent<'_>]) -> bool {
    match kind {
        RouteKind::TCPRoute => true,
        RouteKind::TLSRoute => {
            let listeners = parents.iter().filter_map(|parent| parent.attached.as_ref().ok()).flatten();
            listeners.into_iter().any(|listener| !listener.passes_tls)
        }
        RouteKind::HTTPRoute | RouteKind::GRPCRoute | RouteKind::UDPRoute => false,
    }
}

/// Whether clients' TLS goes through some listener of the Gateway that the route is attached to.
fn passes_tls(parents: &[Parent<'_>], gateway: &ObjectName) -> bool {
    let of_gateway = parents.iter().filter(|parent| parent.gateway == *gateway);
    let listeners = of_gateway.filter_map(|parent| parent.attached.as_ref().ok()).flatten();
    listeners.into_iter().any(|listener| listener.passes_tls)
}

fn attached(parents: &[Parent<'_>]) -> BTreeSet<ListenerKey> {
    let listeners = parents.iter().filter_map(|parent| parent.attached.as_ref().ok()).flatten();
    listeners.map(|listener| listener.key.clone()).collect()
}

fn rule_count(route: &RouteView<'_>) -> usize {
    match &route.rules {
        Rules::Http(rules) => rules.len(),
        Rules::Grpc(rules) => rules.len(),
        Rules::Streams(rules) => rules.len(),
    }
}

/// A rule without its place.
enum Body {
    Http(Box<RuleBody>),
    Stream(StreamBody),
}

/// The rules that can be matched, by their place in the route.
fn bodies(scope: &mut Scope<'_, '_>, route: &RouteView<'_>) -> Vec<(usize, Body)> {
    let http = |body| Body::Http(Box::new(body));
    let mut bodies = Vec::new();
    for index in 0..rule_count(route) {
        scope.rule = index;
        let body = match &route.rules {
            Rules::Http(rules) => rules.get(index).and_then(|rule| scope.http_rule(rule)).map(http),
            Rules::Grpc(rules) => rules.get(index).and_then(|rule| scope.grpc_rule(rule)).map(http),
            Rules::Streams(rules) => rules.get(index).map(|rule| Body::Stream(scope.stream_rule(rule))),
        };
        bodies.extend(body.map(|body| (index, body)));
    }
    bodies
}

fn http_rule(key: RuleKey, route: &RouteView<'_>, attachments: &[Attachment], body: RuleBody) -> HttpRule {
    HttpRule {
        key,
        name: body.name,
        created: names::created(route.metadata),
        attachments: attachments.to_vec(),
        matches: body.matches,
        filters: body.filters,
        backends: body.backends,
        timeouts: body.timeouts,
        retry: body.retry,
        persistence: body.persistence,
    }
}

fn l4_rule(key: RuleKey, route: &RouteView<'_>, attachments: &[Attachment], body: StreamBody) -> L4Rule {
    L4Rule {
        key,
        name: body.name,
        created: names::created(route.metadata),
        attachments: attachments.to_vec(),
        backends: body.backends,
    }
}
