//! Whom we measure: how each is configured for the same work, and started.

mod haproxy;
mod lasthop;
mod nginx;
mod running;

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::Serialize;

use crate::{Arguments, Fault, certificates::BACKEND_NAME, certificates::Certificates, cpu};
pub(crate) use running::Running;

/// A peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Ours.
    Lasthop,
    /// nginx, as the machine has it.
    Nginx,
    /// HAProxy, as the machine has it.
    Haproxy,
}

/// What the peer is told to demand of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// What the backend has.
    Right,
    /// A CA that did not sign its certificate.
    OtherCa,
    /// A name that its certificate has not.
    OtherName,
}

/// What a peer's configuration is made from.
pub(crate) struct Site<'a> {
    /// A folder of its own.
    pub(crate) folder: PathBuf,
    pub(crate) certificates: &'a Certificates,
    /// The CA it must verify the backend with.
    pub(crate) ca: &'a Path,
    /// The name it must verify.
    pub(crate) name: &'static str,
    /// The port of its HTTPS listener.
    pub(crate) tls_port: u16,
    /// The port of its HTTP listener.
    pub(crate) plain_port: u16,
    /// The backend with TLS.
    pub(crate) tls_backend: SocketAddr,
    /// The backend without.
    pub(crate) plain_backend: SocketAddr,
    pub(crate) access_log: bool,
}

/// The two backends.
#[derive(Clone, Copy)]
pub(crate) struct Backends {
    pub(crate) tls: SocketAddr,
    pub(crate) plain: SocketAddr,
}

/// Configures and starts a peer, and waits until it listens.
pub(crate) async fn start(
    kind: Kind,
    trust: Trust,
    arguments: &Arguments,
    certificates: &Certificates,
    backends: Backends,
    folder: &Path,
) -> Result<Running, Fault> {
    let [tls_port, plain_port] = free_ports()?;
    let site = Site {
        folder: folder.join(format!("{}-{tls_port}", kind.name())),
        certificates,
        ca: if trust == Trust::OtherCa { &certificates.wrong_ca } else { &certificates.ca },
        name: if trust == Trust::OtherName { "other.test" } else { BACKEND_NAME },
        tls_port,
        plain_port,
        tls_backend: backends.tls,
        plain_backend: backends.plain,
        access_log: arguments.access_log,
    };
    std::fs::create_dir_all(&site.folder)?;
    let (program, flags) = match kind {
        Kind::Nginx => nginx::prepare(&site)?,
        Kind::Haproxy => haproxy::prepare(&site)?,
        Kind::Lasthop => {
            let program = arguments.lasthop.as_deref().ok_or("--lasthop is missing")?;
            lasthop::prepare(&site, program, &arguments.lasthop_flags)?
        }
    };
    let mut command = cpu::pinned(arguments.peer_core, &program);
    command.args(flags).current_dir(&site.folder);
    Running::start(kind, command, &site).await
}

/// Two ports that nobody listens on now, below the range from which clients take theirs.
fn free_ports() -> Result<[u16; 2], Fault> {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(21_000);
    let mut found = [0; 2];
    for slot in &mut found {
        *slot = loop {
            let port = NEXT.fetch_add(1, Ordering::Relaxed);
            if port > 27_000 {
                return Err("no free port between 21000 and 27000".into());
            }
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                break port;
            }
        };
    }
    Ok(found)
}

/// Where Debian keeps servers, beside the path.
fn server(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| program.into())
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lasthop => "lasthop",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }
}
