//! The clients: as many requests as the peer answers, for a time, each answer checked.

mod h1;
mod h2;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{Fault, certificates::FRONT_NAME, scenario::Scenario};

/// Where to send what.
#[derive(Clone)]
pub(crate) struct Target {
    /// The peer.
    pub(crate) address: SocketAddr,
    /// How to speak TLS to it; `None` is plaintext.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// What to ask.
    pub(crate) path: &'static str,
}

/// What a measurement's clients saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Requests answered with 200 and the whole body.
    pub(crate) answered: u64,
    /// All others.
    pub(crate) failed: u64,
    /// Microseconds of each answered request.
    pub(crate) latencies: Vec<u32>,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.latencies.extend(other.latencies);
    }

    fn note(&mut self, begun: Instant, fine: bool) {
        if fine {
            self.answered += 1;
            self.latencies.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
        } else {
            self.failed += 1;
        }
    }

    /// The latency that this share of the requests stayed below.
    pub(crate) fn percentile(&mut self, share: f64) -> u32 {
        self.latencies.sort_unstable();
        let index = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(index.min(self.latencies.len().saturating_sub(1))).copied().unwrap_or(0)
    }
}

/// Sends what the scenario says until the time is over.
pub(crate) async fn run(scenario: Scenario, target: &Target, connections: usize, time: Duration) -> Seen {
    let until = Instant::now() + time;
    let total = Arc::new(Mutex::new(Seen::default()));
    let mut tasks = Vec::new();
    let connections = if scenario == Scenario::H2 { h2::CONNECTIONS } else { connections };
    for _ in 0..connections {
        let (target, total) = (target.clone(), Arc::clone(&total));
        tasks.push(tokio::spawn(async move {
            let seen = match scenario {
                Scenario::H2 => h2::until(&target, until).await,
                Scenario::Handshakes => h1::anew_until(&target, until).await,
                _ => h1::until(&target, until).await,
            };
            total.lock().unwrap_or_else(PoisonError::into_inner).add(seen);
        }));
    }
    for task in tasks {
        // A client that panicked has added nothing; the table shows fewer requests.
        let _ = task.await;
    }
    std::mem::take(&mut *total.lock().unwrap_or_else(PoisonError::into_inner))
}

/// One request on a connection of its own; the status.
pub(crate) async fn once(target: &Target) -> Result<u16, Fault> {
    h1::once(target).await
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn connect(target: &Target) -> std::io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = &target.tls else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from(FRONT_NAME).map_err(std::io::Error::other)?;
    Ok(Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?))
}
