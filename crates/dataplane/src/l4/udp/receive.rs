//! A listening socket: each datagram finds its session.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    net::SocketAddr,
    rc::{Rc, Weak},
    time::Duration,
};

use lasthop_dataplane_api::FailureReason;

use super::{
    DATAGRAM,
    session::{UdpSession, choose, open},
    sessions::{ClientKey, Place, Sessions},
    socket::DatagramSocket,
};
use crate::{
    l4::session::Session,
    wire,
    worker::{ListenerView, Worker, clock},
};

/// How long nothing is received after an error.
const PAUSE: Duration = Duration::from_millis(10);

/// A listening socket and its sessions.
pub(crate) struct Receiver {
    pub worker: Rc<Worker>,
    /// The address it was asked for.
    address: SocketAddr,
    /// Until the listener goes.
    socket: RefCell<Option<DatagramSocket>>,
    pub sessions: RefCell<Sessions>,
    /// Its listener as of an update.
    listener: RefCell<(u64, Option<Rc<ListenerView>>)>,
    /// When a datagram that nobody takes was last logged.
    logged: Cell<u64>,
}

impl Receiver {
    /// The listener, looked up once for each update.
    fn listener(&self) -> Option<Rc<ListenerView>> {
        let now = self.worker.updates.get();
        let mut known = self.listener.borrow_mut();
        if known.0 != now {
            let view = self.worker.view.borrow();
            let key = view.datagrams.get(&self.address);
            *known = (now, key.and_then(|key| view.listeners.get(key)).cloned());
        }
        known.1.clone()
    }

    /// Sends an answer to a client.
    pub(super) fn send(&self, datagram: &[u8], (client, local): ClientKey) {
        if let Some(socket) = &*self.socket.borrow()
            && let Err(error) = socket.send(datagram, client, local)
        {
            tracing::debug!(%client, %error, "cannot answer a client");
        }
    }
}

/// The listening sockets of a worker. They share its places for sessions.
#[derive(Default)]
pub(crate) struct Receivers(RefCell<Vec<Weak<Receiver>>>);

impl Receivers {
    fn add(&self, receiver: &Rc<Receiver>) {
        let mut all = self.0.borrow_mut();
        all.retain(|receiver| receiver.strong_count() > 0);
        all.push(Rc::downgrade(receiver));
    }

    /// The one with the most sessions, and how many sockets there are.
    fn fullest(&self) -> (Option<Rc<Receiver>>, usize) {
        let all = self.0.borrow();
        let there = || all.iter().filter_map(Weak::upgrade);
        (there().max_by_key(|receiver| receiver.sessions.borrow().count()), there().count())
    }
}

/// Receives until the task is ended; then the socket is closed and its sessions end.
pub(crate) async fn receive(worker: Rc<Worker>, socket: DatagramSocket, address: SocketAddr) {
    struct Closed(Rc<Receiver>);
    impl Drop for Closed {
        fn drop(&mut self) {
            drop(self.0.socket.take());
            let sessions = self.0.sessions.borrow_mut().drain();
            sessions.iter().for_each(|session| session.end(None));
        }
    }
    let receiver = Closed(Rc::new(Receiver {
        worker,
        address,
        socket: RefCell::new(Some(socket)),
        sessions: RefCell::default(),
        listener: RefCell::default(),
        logged: Cell::new(u64::MAX),
    }));
    let receiver = &receiver.0;
    receiver.worker.udp_receivers.add(receiver);
    loop {
        let received = poll_fn(|cx| {
            DATAGRAM.with_borrow_mut(|buffer| {
                let socket = receiver.socket.borrow();
                let Some(socket) = &*socket else { return std::task::Poll::Pending };
                socket.poll_receive(cx, buffer).map_ok(|datagram| {
                    let bytes = buffer.get(..datagram.length).unwrap_or_default();
                    take(receiver, (datagram.client, datagram.local), bytes);
                })
            })
        });
        if let Err(error) = received.await {
            // An error of an earlier answer, as a rule; of a broken socket there is no end.
            tracing::debug!(socket = %address, %error, "cannot receive datagrams");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// A client's datagram: for its session, or the first of a new one.
fn take(receiver: &Rc<Receiver>, key: ClientKey, datagram: &[u8]) {
    let worker = &receiver.worker;
    let Some(listener) = receiver.listener() else { return };
    let known = receiver.sessions.borrow().get(&key).cloned();
    if let Some(session) = known {
        let reason = match session.is_current(worker, &listener.key) {
            true => match session.forward(datagram) {
                Ok(()) => return,
                Err(_) => Some(FailureReason::ConnectFailed),
            },
            false => None,
        };
        receiver.sessions.borrow_mut().remove(&session);
        session.end(reason);
    }
    begin(receiver, key, listener, datagram);
}

/// Begins a session with its first datagram, or drops that.
fn begin(receiver: &Rc<Receiver>, key: ClientKey, listener: Rc<ListenerView>, datagram: &[u8]) {
    let worker = &receiver.worker;
    let local = SocketAddr::new(key.1.unwrap_or(receiver.address.ip()), receiver.address.port());
    let mut record =
        Session::of_datagrams(worker.clone(), wire::canonical(key.0), wire::canonical(local), listener);
    let begun = match worker.draining.get() {
        true => Err(FailureReason::Overloaded),
        false => choose(worker, &mut record)
            .and_then(|backend| Ok((place(receiver).ok_or(FailureReason::TooManySessions)?, backend)))
            .and_then(|(place, backend)| Ok((place, open(worker, &mut record, &backend)?, backend))),
    };
    match begun {
        Ok((place, reached, backend)) => {
            record.admit();
            let session = UdpSession::start(receiver, key, record, backend, reached, place);
            receiver.sessions.borrow_mut().add(session.clone());
            if session.forward(datagram).is_err() {
                receiver.sessions.borrow_mut().remove(&session);
                session.end(Some(FailureReason::ConnectFailed));
            }
        }
        Err(reason) => {
            if let Some(backend) = record.backend() {
                backend.count_failure(&reason);
            }
            record.note(reason);
            // A flood must not flood the log: of each tick one.
            record.logged = receiver.logged.replace(clock::now()) != clock::now();
        }
    }
}

/// A place for one more session; another one may have to go for it. One that idles, of the socket that has the most: it is
/// most likely the one that is flooded. A socket with less than its due gets a place in any case.
fn place(receiver: &Rc<Receiver>) -> Option<Place> {
    let worker = &receiver.worker;
    Place::take(worker).or_else(|| {
        let (fullest, sockets) = worker.udp_receivers.fullest();
        let fullest = fullest.as_ref().unwrap_or(receiver);
        let idle = |of: &Receiver| of.sessions.borrow_mut().take_idle();
        let due = Place::most(worker) / (2 * sockets.max(1));
        let short = || receiver.sessions.borrow().count() < due;
        let goes = idle(fullest)
            .or_else(|| idle(receiver))
            .or_else(|| short().then(|| fullest.sessions.borrow_mut().take_any())?)?;
        goes.end(None);
        Place::take(worker)
    })
}
