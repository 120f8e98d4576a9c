//! Rules of TLSRoute, TCPRoute and UDPRoute: connections, or a client's datagrams, are handed on as a whole.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Attachment, BackendTarget, RuleKey};

/// One rule; the kind in its key tells of which kind of route.
///
/// A TLSRoute's rule serves TLS listeners by the hosts of its attachments: a listener without
/// [`crate::Listener::tls`] passes the client's TLS through, one with it terminates. A TCPRoute's or UDPRoute's
/// attachments have no hosts. Of several rules that could serve a connection the one with the most precise host wins,
/// then the older route, then the first by `namespace/name`, then the first of a route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L4Rule {
    /// Its name in the snapshot.
    pub key: RuleKey,
    /// The user's name for it.
    pub name: Option<Arc<str>>,
    /// The route's creation time in seconds since the epoch.
    pub created: i64,
    /// The listeners it serves. Never empty.
    pub attachments: Vec<Attachment>,
    /// Where connections go. Where nothing is left to choose the connection is closed, a datagram dropped.
    pub backends: Vec<L4Backend>,
}

/// A backend with its share of the connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L4Backend {
    /// Its share is this over the sum of the rule's weights; 0 gets nothing.
    pub weight: u32,
    /// Where it is. Behind a TLS listener that passes through the client's own TLS is sent on as it is, whatever the
    /// backend's [`crate::BackendTls`] says: the same backend may be verified, or refused, for connections that the
    /// gateway encrypts. For UDP it is plaintext or refused.
    pub target: BackendTarget,
}
