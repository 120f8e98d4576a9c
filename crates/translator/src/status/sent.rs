//! Which statuses were given out, so that none is given out twice.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use lasthop_api_model::{Condition, Resource, ResourceKey, Time};

use crate::output::{Status, StatusChange};

/// The statuses as they should be.
#[derive(Debug, Default)]
pub(crate) struct Statuses {
    current: BTreeMap<ResourceKey, Status>,
}

impl Statuses {
    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ResourceKey, &Status)> {
        self.current.iter()
    }

    /// There is nothing to say about an object any more.
    pub(crate) fn remove(&mut self, key: &ResourceKey) {
        self.current.remove(key);
    }

    /// Puts in a status. Gives it back for writing unless it was given out before or stands in the object already;
    /// `rewritten` says that the object has just come from its source, where somebody may have undone what we wrote.
    pub(crate) fn put(
        &mut self,
        key: ResourceKey,
        status: Status,
        object: Option<&Resource>,
        rewritten: bool,
    ) -> Option<StatusChange> {
        let own = object.and_then(own_status);
        let known = self.current.insert(key.clone(), status.clone());
        if own.as_ref() == Some(&status) {
            return None;
        }
        let same = known.is_some_and(|known| without_times(known) == without_times(status.clone()));
        if same && !(rewritten && own.is_some()) {
            return None;
        }
        Some(StatusChange { key, status })
    }
}

fn own_status(object: &Resource) -> Option<Status> {
    match object {
        Resource::GatewayClass(class) => class.status.clone().map(Status::GatewayClass),
        Resource::Gateway(gateway) => gateway.status.clone().map(Status::Gateway),
        Resource::ListenerSet(set) => set.status.clone().map(Status::ListenerSet),
        Resource::HttpRoute(route) => route.status.clone().map(Status::Route),
        Resource::GrpcRoute(route) => route.status.clone().map(Status::Route),
        Resource::TlsRoute(route) => route.status.clone().map(Status::Route),
        Resource::TcpRoute(route) => route.status.clone().map(Status::Route),
        Resource::UdpRoute(route) => route.status.clone().map(Status::Route),
        Resource::BackendTlsPolicy(policy) => policy.status.clone().map(Status::Policy),
        _ => None,
    }
}

fn without_times(mut status: Status) -> Status {
    let clear = |conditions: &mut Vec<Condition>| {
        for condition in conditions {
            condition.last_transition_time = Time(Timestamp::UNIX_EPOCH);
        }
    };
    match &mut status {
        Status::GatewayClass(class) => clear(&mut class.conditions),
        Status::Gateway(gateway) => {
            clear(&mut gateway.conditions);
            gateway.listeners.iter_mut().for_each(|listener| clear(&mut listener.conditions));
        }
        Status::ListenerSet(set) => {
            clear(&mut set.conditions);
            set.listeners.iter_mut().for_each(|listener| clear(&mut listener.conditions));
        }
        Status::Route(route) => route.parents.iter_mut().for_each(|parent| clear(&mut parent.conditions)),
        Status::Policy(policy) => {
            policy.ancestors.iter_mut().for_each(|ancestor| clear(&mut ancestor.conditions));
        }
    }
    status
}
