//! `run`.

use std::{collections::BTreeMap, io, process::ExitCode, sync::Arc, time::Duration};

use lasthop_dataplane_api::{TlsCapabilities, TlsStack};
use lasthop_k8s_adapter::{
    Client, ConnectError, SUPPORTED_FEATURES, connect,
    infrastructure::{AUDIENCE, Observed, Placer, Placing, Template, services},
    leader::Election,
    own_secret::OwnSecret,
    source::KubeSource,
    status::{Hearing, KubeStatus, Queue, Writer},
    tokens::TokenReviews,
};
use lasthop_runtime::{
    admin::{Admin, AdminError},
    control_loop::ControlLoop,
    logging::{self, LoggingError},
    metrics::Metrics,
    settings::{AdminAddress, ControllerFlags, ControllerSettings, SettingsError, TlsBackendName},
    shutdown::{Request, Signals},
    state::{Phase, State},
    status::LoggedStatus,
};
use lasthop_tls_verify::TrustAnchors;
use lasthop_translator::{ClassPolicy, Options, Translator};
use lasthop_xds::{Server, ServerMetrics, ServerOptions};
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinSet,
    time::timeout,
};

use crate::{
    cli,
    link::{LinkAuthority, Tokens, account_of},
};

/// Where a pod finds its own namespace.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
const DEFAULT_NAMESPACE: &str = "lasthop-system";
/// For the Lease to be let go of.
const LAST_WORDS: Duration = Duration::from_secs(6);

/// Why the controller cannot run.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Logging(#[from] LoggingError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(
        "the TLS stack {0} is not built into this controller, so that it cannot know what proxies with it can do; \
         build it with the cargo feature of that name"
    )]
    NoStack(&'static str),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("the link cannot listen on {address}: {reason}; choose another address with --link")]
    Link { address: std::net::SocketAddr, reason: io::Error },
    #[error("metrics cannot be set up: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("the process cannot be set up: {0}")]
    Process(#[from] io::Error),
}

impl RunError {
    /// Whether another command line or other settings would mend it.
    fn is_usage(&self) -> bool {
        matches!(self, Self::Settings(_) | Self::Logging(_) | Self::Connect(_) | Self::NoStack(_))
    }
}

/// The command.
pub(crate) fn main(flags: &ControllerFlags) -> ExitCode {
    let outcome = ControllerSettings::load(flags).map_err(RunError::from).and_then(|settings| {
        logging::start(settings.log_format, &log_level(&settings.log_level))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(4)
            .thread_name("control")
            .enable_all()
            .build()?;
        runtime.block_on(run(&settings))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::refuse(&error, error.is_usage()),
    }
}

async fn run(settings: &ControllerSettings) -> Result<(), RunError> {
    let mut signals = Signals::take()?;
    let capabilities = capabilities(settings.tls_backend)?;
    let namespace = namespace(settings);
    let client = connect(settings.kubeconfig.as_deref()).await?;

    let metrics = Metrics::new()?;
    metrics.set_build(capabilities.stack.name(), &built_in());
    let link_metrics = ServerMetrics::new()?;
    link_metrics.collectors().into_iter().try_for_each(|collector| metrics.register(collector))?;
    let state = Arc::new(State::new(settings.controller_name.clone()));
    let mut tasks = JoinSet::new();
    if let AdminAddress::At(address) = settings.admin {
        let admin = Admin::bind(address, state.clone(), metrics.clone()).await?;
        tracing::info!(address = %admin.address()?, "the admin endpoint serves");
        tasks.spawn(admin.serve());
    }
    let listener = TcpListener::bind(settings.link)
        .await
        .map_err(|reason| RunError::Link { address: settings.link, reason })?;
    let identity = identity(settings);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespace, identity, link = %settings.link, "starting");

    // Who may write.
    let (election, leadership) = Election::new(client.clone(), &namespace, &settings.lease, &identity);
    let (stop_election, election_stops) = oneshot::channel::<()>();
    let election = tokio::spawn(election.run(async {
        let _ = election_stops.await;
    }));

    // The link, and the proxies at its other end.
    let reviews = Tokens(TokenReviews::new(client.clone(), AUDIENCE));
    let observed = Observed::new();
    let options = ServerOptions {
        withheld: {
            let observed = observed.clone();
            Arc::new(move |gateway| observed.is_withheld(gateway))
        },
        ..ServerOptions::new(Arc::new(reviews), account_of(), capabilities.clone(), link_metrics)
    };
    let server = Server::new(options);
    let placing = Arc::new(Placing::new(Arc::new(server.clone()), observed.clone()));
    let hearing = Hearing::default();
    let link = (server, listener, hearing.clone());
    tasks.spawn(serve_link(settings.clone(), namespace, client.clone(), link, {
        let (client, controller) = (client.clone(), settings.controller_name.clone());
        let (observed, leadership) = (observed.clone(), leadership.clone());
        move |template| Placer::new(client, &controller, template, observed, leadership)
    }));

    // The loop.
    let queue = Queue::new();
    let writer = Writer::new(
        client.clone(),
        &settings.controller_name,
        queue.clone(),
        observed.clone(),
        leadership,
        hearing,
    );
    tasks.spawn(writer.run());
    let control = ControlLoop {
        translator: Translator::new(translation(settings, capabilities)),
        dataplane: placing,
        sink: KubeStatus::new(LoggedStatus::new(state.clone(), metrics.clone()), queue),
        state: state.clone(),
        metrics,
    };
    let source = KubeSource::start(&client, &settings.controller_name, observed);
    let (stop, stopped) = oneshot::channel::<()>();
    let mut control = tokio::spawn(control.run(source, async {
        let _ = stopped.await;
    }));

    loop {
        tokio::select! {
            request = signals.next() => if request == Request::Drain { break },
            _ = &mut control => {
                tracing::error!("changes are no longer followed; the process ends, to be started anew");
                break;
            }
        }
    }
    state.set_phase(Phase::Draining);
    tracing::info!("ending: another replica may lead, and proxies keep what they have");
    drop((stop, stop_election));
    let _ = timeout(LAST_WORDS, election).await;
    tasks.shutdown().await;
    Ok(())
}

/// Serves the link and places proxies, once there is a CA for them to trust.
async fn serve_link(
    settings: ControllerSettings,
    namespace: String,
    client: Client,
    (server, listener, hearing): (Server, TcpListener, Hearing),
    placer: impl FnOnce(watch::Receiver<Template>) -> Placer,
) {
    let secret = || OwnSecret::new(client.clone(), &namespace, &settings.link_secret);
    let authority = LinkAuthority::load_in_time(secret).await;
    let own = || format!("lasthop-controller.{namespace}.svc:{}", settings.link.port());
    let (template, follow) = watch::channel(Template {
        image: settings.proxy_image.clone(),
        image_pull_policy: settings.proxy_image_pull_policy.clone(),
        log_level: settings.proxy_log_level.clone(),
        link: settings.link_address.clone().unwrap_or_else(own),
        link_ca: authority.bundle(),
        environment: environment(&settings),
    });
    let tls = authority.tls();
    server.share_sessions(authority.sessions());
    let follows = authority.follow(template, server.clone());
    hearing.begin();
    tokio::join!(server.serve(listener, tls), placer(follow).run(), follows);
}

/// What all proxies have in common, where their Gateway's parameters do not say otherwise.
fn environment(settings: &ControllerSettings) -> BTreeMap<String, String> {
    let mut environment =
        BTreeMap::from([("LASTHOP_LOG_FORMAT".to_owned(), settings.log_format.to_string())]);
    // The stack that policies are judged by is the one that serves them.
    if let Some(stack) = settings.tls_backend {
        environment.insert("LASTHOP_TLS_BACKEND".to_owned(), stack.to_string());
    }
    environment
}

fn translation(settings: &ControllerSettings, capabilities: TlsCapabilities) -> Options {
    Options {
        controller_name: settings.controller_name.clone(),
        class_policy: ClassPolicy::OwnClasses,
        capabilities,
        allow_insecure_verify: settings.allow_insecure_verify,
        gateways_share_ports: false,
        system_anchors: Arc::new(|| TrustAnchors::system().map(Arc::new).map_err(|error| error.to_string())),
        services_of: Some(services),
        supported_features: SUPPORTED_FEATURES.to_vec(),
    }
}

/// What the proxies' TLS stack can do.
fn capabilities(wanted: Option<TlsBackendName>) -> Result<TlsCapabilities, RunError> {
    let first = || lasthop_tls_backends::available().first().copied();
    let stack = wanted.map(|TlsBackendName(stack)| stack).or_else(first).unwrap_or(TlsStack::Rustls);
    let backend = lasthop_tls_backends::backend(stack).ok_or(RunError::NoStack(stack.name()))?;
    Ok(backend.capabilities())
}

fn built_in() -> String {
    lasthop_tls_backends::available().iter().map(|stack| stack.name()).collect::<Vec<_>>().join(", ")
}

/// The API server's client tells of every failed attempt; the source tells of it once, in our words.
fn log_level(level: &str) -> String {
    match level.contains("kube_runtime") {
        true => level.to_owned(),
        false => format!("{level},kube_runtime=off"),
    }
}

fn namespace(settings: &ControllerSettings) -> String {
    let of_pod = || std::fs::read_to_string(NAMESPACE_FILE).ok().map(|text| text.trim().to_owned());
    settings.namespace.clone().or_else(of_pod).unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
}

/// This replica's own name: in a pod, the pod's.
fn identity(settings: &ControllerSettings) -> String {
    let host =
        || std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|text| text.trim().to_owned());
    let name = settings.identity.clone().or_else(host).unwrap_or_else(|| "lasthop-controller".to_owned());
    // Two on one machine are two.
    format!("{name}_{}", std::process::id())
}
