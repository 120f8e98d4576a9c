//! A peer that runs.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::net::TcpStream;

use super::{Kind, Site};
use crate::{Fault, cpu, load::Target};

/// A started peer; ended when dropped.
pub(crate) struct Running {
    pub(crate) name: &'static str,
    /// The HTTPS listener, with HTTP/1.1.
    pub(crate) tls_target: Target,
    /// The HTTPS listener, with HTTP/2.
    pub(crate) h2_target: Target,
    /// The HTTP listener.
    pub(crate) plain_target: Target,
    child: Child,
    log: PathBuf,
}

impl Running {
    pub(super) async fn start(kind: Kind, mut command: Command, site: &Site<'_>) -> Result<Self, Fault> {
        let log = site.folder.join("log");
        let output = std::fs::File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let target =
            |port: u16, tls| Target { address: SocketAddr::from(([127, 0, 0, 1], port)), tls, path: "/1k" };
        let child = command
            .spawn()
            .map_err(|error| format!("{} could not be started: {error}", command.get_program().display()))?;
        let mut running = Self {
            name: kind.name(),
            tls_target: target(site.tls_port, Some(site.certificates.client(b"http/1.1")?)),
            h2_target: target(site.tls_port, Some(site.certificates.client(b"h2")?)),
            plain_target: target(site.plain_port, None),
            child,
            log,
        };
        running.wait().await?;
        Ok(running)
    }

    /// Until both listeners take connections.
    async fn wait(&mut self) -> Result<(), Fault> {
        let until = Instant::now() + Duration::from_secs(20);
        for address in [self.tls_target.address, self.plain_target.address] {
            while TcpStream::connect(address).await.is_err() {
                if let Some(status) = self.child.try_wait()? {
                    return Err(format!("{} ended at once ({status}): {}", self.name, self.log()).into());
                }
                if Instant::now() > until {
                    return Err(format!("{} does not listen on {address}: {}", self.name, self.log()).into());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// CPU time so far.
    pub(crate) fn cpu(&self) -> Result<Duration, Fault> {
        cpu::used_by_tree(self.child.id())
    }

    /// The end of what it logged.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("its log ends: {}", lines[lines.len().saturating_sub(8)..].join(" | "))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM first, so that nginx and HAProxy take their workers with them.
        let _ = Command::new("kill").arg(self.child.id().to_string()).stderr(Stdio::null()).status();
        for _ in 0..50 {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
