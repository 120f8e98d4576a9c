//! The controller's side: a [`Dataplane`] whose proxies are elsewhere.

mod accept;
mod entry;
mod seldom;
mod session;
mod shelf;
mod verdict;
mod world;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use lasthop_dataplane_api::{Dataplane, ObjectName, Report, SessionSecret, TlsCapabilities, Update};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
};

use crate::{Authenticator, ServerMetrics, ServingTls};
use seldom::Seldom;
use world::{Prepared, World};

/// What the server needs to know.
#[derive(Clone)]
pub struct ServerOptions {
    /// Tells whose token a proxy shows.
    pub authenticator: Arc<dyn Authenticator>,
    /// The service account, as namespace and name, that the proxies of this Gateway run under.
    pub account_of: Arc<dyn Fn(&ObjectName) -> ObjectName + Send + Sync>,
    /// Whether nothing is known about what this Gateway's proxies are to serve: they keep what they have, and ask again.
    pub withheld: Arc<dyn Fn(&ObjectName) -> bool + Send + Sync>,
    /// What the proxies' TLS stack can do.
    pub capabilities: TlsCapabilities,
    /// For a TLS handshake, and then for a token: who has shown none by then is cut off.
    pub proof_timeout: Duration,
    /// A proxy that does not answer an update in this time is cut off.
    pub answer_timeout: Duration,
    /// A proxy shows its token anew after this time, and perhaps to another replica.
    pub session: Duration,
    /// What is counted.
    pub metrics: ServerMetrics,
}

impl ServerOptions {
    /// Ten seconds for a handshake and for a token, half a minute to answer, half an hour for a session; nothing withheld.
    pub fn new(
        authenticator: Arc<dyn Authenticator>,
        account_of: Arc<dyn Fn(&ObjectName) -> ObjectName + Send + Sync>,
        capabilities: TlsCapabilities,
        metrics: ServerMetrics,
    ) -> Self {
        Self {
            authenticator,
            account_of,
            withheld: Arc::new(|_| false),
            capabilities,
            proof_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            session: Duration::from_secs(30 * 60),
            metrics,
        }
    }
}

/// Hands every Gateway's part of the snapshot to its proxies.
///
/// [`Dataplane::apply`] returns at once and says nothing; what the proxies say comes by [`Dataplane::reported`]. Cheap to
/// clone: all clones are the same server.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    options: ServerOptions,
    world: Mutex<World>,
    /// Whether there was an update yet. Until then nobody gets anything: a controller that has yet to read its source
    /// must not tell the proxies that there is nothing.
    synced: watch::Sender<bool>,
    /// Something may have to be said.
    news: Notify,
    /// Proxies, or strangers, that are turned away.
    turned_away: Seldom,
}

impl Server {
    /// A server without proxies; [`Server::serve`] takes them.
    pub fn new(options: ServerOptions) -> Self {
        Self {
            shared: Arc::new(Shared {
                options,
                world: Mutex::default(),
                synced: watch::Sender::new(false),
                news: Notify::new(),
                turned_away: Seldom::default(),
            }),
        }
    }

    /// Takes proxies until the task ends. `listener` is bound, `tls` holds the serving certificate.
    pub async fn serve(self, listener: TcpListener, tls: ServingTls) {
        accept::serve(self.shared, listener, tls).await;
    }

    /// Gives the proxies of each Gateway with rules that keep clients' sessions a secret in common, made from this one.
    /// Replicas with the same one give the same. Without it each proxy has a key of its own, and its sessions end with it.
    pub fn share_sessions(&self, master: SessionSecret) {
        self.shared.world().set_session_master(master);
    }

    /// How many proxies of a Gateway are told by this replica what to serve.
    pub fn connected(&self, gateway: &ObjectName) -> usize {
        let mut world = self.shared.world();
        let proxies = world.shelf(gateway).voices.followers();
        world.tidy(gateway);
        proxies
    }
}

impl Shared {
    /// Says why somebody is turned away. Whoever reaches the port can bring it about, so not every time.
    fn turn_away(&self, why: &dyn fmt::Display) {
        if let Some(left_out) = self.turned_away.turn(Instant::now()) {
            tracing::warn!(left_out, "a proxy is turned away: {why}");
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Dataplane for Server {
    fn tls_capabilities(&self) -> TlsCapabilities {
        self.shared.options.capabilities.clone()
    }

    async fn apply(&self, update: Arc<Update>) -> Report {
        let prepared = Prepared::new(&update);
        self.shared.world().apply(prepared);
        self.shared.synced.send_replace(true);
        self.shared.news.notify_one();
        // Version 0: no listener is said to be at any version yet.
        Report::default()
    }

    async fn reported(&self) -> Report {
        loop {
            let more = self.shared.news.notified();
            let news = self.shared.world().news();
            if let Some(report) = news {
                return report;
            }
            more.await;
        }
    }

    async fn drain(&self, _: Duration) {
        // Proxies serve on without a controller: there is nothing under way here.
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({} Gateways)", self.shared.world().gateways())
    }
}
