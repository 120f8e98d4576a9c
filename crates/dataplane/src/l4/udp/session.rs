//! One client's datagrams, and the answers.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use lasthop_dataplane_api::{FailureReason, ListenerKey};
use smallvec::SmallVec;
use socket2::SockRef;
use tokio::{io::ReadBuf, net::UdpSocket, task::AbortHandle};

use super::{
    DATAGRAM,
    receive::Receiver,
    sessions::{ClientKey, Place},
};
use crate::{
    l4::session::Session,
    upstream::{Endpoint, Hop, InFlight, UpstreamBackend},
    worker::{Worker, clock},
};

/// How long a session may idle while the proxy drains.
const DRAIN_IDLE: Duration = Duration::from_secs(5);

/// A session.
pub(super) struct UdpSession {
    pub key: ClientKey,
    /// To the endpoint and from nobody else.
    upstream: UdpSocket,
    record: Session,
    endpoint: Rc<Endpoint>,
    backend: Rc<UpstreamBackend>,
    last: Cell<u64>,
    /// Datagrams of the client, as far as it matters.
    asked: Cell<u8>,
    answered: Cell<bool>,
    /// As of this update the route leads where the session goes.
    checked: Cell<u64>,
    task: RefCell<Option<AbortHandle>>,
    place: RefCell<Option<Place>>,
    _in_flight: InFlight,
}

/// Chooses where a client's datagrams go; the record keeps what was chosen.
pub(super) fn choose(worker: &Worker, record: &mut Session) -> Result<Rc<UpstreamBackend>, FailureReason> {
    let view = worker.view.borrow();
    let listener = record.listener.as_ref().ok_or(FailureReason::NoRoute)?;
    let rule = view.l4.find(&listener.key, None).ok_or(FailureReason::NoRoute)?;
    record.rule = Some(rule.clone());
    let target = rule.choose().ok_or(FailureReason::InvalidBackend)?;
    let backend = view.backend(target)?;
    record.set_backend(backend.clone());
    match (&backend.hop, backend.proxy_protocol) {
        (Hop::Plaintext, false) => Ok(backend),
        // There is no connection that a header could begin.
        (Hop::Plaintext, true) => Err(FailureReason::InvalidBackend),
        // There is no TLS over datagrams here: nothing is sent rather than plaintext.
        (Hop::Tls { .. } | Hop::Refused, _) => Err(FailureReason::PolicyRefused),
    }
}

/// A socket to an endpoint of the backend.
pub(super) fn open(
    worker: &Worker,
    record: &mut Session,
    backend: &UpstreamBackend,
) -> Result<(Rc<Endpoint>, UdpSocket), FailureReason> {
    let mut tried: SmallVec<[SocketAddr; 4]> = SmallVec::new();
    while tried.len() < worker.limits.connect_attempts as usize
        && let Some(endpoint) = backend.pick(&tried)
    {
        record.attempts += 1;
        record.endpoint = Some(endpoint.address);
        match connected(endpoint.address) {
            Ok(socket) => return Ok((endpoint, socket)),
            Err(error) => {
                tracing::debug!(endpoint = %endpoint.address, %error, "cannot send to the endpoint");
                endpoint.failed();
                tried.push(endpoint.address);
            }
        }
    }
    Err(if tried.is_empty() { backend.without_endpoint() } else { FailureReason::ConnectFailed })
}

fn connected(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

impl UdpSession {
    /// Begins a session; answers go back through the receiver's socket.
    pub(super) fn start(
        receiver: &Rc<Receiver>,
        key: ClientKey,
        record: Session,
        backend: Rc<UpstreamBackend>,
        (endpoint, upstream): (Rc<Endpoint>, UdpSocket),
        place: Place,
    ) -> Rc<Self> {
        let session = Rc::new(Self {
            key,
            upstream,
            record,
            backend,
            last: clock::now().into(),
            asked: 0.into(),
            answered: false.into(),
            checked: receiver.worker.updates.get().into(),
            task: RefCell::default(),
            _in_flight: InFlight::new(endpoint.clone()),
            endpoint,
            place: RefCell::new(Some(place)),
        });
        let task = tokio::task::spawn_local(answer(receiver.clone(), session.clone()));
        session.task.replace(Some(task.abort_handle()));
        session
    }

    /// When the last datagram passed.
    pub(super) fn last(&self) -> u64 {
        self.last.get()
    }

    /// Whether the client sent no more than one datagram.
    pub(super) fn asked_once(&self) -> bool {
        self.asked.get() <= 1
    }

    /// Whether the endpoint answered.
    pub(super) fn was_answered(&self) -> bool {
        self.answered.get()
    }

    /// Whether the route still leads where the session goes.
    pub(super) fn is_current(&self, worker: &Worker, listener: &ListenerKey) -> bool {
        let now = worker.updates.get();
        if self.checked.get() == now {
            return true;
        }
        let view = worker.view.borrow();
        let leads_there = self.record.listener.as_ref().is_some_and(|own| own.key == *listener)
            && view.l4.find(listener, None).is_some_and(|rule| rule.leads_to(&self.backend.key))
            && view.backends.get(&self.backend.key).is_some_and(|backend| {
                matches!(backend.hop, Hop::Plaintext)
                    && !backend.proxy_protocol
                    && backend.has(&self.endpoint)
            });
        if leads_there {
            self.checked.set(now);
        }
        leads_there
    }

    /// Sends a datagram on. An error ends the session: nobody listens there.
    pub(super) fn forward(&self, datagram: &[u8]) -> io::Result<()> {
        self.record.count_in(datagram.len() as u64);
        self.last.set(clock::now());
        self.asked.set(self.asked.get().saturating_add(1));
        match SockRef::from(&self.upstream).send(datagram) {
            Err(error) if is_fatal(&error) => Err(error),
            // What the system does not take at once is lost, as datagrams are.
            _ => Ok(()),
        }
    }

    /// Notes why it ends, and ends it; its place is free at once.
    pub(super) fn end(&self, reason: Option<FailureReason>) {
        if reason == Some(FailureReason::ConnectFailed) {
            self.backend.count_failure(&FailureReason::ConnectFailed);
            self.endpoint.failed();
        }
        if let Some(reason) = reason {
            self.record.note(reason);
        }
        drop(self.place.take());
        // The task that holds it may end a little later.
        self.record.leave();
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    fn poll_answer(&self, cx: &mut Context<'_>, receiver: &Receiver) -> Poll<io::Result<()>> {
        DATAGRAM.with_borrow_mut(|datagram| {
            let mut datagram = ReadBuf::new(datagram);
            self.upstream.poll_recv(cx, &mut datagram).map_ok(|()| {
                let datagram = datagram.filled();
                self.last.set(clock::now());
                if !self.answered.replace(true) {
                    self.record.connected(None);
                    self.endpoint.succeeded();
                }
                self.record.count_out(datagram.len() as u64);
                receiver.send(datagram, self.key);
            })
        })
    }
}

/// Whether an error says that the endpoint cannot be reached, and not that the moment was bad.
fn is_fatal(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionRefused | Kind::HostUnreachable | Kind::NetworkUnreachable)
}

/// Sends answers to the client until the session ends.
async fn answer(receiver: Rc<Receiver>, session: Rc<UdpSession>) {
    let worker = &receiver.worker;
    let idle = clock::millis(worker.limits.udp_idle_timeout);
    let deadline = worker.deadlines.add();
    let reason = poll_fn(|cx| {
        loop {
            match session.poll_answer(cx, &receiver) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) if is_fatal(&error) => {
                    return Poll::Ready(Some(FailureReason::ConnectFailed));
                }
                // Such as an answer that was too large for the way.
                Poll::Ready(Err(error)) => tracing::debug!(%error, "cannot receive from the endpoint"),
                Poll::Pending => break,
            }
        }
        let idle = if worker.draining.get() { idle.min(clock::millis(DRAIN_IDLE)) } else { idle };
        deadline.set(session.last() + idle);
        match deadline.poll(cx) {
            // A client that was answered simply has no more to say.
            true => Poll::Ready((!session.answered.get()).then_some(FailureReason::IdleTimeout)),
            false => Poll::Pending,
        }
    })
    .await;
    receiver.sessions.borrow_mut().remove(&session);
    session.end(reason);
}
