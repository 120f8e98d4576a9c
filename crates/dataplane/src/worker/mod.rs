//! A worker: one thread with its runtime, its sockets, its pools and its view.

pub(crate) mod clock;
mod hash;
mod load;
mod names;
mod run;
mod trust;
mod update;
mod view;

use std::{
    cell::{Cell, RefCell},
    net::{IpAddr, SocketAddr},
    rc::{Rc, Weak},
    sync::Arc,
    time::Instant,
};

use hyper::{client, server};
use lasthop_dataplane_api::{AccessLog, PolicyId, Transport};
use tokio::sync::{mpsc, oneshot};

pub(crate) use hash::QuickMap;
pub(crate) use load::{Load, better};
pub(crate) use names::{NameStanding, NameView};
pub(crate) use run::spawn;
pub(crate) use update::{BackendPlan, HopPlan, PortPlan, WorkerUpdate};
pub(crate) use view::{ListenerView, PortKey, PortTls, View};

use crate::{
    Limits, NativeOptions,
    l4::Receivers,
    metrics::{Metrics, RequestCounters, WorkerCounters},
    proxy::{BearerTokens, Sessions, Watched},
    upstream::{Endpoint, UpstreamBackend},
};
use clock::Deadlines;

/// What a worker's tasks share.
pub(crate) struct Worker {
    /// Its place among the workers.
    pub index: usize,
    /// All workers, this one too.
    pub peers: Arc<[Peer]>,
    pub limits: Limits,
    pub access_log: Arc<dyn AccessLog>,
    pub metrics: Arc<Metrics>,
    pub counters: Arc<WorkerCounters>,
    pub deadlines: Rc<Deadlines>,
    pub sessions: RefCell<Arc<Sessions>>,
    pub tokens: BearerTokens,
    /// What requests are served by.
    pub view: RefCell<View>,
    /// The endpoints of all backends, by the policy they are reached under.
    pub endpoints: RefCell<QuickMap<EndpointKey, Rc<Endpoint>>>,
    /// Backends that were replaced, while requests still use them.
    pub retired: RefCell<Vec<Weak<UpstreamBackend>>>,
    /// Request counters already looked up, by the addresses of listener, rule and backend. Emptied on each update.
    pub series: RefCell<QuickMap<[usize; 3], Arc<RequestCounters>>>,
    /// Connections, upgraded tunnels and UDP sessions of clients.
    pub open: Cell<usize>,
    /// How often anything changed.
    pub updates: Cell<u64>,
    /// UDP sessions.
    pub udp_sessions: Cell<usize>,
    /// The sockets that those belong to.
    pub udp_receivers: Receivers,
    /// How often listeners changed.
    pub listener_updates: Cell<u64>,
    /// No new requests are taken.
    pub draining: Cell<bool>,
    pub http1_server: server::conn::http1::Builder,
    pub http2_server: server::conn::http2::Builder<LocalExecutor>,
    pub http1_client: client::conn::http1::Builder,
    pub started: Instant,
}

/// An endpoint under a TLS policy; `None` in plaintext.
pub(crate) type EndpointKey = (Option<PolicyId>, SocketAddr);

/// A listening socket: its transport and the address it was asked for.
pub(crate) type SocketKey = (Transport, SocketAddr);

/// A listening socket.
pub(crate) enum Socket {
    /// Of TCP.
    Connections(std::net::TcpListener),
    /// Of UDP.
    Datagrams(std::net::UdpSocket),
}

/// A worker as others see it.
pub(crate) struct Peer {
    /// Where it takes commands.
    pub commands: mpsc::UnboundedSender<Command>,
    /// Its open client connections.
    pub load: Load,
}

/// Fields of a header, whatever is set.
const MOST_FIELDS: usize = 20_000;

/// What a worker is told.
pub(crate) enum Command {
    /// Take this over, then answer.
    Update(Box<WorkerUpdate>, oneshot::Sender<()>),
    /// A name has these addresses; `None`: it is no backend's any more.
    Resolved { name: Arc<str>, addresses: Option<Arc<[IpAddr]>> },
    /// Accept no longer on these addresses, then answer.
    Unlisten(Vec<SocketKey>, oneshot::Sender<()>),
    /// Serve this connection, which another worker accepted on this socket; the load counts it already.
    Serve { stream: std::net::TcpStream, client: SocketAddr, socket: SocketAddr },
    /// Take no more connections, let requests end, and answer when all have.
    Drain(oneshot::Sender<()>),
    /// End.
    Stop,
}

/// Spawns the streams of clients' HTTP/2 connections on the thread it is used on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(Watched::new(future));
    }
}

impl Worker {
    /// A worker that serves nothing yet.
    pub(crate) fn new(
        index: usize,
        peers: Arc<[Peer]>,
        options: NativeOptions,
        metrics: Arc<Metrics>,
        sessions: Arc<Sessions>,
    ) -> Self {
        let NativeOptions { limits, access_log, bearer_tokens, .. } = options;
        let counters = metrics.workers.get(index).cloned().unwrap_or_default();
        // A header map holds 24,576 fields and panics for more.
        let header_fields = limits.header_fields.min(MOST_FIELDS);
        // A header has to have room where it is read.
        let buffer = limits.buffer_bytes.max(limits.header_bytes).max(8192);

        let mut http1_server = server::conn::http1::Builder::new();
        http1_server.max_buf_size(buffer).max_headers(header_fields).max_header_size(limits.header_bytes);
        let mut http2_server = server::conn::http2::Builder::new(LocalExecutor);
        http2_server
            .max_concurrent_streams(limits.http2_streams)
            .initial_stream_window_size(limits.http2_stream_window)
            .initial_connection_window_size(limits.http2_connection_window)
            .max_send_buf_size(limits.buffer_bytes)
            .max_header_list_size(header_list(&limits));
        let mut http1_client = client::conn::http1::Builder::new();
        http1_client.max_buf_size(buffer).max_headers(header_fields).max_header_size(limits.header_bytes);

        Self {
            index,
            peers,
            limits,
            access_log,
            metrics,
            counters,
            deadlines: Rc::default(),
            sessions: RefCell::new(sessions),
            tokens: BearerTokens::new(bearer_tokens),
            view: RefCell::default(),
            endpoints: RefCell::default(),
            retired: RefCell::default(),
            series: RefCell::default(),
            open: Cell::new(0),
            updates: Cell::new(0),
            udp_sessions: Cell::new(0),
            udp_receivers: Receivers::default(),
            listener_updates: Cell::new(0),
            draining: Cell::new(false),
            http1_server,
            http2_server,
            http1_client,
            started: Instant::now(),
        }
    }

    /// HTTP/2 towards backends, with whoever is to spawn the connection's tasks.
    pub(crate) fn http2_client<E: Clone>(&self, executor: E) -> client::conn::http2::Builder<E> {
        let limits = &self.limits;
        let mut builder = client::conn::http2::Builder::new(executor);
        builder
            .initial_stream_window_size(limits.http2_stream_window)
            .initial_connection_window_size(limits.http2_connection_window)
            .max_send_buf_size(limits.buffer_bytes)
            .max_header_list_size(header_list(limits));
        builder
    }

    /// This worker's load.
    pub(crate) fn load(&self) -> Option<&Load> {
        self.peers.get(self.index).map(|peer| &peer.load)
    }
}

/// The limit of HTTP/2, which counts 32 bytes more for each field (RFC 9113 §6.5.2). What it lets through beyond our own,
/// we refuse ourselves: then it is in the log.
fn header_list(limits: &Limits) -> u32 {
    // The four of the request line are fields there, too.
    let overhead = limits.header_fields.saturating_add(4).saturating_mul(32);
    u32::try_from(limits.header_bytes.saturating_add(overhead)).unwrap_or(u32::MAX)
}
