//! `demo`: good and bad TLS backends in this process, the manifests for them in a folder, the proxy over that folder,
//! and what becomes of a request to each.

mod backends;
mod cases;
mod certificates;
mod client;
mod folder;
mod manifests;
mod ports;
mod show;
mod watcher;

use std::{
    io,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use lasthop_runtime::{
    access_log::AccessLogWriter,
    logging,
    settings::{AccessLogOutput, AdminAddress, LogFormat, Settings, Span},
};
use prometheus::IntCounter;
use tokio::time::timeout;

use crate::{
    cli::{self, DemoFlags},
    run::{self, Proxy, RunError},
};
use cases::CASES;
use certificates::Authority;
use manifests::Manifests;
use watcher::Watcher;

/// For everything to be in force.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why the demo cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    #[error("the demo's certificates cannot be made: {0}")]
    Certificates(String),
    #[error("the demo's backend {0} cannot start: {1}")]
    Backend(&'static str, io::Error),
    #[error("{}: {reason}; name another folder with --dir", folder.display())]
    Folder { folder: PathBuf, reason: String },
    #[error("no free port near {0} was found; name another one with --port or --https-port")]
    Port(u16),
    #[error("the configuration was not in force after {} s; --log-level debug says more", PATIENCE.as_secs())]
    NotReady,
    #[error(transparent)]
    Run(#[from] RunError),
}

impl From<rcgen::Error> for DemoError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificates(error.to_string())
    }
}

/// The command.
pub(crate) fn main(flags: &DemoFlags) -> ExitCode {
    let outcome = run::runtime().map_err(|error| RunError::from(error).into()).and_then(|runtime| {
        logging::start(LogFormat::Text, &flags.log_level).map_err(RunError::from)?;
        runtime.block_on(demo(flags))
    });
    outcome.unwrap_or_else(|error: DemoError| cli::refuse(&error))
}

async fn demo(flags: &DemoFlags) -> Result<ExitCode, DemoError> {
    let http_port = ports::free(flags.port, &[])?;
    let https_port = ports::free(flags.https_port, &[http_port])?;
    let admin_port = ports::free(ports::ADMIN, &[http_port, https_port])?;

    let (known, unknown) = (Authority::new("Lasthop demo CA")?, Authority::new("Nobody's CA")?);
    let mut running = Vec::new();
    for case in CASES {
        let certificate = certificates::of_backend(&case, &known, &unknown)?;
        running.push(backends::start(case, certificate.as_ref()).await?);
    }
    let listener = known.issue(CASES.iter().map(cases::Case::host).collect(), false)?;

    let folder = folder::prepare(flags.dir.as_deref())?;
    Manifests { http_port, https_port, ca: known.pem(), listener: &listener, backends: &running }
        .write(&folder)
        .map_err(|error| DemoError::Folder { folder: folder.clone(), reason: error.to_string() })?;

    let dropped = IntCounter::new("dropped", "dropped").map_err(RunError::from)?;
    let lines = AccessLogWriter::start(&AccessLogOutput::Stdout, LogFormat::Text, dropped);
    let watcher = Arc::new(Watcher::new(lines.map_err(RunError::from)?));
    let settings = Settings {
        config: Some(folder.clone()),
        tls_backend: flags.tls_backend,
        admin: AdminAddress::At(([127, 0, 0, 1], admin_port).into()),
        drain_timeout: Span::seconds(2),
        ..Settings::default()
    };
    let proxy = Proxy::start(&settings, Some(watcher.clone())).await?;
    timeout(PATIENCE, proxy.state.ready()).await.map_err(|_| DemoError::NotReady)?;

    let place = show::Place { folder: &folder, http_port, https_port, admin_port };
    show::begin(&place, run::stack(flags.tls_backend).map_err(RunError::from)?);
    let mut verdicts = Vec::new();
    for backend in &running {
        for scheme in client::SCHEMES {
            let case = backend.case;
            let answer = client::ask(&case, scheme, &place, known.pem()).await;
            let record = watcher.record_of(&case.host(), scheme).await;
            let arrived = backend.requests.swap(0, Ordering::Relaxed);
            verdicts.push(show::Verdict { case, scheme, answer, record, arrived });
        }
    }
    let as_expected = show::table(&verdicts, &place);
    if flags.once {
        show::kept(&place);
        proxy.drain().await;
        return Ok(if as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    show::commands(&place, flags.dir.is_none());
    watcher.forward();
    let ended = proxy.until_asked().await;
    watcher.close();
    if flags.dir.is_none() {
        // Whoever wants to keep it named one. A failure leaves files in a folder for temporary ones.
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(if as_expected { ended } else { ExitCode::FAILURE })
}
