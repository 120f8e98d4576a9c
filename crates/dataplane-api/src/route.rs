//! Rules of HTTPRoute and GRPCRoute, in the form that requests are matched against.
//!
//! A GRPCRoute's rule is an HTTP rule: its method match is a path match (`/service/method`).

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{BackendKey, HostPattern, HttpFilter, ListenerKey, RuleKey, SessionPersistence};

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRule {
    /// Its name in the snapshot; its kind decides how our own errors look (HTTP or gRPC).
    pub key: RuleKey,
    /// The user's name for it.
    pub name: Option<Arc<str>>,
    /// The route's creation time in seconds since the epoch; between equal matches the older route wins, then the
    /// one whose `namespace/name` comes first.
    pub created: i64,
    /// The listeners it serves, with the hosts on each. Never empty.
    pub attachments: Vec<Attachment>,
    /// Any of these must match. Never empty.
    pub matches: Vec<HttpMatch>,
    /// What happens to the request and response, in order.
    pub filters: Vec<HttpFilter>,
    /// Where the request goes. Empty and without a redirect: 500.
    pub backends: Vec<WeightedBackend>,
    /// Its time limits.
    pub timeouts: Timeouts,
    /// Whether and when a failed attempt is repeated.
    pub retry: Option<Retry>,
    /// Whether a client's requests stay at one endpoint.
    pub persistence: Option<SessionPersistence>,
}

/// A listener that a rule serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// The listener.
    pub listener: ListenerKey,
    /// The hosts: the route's own host names as far as the listener takes them. Empty means every host that the
    /// listener takes. Precedence goes by `own`.
    pub hosts: Vec<AttachedHost>,
}

/// One host name of a route on one listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachedHost {
    /// What the route wrote; it decides the precedence between routes.
    pub own: HostPattern,
    /// What the route's and the listener's host names have in common; only these requests match.
    pub effective: HostPattern,
}

/// Conditions on a request that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpMatch {
    /// On the path; `None` means every path.
    pub path: Option<PathMatch>,
    /// The method, upper case.
    pub method: Option<Arc<str>>,
    /// On header fields, names in lower case.
    pub headers: Vec<KeyValueMatch>,
    /// On query parameters; of a name given twice the first value counts.
    pub query: Vec<KeyValueMatch>,
}

/// A condition on the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", deny_unknown_fields)]
pub enum PathMatch {
    /// Exactly this path.
    Exact(Arc<str>),
    /// This path or one below it, by whole segments; `/` is every path.
    Prefix(Arc<str>),
    /// A regular expression (crate `regex`'s syntax) that matches the whole path.
    Regex(Arc<str>),
    /// A gRPC method (`/service/method`) of which not both parts are given exactly. What is not given is any.
    Grpc {
        /// On the service.
        service: Option<StringMatch>,
        /// On the method.
        method: Option<StringMatch>,
    },
}

/// A condition on a named value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyValueMatch {
    /// The name.
    pub name: Arc<str>,
    /// On its value.
    pub value: StringMatch,
}

/// A condition on a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", deny_unknown_fields)]
pub enum StringMatch {
    /// Exactly this text.
    Exact(Arc<str>),
    /// A regular expression that matches the whole text.
    Regex(Arc<str>),
}

/// A backend with its share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedBackend {
    /// Its share is this over the sum of the rule's weights; 0 gets nothing.
    pub weight: u32,
    /// Where it is.
    pub target: BackendTarget,
    /// What happens to requests that go there, after the rule's own filters.
    pub filters: Vec<HttpFilter>,
}

/// Where a reference leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackendTarget {
    /// To this backend of the snapshot.
    Backend(BackendKey),
    /// Nowhere: its share of requests gets a 500.
    Invalid(InvalidBackend),
}

/// Why a reference leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvalidBackend {
    /// The reason of the route's `ResolvedRefs` condition.
    pub reason: Arc<str>,
    /// What was referenced.
    pub reference: Arc<str>,
}

/// A rule's time limits; `None` is no limit of the rule's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// From the request's head to the response's end, all attempts together.
    pub request: Option<Duration>,
    /// One attempt.
    pub backend_request: Option<Duration>,
}

/// When a failed attempt is repeated (GEP-1731).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// How many further attempts; 0 turns off every repetition.
    pub attempts: u32,
    /// Response codes that count as failed.
    pub codes: Vec<u16>,
    /// The least time between two attempts.
    pub backoff: Option<Duration>,
}
