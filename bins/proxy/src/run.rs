//! `run`: serves what the manifests say, and follows their changes.

mod follows;
mod limits;
mod stack;

use std::{
    io,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use lasthop_dataplane::{NativeDataplane, NativeOptions, ResolverOptions, SessionKey};
use lasthop_dataplane_api::{AccessLog, AccessRecord, Dataplane, TlsStack};
use lasthop_runtime::{
    access_log::{AccessLogError, AccessLogWriter},
    admin::{Admin, AdminError},
    file_limit,
    logging::{self, LoggingError},
    metrics::Metrics,
    settings::{AdminAddress, Flags, Settings, SettingsError},
    shutdown::{Request, Signals},
    source::folder::{FolderError, FolderSource, Refresh},
    state::{Phase, State},
};
use lasthop_translator::Options;
use tokio::{runtime::Runtime, sync::oneshot, task::JoinHandle};

use crate::cli;
use follows::{Follows, Parts};
pub(crate) use stack::{NoStack, backend, options, stack};

/// For the last lines of the access log.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Why the proxy cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Logging(#[from] LoggingError),
    #[error(
        "no manifests are named; name a folder with --config DIR (setting \"config\", environment variable \
         LASTHOP_CONFIG)"
    )]
    NoConfig,
    #[error(
        "both a folder (--config) and a control plane (--control-plane) are named; leave out one of them"
    )]
    TwoMasters,
    #[error("a control plane is named, and --{0} (setting {0:?}) is not")]
    NoLink(&'static str),
    #[error(transparent)]
    ControlPlane(#[from] lasthop_xds::AddressError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(
        "{0}: there is no Gateway in it; expected are Kubernetes manifests (*.yaml, *.yml, *.json) with a Gateway, \
         its routes, and the Services and EndpointSlices they lead to"
    )]
    NoGateway(String),
    #[error("session-key-file {0}: {1}")]
    SessionKey(String, String),
    #[error(transparent)]
    Stack(#[from] NoStack),
    #[error(transparent)]
    AccessLog(#[from] AccessLogError),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Dataplane(#[from] lasthop_dataplane::StartError),
    #[error("metrics cannot be set up: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("the process cannot be set up: {0}")]
    Process(#[from] io::Error),
}

impl RunError {
    /// Whether another command line, settings or folder would mend it.
    fn is_usage(&self) -> bool {
        !matches!(self, Self::Admin(_) | Self::Dataplane(_) | Self::Metrics(_) | Self::Process(_))
    }
}

/// The command.
pub(crate) fn main(flags: &Flags) -> ExitCode {
    let outcome = Settings::load(flags).map_err(RunError::from).and_then(|settings| {
        logging::start(settings.log_format, &settings.log_level)?;
        let runtime = runtime()?;
        runtime.block_on(async {
            let proxy = Proxy::start(&settings, None).await?;
            Ok(proxy.until_asked().await)
        })
    });
    match outcome {
        Ok(ended) => ended,
        Err(error) if error.is_usage() => cli::refuse(&error),
        Err(error) => {
            cli::refuse(&error);
            ExitCode::FAILURE
        }
    }
}

/// The shell's own runtime: the loop, the admin endpoint and the signals. Requests are served by the dataplane's
/// workers.
pub(crate) fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        .thread_name("control")
        .enable_all()
        .build()
}

/// How names of backends are resolved.
pub(crate) fn resolver(settings: &Settings) -> ResolverOptions {
    ResolverOptions {
        servers: settings.resolver.0.clone(),
        allow_local: settings.resolver_allow_local,
        max_stale: settings.resolver_max_stale.0,
    }
}

/// The key that clients' sessions are sealed with.
fn session_key(file: &Path) -> Result<SessionKey, RunError> {
    let failed = |why: String| RunError::SessionKey(file.display().to_string(), why);
    let secret = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
    SessionKey::derive(&secret).map_err(|short| failed(short.to_string()))
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) state: Arc<State>,
    dataplane: Arc<NativeDataplane>,
    access_log: Option<Arc<AccessLogWriter>>,
    refresh: Option<Refresh>,
    signals: Signals,
    stop: oneshot::Sender<()>,
    control: JoinHandle<()>,
    drain_timeout: Duration,
}

impl Proxy {
    /// Starts everything. `access_log` replaces the one of the settings.
    pub(crate) async fn start(
        settings: &Settings,
        access_log: Option<Arc<dyn AccessLog>>,
    ) -> Result<Self, RunError> {
        // First, so that nothing that comes later is left half done by a signal.
        let signals = Signals::take()?;
        let stack = stack(settings.tls_backend)?;
        let metrics = Metrics::new()?;
        metrics.set_build(stack.name(), &stack::built_in());
        let follows = Follows::of(settings)?;
        let refresh = follows.refresh();

        let writer = match &access_log {
            Some(_) => None,
            None => {
                let format = settings.access_log_format.unwrap_or(settings.log_format);
                AccessLogWriter::start(&settings.access_log, format, metrics.access_log_dropped.clone())?
            }
        };
        let open_files = file_limit::raise();
        let access_log: Arc<dyn AccessLog> = match (&writer, access_log) {
            (_, Some(given)) => given,
            (Some(writer), None) => writer.clone(),
            (None, None) => Arc::new(Nowhere),
        };
        let workers = settings.workers.map_or(0, Into::into);
        let options = NativeOptions {
            workers,
            tls_stack: stack,
            access_log,
            limits: limits::limits(&settings.limits, open_files),
            session_key: settings.session_key_file.as_deref().map(session_key).transpose()?,
            bearer_tokens: settings.bearer_token_directory.clone(),
            resolver: resolver(settings),
        };
        let dataplane = Arc::new(NativeDataplane::new(options)?);
        metrics.register(Box::new(dataplane.collector()))?;

        let options = options_of(stack, &dataplane, settings);
        let state = Arc::new(State::new(options.controller_name.clone()));
        if let AdminAddress::At(address) = settings.admin {
            let admin = Admin::bind(address, state.clone(), metrics.clone()).await?;
            // Weak: the admin endpoint does not keep the dataplane from ending.
            let shown = Arc::downgrade(&dataplane);
            let reports = move || shown.upgrade().map(|dataplane| dataplane.endpoints()).unwrap_or_default();
            let admin = admin.show_endpoints(Box::new(reports));
            tracing::info!(address = %admin.address()?, "the admin endpoint serves");
            tokio::spawn(admin.serve());
        }
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            tls_backend = stack.name(),
            config = settings.config.as_deref().map(|config| config.display().to_string()),
            control_plane = settings.control_plane,
            gateway = settings.gateway.as_ref().map(ToString::to_string),
            open_files,
            "starting"
        );
        let (stop, stopped) = oneshot::channel::<()>();
        let parts = Parts { dataplane: dataplane.clone(), state: state.clone(), metrics, options };
        let control = tokio::spawn(follows.run(parts, async {
            let _ = stopped.await;
        })?);
        let drain_timeout = settings.drain_timeout.0;
        Ok(Self { state, dataplane, access_log: writer, refresh, signals, stop, control, drain_timeout })
    }

    /// Serves until a signal ends it.
    pub(crate) async fn until_asked(mut self) -> ExitCode {
        let mut follows = true;
        loop {
            tokio::select! {
                request = self.signals.next() => match request {
                    Request::Drain => return self.drain().await,
                    Request::Reread => {
                        tracing::info!("asked to read everything again");
                        if let Some(refresh) = &self.refresh {
                            refresh.ask();
                        }
                        if let Some(log) = &self.access_log {
                            log.reopen();
                        }
                    }
                },
                // Only a mistake of ours ends it. What is in force goes on being served.
                _ = &mut self.control, if follows => {
                    follows = false;
                    tracing::error!("changes are no longer followed; what is in force is served until a restart");
                }
            }
        }
    }

    /// Lets requests under way end.
    pub(crate) async fn drain(self) -> ExitCode {
        let Self { state, dataplane, access_log, mut signals, stop, control, drain_timeout, .. } = self;
        let began = Instant::now();
        state.set_phase(Phase::Draining);
        tracing::info!(timeout_s = drain_timeout.as_secs_f64(), "draining: no new connections are taken");
        // The loop ends by itself when its stop is dropped; an update it is at still takes effect.
        drop(stop);
        let ended = tokio::select! {
            () = dataplane.drain(drain_timeout) => true,
            () = signals.next_drain() => false,
        };
        control.abort();
        if let Some(log) = access_log {
            log.close(LAST_LINES);
        }
        let seconds = began.elapsed().as_secs_f64();
        match ended {
            true if began.elapsed() < drain_timeout => {
                tracing::info!(seconds, "all requests have ended");
                ExitCode::SUCCESS
            }
            true => {
                tracing::warn!(
                    seconds,
                    "the time for draining is over; requests still under way are cut off"
                );
                ExitCode::FAILURE
            }
            false => {
                tracing::warn!(seconds, "asked a second time; requests still under way are cut off");
                ExitCode::FAILURE
            }
        }
    }
}

fn options_of(stack: TlsStack, dataplane: &NativeDataplane, settings: &Settings) -> Options {
    let options = options(settings.allow_insecure_verify);
    debug_assert_eq!(dataplane.tls_capabilities().stack, stack);
    Options { capabilities: dataplane.tls_capabilities(), ..options }
}

/// A folder without a Gateway serves nothing, most likely because it is the wrong one. One whose Gateway is broken is
/// the right one: it is served as soon as it is mended.
pub(crate) fn has_gateway(source: &FolderSource, config: &Path) -> Result<(), RunError> {
    let Some(first) = source.first() else { return Ok(()) };
    let is = |key: &lasthop_api_model::ResourceKey| key.kind == lasthop_api_model::ResourceKind::Gateway;
    let good = first.applied.iter().any(|object| is(&object.key()));
    let mut problems = first.problems.iter().flatten().filter(|problem| problem.refuses());
    let broken = problems.any(|problem| problem.key.as_ref().is_none_or(is));
    if good || broken { Ok(()) } else { Err(RunError::NoGateway(config.display().to_string())) }
}

/// The access log that is off.
struct Nowhere;

impl AccessLog for Nowhere {
    fn record(&self, _: &AccessRecord<'_>) {}
}
