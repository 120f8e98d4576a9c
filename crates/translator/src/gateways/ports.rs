//! The ports of all Gateways together, where one dataplane serves them.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use lasthop_dataplane_api::{HostPattern, Listener, ListenerKey, ObjectName};

use super::GatewayOutcome;
use crate::{
    listeners::{Clash, Medium, clash},
    problem::Problem,
};

/// Who took what of a port, so far, of those that listen on the same addresses.
#[derive(Debug)]
struct Port {
    first: Arc<Listener>,
    hosts: BTreeMap<Option<HostPattern>, ListenerKey>,
}

/// By port, those of UDP apart, then by addresses; none is all.
type Ports = BTreeMap<(u16, bool), BTreeMap<Vec<IpAddr>, Port>>;

fn number(listener: &Listener) -> (u16, bool) {
    (listener.port, Medium::of(listener.protocol).is_udp())
}

/// Lets the Gateways take their ports one after the other, the oldest first, then by name. A listener that could not be
/// told apart from one of an earlier Gateway is conflicted: the dataplane tells them apart by address, port and host. A
/// Gateway that names no address takes all of them.
pub(crate) fn share(
    drafts: &BTreeMap<ObjectName, Arc<GatewayOutcome>>,
) -> BTreeMap<ObjectName, Arc<GatewayOutcome>> {
    let mut order: Vec<(i64, &ObjectName, &Arc<GatewayOutcome>)> =
        drafts.iter().map(|(name, outcome)| (outcome.created, name, outcome)).collect();
    order.sort_unstable_by_key(|(created, name, _)| (*created, *name));
    let mut ports: Ports = BTreeMap::new();
    let mut shared = BTreeMap::new();
    for (_, name, outcome) in order {
        let conflicts: BTreeMap<ListenerKey, Problem> = outcome
            .serving
            .values()
            .filter_map(|listener| Some((listener.key.clone(), conflict(&ports, listener)?)))
            .collect();
        let outcome = if conflicts.is_empty() { outcome.clone() } else { without(outcome, &conflicts) };
        for listener in outcome.serving.values() {
            let of_port = ports.entry(number(listener)).or_default();
            let port = of_port
                .entry(listener.own_addresses().to_vec())
                .or_insert_with(|| Port { first: listener.clone(), hosts: BTreeMap::new() });
            port.hosts.insert(listener.hostname.clone(), listener.key.clone());
        }
        shared.insert(name.clone(), outcome);
    }
    shared
}

fn conflict(ports: &Ports, listener: &Listener) -> Option<Problem> {
    let meeting = || {
        let of_port = ports.get(&number(listener)).into_iter().flat_map(BTreeMap::values);
        of_port.filter(|port| port.first.meets(listener))
    };
    let protocols = |port: &&Port| {
        let first = (port.first.protocol, port.first.hostname.as_ref());
        clash((listener.protocol, listener.hostname.as_ref()), first) == Some(Clash::Protocol)
    };
    if let Some(port) = meeting().find(|port| port.first.proxy_protocol != listener.proxy_protocol) {
        // The header comes before all that could tell the two apart.
        return Some(Problem::new(
            "ProtocolConflict",
            format!(
                "connections to port {} of listener {} begin {} a PROXY protocol header, and one dataplane serves both \
                 Gateways; give one of the two another port, or their Gateways different addresses",
                listener.port,
                port.first.key,
                if port.first.proxy_protocol { "with" } else { "without" }
            ),
        ));
    }
    if let Some(port) = meeting().find(protocols) {
        return Some(Problem::new(
            "ProtocolConflict",
            format!(
                "port {} speaks {:?} for listener {}, and one dataplane serves both Gateways; give one of the two another port, or their Gateways different addresses",
                listener.port, port.first.protocol, port.first.key
            ),
        ));
    }
    let other = meeting().find_map(|port| port.hosts.get(&listener.hostname))?;
    let host = listener.hostname.as_ref().map_or_else(|| "every host".to_owned(), ToString::to_string);
    Some(Problem::new(
        "HostnameConflict",
        format!(
            "{host} on port {} is taken by listener {other}, and one dataplane serves both Gateways; give one of the two another host name or port, or their Gateways different addresses",
            listener.port
        ),
    ))
}

fn without(outcome: &GatewayOutcome, conflicts: &BTreeMap<ListenerKey, Problem>) -> Arc<GatewayOutcome> {
    let mut outcome = outcome.clone();
    outcome.serving.retain(|key, _| !conflicts.contains_key(key));
    for admission in &mut outcome.admissions {
        admission.serves &= !conflicts.contains_key(&admission.key);
    }
    for listener in &mut outcome.listeners {
        if let Some(problem) = conflicts.get(&listener.key) {
            listener.refused = Some(problem.clone());
            listener.conflict = Some(problem.clone());
        }
    }
    Arc::new(outcome)
}
