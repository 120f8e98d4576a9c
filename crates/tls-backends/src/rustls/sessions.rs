//! Sessions of one endpoint, as rustls keeps them.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use pki_types::{ServerName, UnixTime};
use rustls::{
    NamedGroup,
    client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue},
};

use crate::sessions::{Deadline, SessionStore, lock};

/// All sessions of one endpoint, and the group it likes.
pub(super) struct EndpointSessions {
    tls12: SessionStore<Tls12ClientSessionValue>,
    tls13: SessionStore<Tls13ClientSessionValue>,
    group: Mutex<Option<NamedGroup>>,
}

impl EndpointSessions {
    pub(super) fn new() -> Self {
        Self { tls12: SessionStore::new(), tls13: SessionStore::new(), group: Mutex::new(None) }
    }
}

/// The sessions as one connection sees them: what it leaves behind has the deadline of the verification it stands on,
/// its own or that of the session it resumed.
pub(super) struct ConnectionSessions {
    endpoint: Arc<EndpointSessions>,
    name: Arc<str>,
    deadline: Mutex<Deadline>,
}

impl ConnectionSessions {
    pub(super) fn new(endpoint: Arc<EndpointSessions>, name: Arc<str>) -> Self {
        Self { endpoint, name, deadline: Mutex::new(Deadline::after(UnixTime::now())) }
    }

    /// The handshake verified a leaf that expires then.
    pub(super) fn verified(&self, not_after: Option<UnixTime>) {
        if let Some(not_after) = not_after {
            lock(&self.deadline).no_later_than(not_after);
        }
    }

    fn inherit<S>(&self, (session, deadline): (S, Deadline)) -> S {
        // If the backend declines it and shows its certificate anew, the older deadline only ends things earlier.
        *lock(&self.deadline) = deadline;
        session
    }
}

impl ClientSessionStore for ConnectionSessions {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        *lock(&self.endpoint.group) = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        *lock(&self.endpoint.group)
    }

    fn set_tls12_session(&self, _: ServerName<'static>, session: Tls12ClientSessionValue) {
        // One is enough: it may be used any number of times.
        self.endpoint.tls12.forget(&self.name);
        self.endpoint.tls12.put(&self.name, &lock(&self.deadline), session);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        let session = self.endpoint.tls12.take(&self.name, UnixTime::now())?;
        self.endpoint.tls12.put(&self.name, &session.1, session.0.clone());
        Some(self.inherit(session))
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.endpoint.tls12.forget(&self.name);
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.endpoint.tls13.put(&self.name, &lock(&self.deadline), ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.endpoint.tls13.take(&self.name, UnixTime::now()).map(|session| self.inherit(session))
    }
}

impl fmt::Debug for ConnectionSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionSessions({:?})", self.name)
    }
}
