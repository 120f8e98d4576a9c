//! What came of a Gateway.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use lasthop_api_model::{FromNamespaces, LabelSelector};
use lasthop_dataplane_api::{HostPattern, Listener, ListenerKey, ObjectName, RouteKind};

use super::ClientCertificate;
use crate::{listeners::ListenerOutcome, problem::Problem};

/// What came of a Gateway that is ours, with its ListenerSets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GatewayOutcome {
    /// When it was made, in seconds since the epoch.
    pub created: i64,
    /// Why it is not accepted.
    pub refused: Option<Problem>,
    /// The addresses it asks for; empty is any.
    pub addresses: Vec<IpAddr>,
    /// What routes see.
    pub admissions: Vec<Admission>,
    /// What the dataplane gets.
    pub serving: BTreeMap<ListenerKey, Arc<Listener>>,
    /// What is said about each listener: the Gateway's own first, then set by set.
    pub listeners: Vec<ListenerOutcome>,
    /// What it shows to backends.
    pub client_certificate: ClientCertificate,
    /// Whether some port lets clients in without a valid certificate.
    pub insecure_frontend: bool,
    /// The ListenerSets that name it, and why they are not accepted.
    pub sets: BTreeMap<ObjectName, Option<Problem>>,
}

/// What a route sees of a listener.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Admission {
    /// The listener.
    pub key: ListenerKey,
    /// Its port.
    pub port: u16,
    /// Its host name; `None` is every one.
    pub hostname: Option<HostPattern>,
    /// The kinds of routes it takes.
    pub kinds: Vec<RouteKind>,
    /// The namespaces they may come from.
    pub from: FromNamespaces,
    /// With `Selector`.
    pub selector: Option<LabelSelector>,
    /// Whether clients' TLS goes through to the backends.
    pub passes_tls: bool,
    /// Whether the dataplane gets it. Routes attach in any case.
    pub serves: bool,
}

impl Admission {
    /// The namespace that `Same` means: that of the object the listener stands in.
    pub(crate) fn namespace(&self) -> &str {
        &self.key.set.as_ref().unwrap_or(&self.key.gateway).namespace
    }
}
