//! Session persistence: which endpoint a client's further requests go to (GEP-1619).

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

/// Keeps the requests of one client at the endpoint that answered its first.
///
/// The client carries the session; what it carries names backend and endpoint and is the dataplane's own to sign. An
/// endpoint that is gone, a backend without weight, a session that is over or was not signed by us: a new session begins
/// as if there were none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionPersistence {
    /// What carries the session.
    pub carrier: SessionCarrier,
    /// How long it lasts at most, used or not. Always given with a permanent cookie.
    pub absolute_timeout: Option<Duration>,
}

/// What carries a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum SessionCarrier {
    /// A cookie that the response sets (RFC 6265).
    Cookie {
        /// Its name, a token (RFC 9110 §5.6.2); unique to the rule where the user gave none.
        name: Arc<str>,
        /// Its `Path`; begins with `/` and can be written as it is.
        path: Arc<str>,
        /// Whether the client keeps it until the session is over (`Max-Age`), or forgets it when it closes.
        permanent: bool,
    },
    /// A header field that the response carries and further requests repeat.
    Header {
        /// Its name, in lower case.
        name: Arc<str>,
    },
}

/// What clients' sessions are sealed with, where a control plane gives it: dataplanes with the same secret take over
/// each other's sessions. Never in logs and pages.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionSecret(Arc<[u8; SessionSecret::LENGTH]>);

impl SessionSecret {
    /// In bytes.
    pub const LENGTH: usize = 32;

    /// These bytes, which nobody can guess.
    pub fn new(bytes: [u8; Self::LENGTH]) -> Self {
        Self(Arc::new(bytes))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret(..)")
    }
}
