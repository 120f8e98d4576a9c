//! The sessions of one listening socket, and how many there may be.

use std::{cell::Cell, collections::HashMap, net::IpAddr, net::SocketAddr, rc::Rc};

use super::session::UdpSession;
use crate::worker::{Worker, clock};

/// A client and the address it speaks to.
pub(super) type ClientKey = (SocketAddr, Option<IpAddr>);

/// How many are looked at to find one that idles.
const LOOKS: usize = 16;
/// How long a client that sent more than once must have been silent to make room for another one, in milliseconds.
const SILENT: u64 = 5_000;
/// How long one that asked once is waited for at least: two ticks of the clock, in milliseconds.
const ASKED: u64 = 400;

/// The sessions of a socket.
#[derive(Default)]
pub(super) struct Sessions {
    /// Clients choose their addresses: the map's own hash has a secret.
    by_client: HashMap<ClientKey, usize>,
    all: Vec<Rc<UdpSession>>,
}

impl Sessions {
    /// A client's session.
    pub(super) fn get(&self, key: &ClientKey) -> Option<&Rc<UdpSession>> {
        self.by_client.get(key).and_then(|place| self.all.get(*place))
    }

    /// Adds one, for a client that has none.
    pub(super) fn add(&mut self, session: Rc<UdpSession>) {
        self.by_client.insert(session.key, self.all.len());
        self.all.push(session);
    }

    /// Takes one out, if it is still there.
    pub(super) fn remove(&mut self, session: &Rc<UdpSession>) {
        let Some(&place) = self.by_client.get(&session.key) else { return };
        if !self.all.get(place).is_some_and(|found| Rc::ptr_eq(found, session)) {
            return;
        }
        self.by_client.remove(&session.key);
        self.all.swap_remove(place);
        if let Some(moved) = self.all.get(place) {
            self.by_client.insert(moved.key, place);
        }
    }

    /// Takes out one that may make room: of a few, the one that idles for longest of those that may go. Who asked once and
    /// was answered may go at once; a flood finds no room among clients that are being served.
    pub(super) fn take_idle(&mut self) -> Option<Rc<UdpSession>> {
        let may_go = |session: &&Rc<UdpSession>| {
            let wait = match (session.asked_once(), session.was_answered()) {
                (true, true) => 0,
                (true, false) => ASKED,
                (false, _) => SILENT,
            };
            session.last() + wait <= clock::now()
        };
        self.take_idlest(may_go)
    }

    /// Takes out the one of a few that idles for longest, if only for a moment.
    pub(super) fn take_any(&mut self) -> Option<Rc<UdpSession>> {
        self.take_idlest(|_| true)
    }

    fn take_idlest(&mut self, may_go: impl Fn(&&Rc<UdpSession>) -> bool) -> Option<Rc<UdpSession>> {
        let some = || self.all.get(fastrand::usize(..self.all.len().max(1)));
        let some = (0..LOOKS).filter_map(|_| some()).filter(may_go);
        let idlest = some.min_by_key(|session| session.last())?.clone();
        self.remove(&idlest);
        Some(idlest)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// Takes out all.
    pub(super) fn drain(&mut self) -> Vec<Rc<UdpSession>> {
        self.by_client.clear();
        std::mem::take(&mut self.all)
    }
}

/// A place among the sessions that a worker may have.
pub(super) struct Place(Rc<Worker>);

impl Place {
    /// A place, if one is free.
    pub(super) fn take(worker: &Rc<Worker>) -> Option<Self> {
        if worker.udp_sessions.get() >= Self::most(worker) {
            return None;
        }
        add(&worker.udp_sessions);
        add(&worker.open);
        Some(Self(worker.clone()))
    }

    /// How many a worker has.
    pub(super) fn most(worker: &Worker) -> usize {
        (worker.limits.udp_sessions / worker.peers.len().max(1)).max(1)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let less = |count: &Cell<usize>| count.set(count.get().saturating_sub(1));
        less(&self.0.udp_sessions);
        less(&self.0.open);
    }
}

fn add(count: &Cell<usize>) {
    count.set(count.get() + 1);
}
