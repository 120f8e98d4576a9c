//! The dataplane as its owner sees it: one place that compiles updates and tells the workers.

mod backends;
mod fronts;
mod ports;
mod sockets;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use lasthop_dataplane_api::{Dataplane, EndpointReport, Report, Snapshot, TlsCapabilities, TlsStack, Update};
use lasthop_tls_backends::TlsBackend;
use tokio::sync::{Mutex, mpsc, oneshot};

use self::{backends::Policies, ports::Ports};
use crate::{
    NativeCollector, NativeOptions, SessionKey,
    metrics::{Metrics, RuleChanges},
    proxy::Sessions,
    resolve::Names,
    routing::CompiledRule,
    worker::{self, Command, Load, Peer, Worker, WorkerUpdate},
};

/// The native dataplane. Its threads end when it is dropped.
pub struct NativeDataplane {
    tls: Arc<dyn TlsBackend>,
    workers: Arc<[Peer]>,
    metrics: Arc<Metrics>,
    names: Names,
    /// Whether the key of clients' sessions is the process's own setting, which counts before a control plane's.
    own_session_key: bool,
    control: Mutex<Control>,
}

/// What updates are compared with.
#[derive(Default)]
struct Control {
    snapshot: Snapshot,
    policies: Policies,
    ports: Ports,
    draining: bool,
}

/// Why a dataplane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The binary lacks the TLS stack.
    #[error("this binary was built without the TLS stack {}; build it with --features {}", .0.name(), .0.name())]
    NoTlsStack(TlsStack),
    /// The operating system gave no thread.
    #[error("a worker cannot be started: {0}")]
    Thread(#[from] std::io::Error),
    /// The key of clients' sessions cannot be made.
    #[error("the key of clients' sessions cannot be made: the operating system gives no randomness")]
    SessionKey,
}

impl NativeDataplane {
    /// Starts the workers. They serve nothing until the first update.
    pub fn new(options: NativeOptions) -> Result<Self, StartError> {
        let tls = lasthop_tls_backends::backend(options.tls_stack)
            .ok_or(StartError::NoTlsStack(options.tls_stack))?;
        Self::with_tls(options, tls)
    }

    /// The same with a TLS stack that is already there; `options.tls_stack` is not looked at.
    pub fn with_tls(options: NativeOptions, tls: Arc<dyn TlsBackend>) -> Result<Self, StartError> {
        let count = match options.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let (workers, receivers): (Vec<_>, Vec<_>) = (0..count)
            .map(|_| {
                let (commands, receiver) = mpsc::unbounded_channel();
                (Peer { commands, load: Load::default() }, receiver)
            })
            .unzip();
        let workers: Arc<[Peer]> = workers.into();
        let metrics = Arc::new(Metrics::new(count));
        let key = options.session_key.clone().or_else(SessionKey::random);
        let sessions = key.as_ref().and_then(Sessions::new).map(Arc::new).ok_or(StartError::SessionKey)?;
        for (index, commands) in receivers.into_iter().enumerate() {
            let peers = workers.clone();
            let (options, metrics, sessions) = (options.clone(), metrics.clone(), sessions.clone());
            worker::spawn(index, commands, move || Worker::new(index, peers, options, metrics, sessions))?;
        }
        let own_session_key = options.session_key.is_some();
        let names = Names::new(options.resolver, workers.clone(), metrics.clone());
        Ok(Self { tls, workers, metrics, names, own_session_key, control: Mutex::default() })
    }

    /// Gives a command to every worker and waits for all answers.
    async fn tell_all(&self, mut command: impl FnMut(oneshot::Sender<()>) -> Command) {
        let answers: Vec<_> = self
            .workers
            .iter()
            .filter_map(|worker| {
                let (done, answer) = oneshot::channel();
                worker.commands.send(command(done)).is_ok().then_some(answer)
            })
            .collect();
        for answer in answers {
            // A worker that is gone serves nothing.
            let _ = answer.await;
        }
    }

    /// What clients' sessions are sealed with from now on, if that changes.
    fn sessions(&self, update: &Update) -> Option<Arc<Sessions>> {
        let secret = update.session_secret.as_ref().filter(|_| !self.own_session_key)?;
        let sessions = SessionKey::derive(secret.bytes()).ok().as_ref().and_then(Sessions::new);
        if sessions.is_none() {
            tracing::error!(
                "the control plane's key of clients' sessions cannot be used; the one of before stays"
            );
        }
        sessions.map(Arc::new)
    }

    /// The open client connections of each worker.
    pub fn loads(&self) -> Vec<usize> {
        self.workers.iter().map(|worker| worker.load.get()).collect()
    }

    /// The endpoints of TLS backends, and what they presented last; bounded.
    pub fn endpoints(&self) -> Vec<EndpointReport> {
        self.metrics.peers.reports()
    }

    /// The metrics, for a registry.
    pub fn collector(&self) -> NativeCollector {
        NativeCollector::new(self.metrics.clone())
    }
}

impl Drop for NativeDataplane {
    fn drop(&mut self) {
        self.workers.iter().for_each(|worker| drop(worker.commands.send(Command::Stop)));
    }
}

#[async_trait]
impl Dataplane for NativeDataplane {
    fn tls_capabilities(&self) -> TlsCapabilities {
        self.tls.capabilities()
    }

    async fn apply(&self, update: Arc<Update>) -> Report {
        let mut control = self.control.lock().await;
        let Control { snapshot, policies, ports, draining } = &mut *control;
        let rules = RuleChanges::new(&update, snapshot);
        self.metrics.admit(&rules);
        snapshot.apply(&update);
        let tls = &*self.tls;
        let mut report = Report { version: update.version, ..Report::default() };

        let backends = policies.compile(tls, &update.backends, &mut report.refused_backends);
        self.metrics.peers.follow(&update, &backends);
        self.names.follow(&update);
        let compiled = update.http_rules.0.iter().map(|(key, rule)| {
            let rule = rule.as_ref().map(|rule| Arc::new(CompiledRule::compile(rule)));
            for problem in rule.iter().flat_map(|rule| &rule.problems) {
                tracing::warn!(rule = %key, problem, "a rule cannot be honoured as it stands");
            }
            (key.clone(), rule)
        });
        let compiled = compiled.collect();
        let closed = ports.close(&update, snapshot);
        if !closed.is_empty() {
            // First of all: what replaces them may want the same port at other addresses.
            self.tell_all(|done| Command::Unlisten(closed.clone(), done)).await;
        }
        let plan = ports.plan(tls, &update, snapshot, if *draining { 0 } else { self.workers.len() });
        report.listeners = plan.states;

        let sessions = self.sessions(&update);
        let mut listen = plan.sockets.into_iter();
        self.tell_all(|done| {
            let update = WorkerUpdate {
                listeners: update.listeners.0.clone(),
                rules: Vec::clone(&compiled),
                l4_rules: update.l4_rules.0.clone(),
                backends: backends.clone(),
                endpoints: update.endpoints.0.clone(),
                ports: plan.tls.clone(),
                fronts: plan.fronts.clone(),
                datagrams: plan.datagrams.clone(),
                listen: listen.next().unwrap_or_default(),
                sessions: sessions.clone(),
            };
            Command::Update(Box::new(update), done)
        })
        .await;
        self.metrics.forget(&update, &rules);
        report
    }

    async fn drain(&self, deadline: Duration) {
        self.control.lock().await.draining = true;
        let all = self.tell_all(Command::Drain);
        if tokio::time::timeout(deadline, all).await.is_err() {
            tracing::warn!("requests were still under way when the time to drain was over");
        }
    }
}
