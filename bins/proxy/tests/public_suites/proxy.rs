//! The proxy's own process.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use crate::client;

/// How long it may take to read some thousand objects, unoptimised and on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running proxy; ended when dropped.
pub struct Proxy(Child);

impl Proxy {
    /// Starts it over the folder and waits until it is ready.
    pub async fn start(stack: &str, folder: &Path, gateway: u16) -> Self {
        let admin = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lasthop-proxy"));
        command.arg("run").arg("--config").arg(folder);
        command.args(["--tls-backend", stack, "--admin", &admin.to_string(), "--log-level", "warn"]);
        // It would take them for settings.
        command.env_remove("LASTHOP_TRUST_DATA").env_remove("LASTHOP_TRUST_ALL");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let mut proxy = Self(command.spawn().unwrap());
        let until = Instant::now() + PATIENCE;
        while !client::is_ready(admin).await || client::get(gateway, "/").await != Some(404) {
            let ended = proxy.0.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "the proxy is not ready: {ended:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody listens on, below those that clients are given.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 97) as u16 * 30;
    for _ in 0..3_000 {
        let port = 21_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 3_000;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}
