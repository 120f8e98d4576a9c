//! The admin endpoint: what the process knows about itself, over plain HTTP/1.1 on the loopback. It can be read, and
//! nothing can be changed through it. Where it listens elsewhere, for probes and metrics, strangers get only these.

mod pages;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use lasthop_dataplane_api::EndpointReport;
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};

use crate::{metrics::Metrics, state::State};

/// Connections at once. Beyond it, new ones wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// Of one address, so that nobody alone keeps probes from being answered.
const OF_ONE: usize = 8;
/// For the request's head.
const HEAD: Duration = Duration::from_secs(5);
/// For a connection as a whole, idle or not.
const CONNECTION: Duration = Duration::from_secs(60);
/// Of a request's head, in bytes; hyper's least.
const BUFFER: usize = 8 * 1024;

/// Tells what the endpoints of the TLS backends presented.
pub type EndpointReports = Box<dyn Fn() -> Vec<EndpointReport> + Send + Sync>;

/// The endpoint, bound and not yet serving.
pub struct Admin {
    listener: TcpListener,
    pages: pages::Pages,
}

/// Why the endpoint cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address is taken, or not ours.
    #[error(
        "the admin endpoint cannot listen on {address}: {reason}; choose another address with --admin (setting \
         \"admin\"), or \"off\""
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        reason: io::Error,
    },
}

impl Admin {
    /// Takes the address.
    ///
    /// # Errors
    /// An address that cannot be listened on.
    pub async fn bind(address: SocketAddr, state: Arc<State>, metrics: Metrics) -> Result<Self, AdminError> {
        let listener =
            TcpListener::bind(address).await.map_err(|reason| AdminError::Bind { address, reason })?;
        if !address.ip().is_loopback() {
            tracing::info!(%address, "health and metrics can be read from other machines");
        }
        Ok(Self { listener, pages: pages::Pages::new(state, metrics) })
    }

    /// The same with something to show on `/endpoints`.
    pub fn show_endpoints(mut self, reports: EndpointReports) -> Self {
        self.pages.endpoints = Some(Arc::from(reports));
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the task ends.
    pub async fn serve(self) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        let pages = Arc::new(self.pages);
        let callers = Arc::new(Callers::default());
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let (stream, peer) = match self.listener.accept().await {
                Ok((stream, peer)) => (stream, peer.ip().to_canonical()),
                Err(error) => {
                    // Out of descriptors, most likely: trying again at once would only burn the processor.
                    tracing::debug!(%error, "the admin endpoint could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(caller) = Caller::come(&callers, peer) else { continue };
            let own = stream.local_addr().is_ok_and(|own| own.ip().to_canonical() == peer);
            let is_here = own || peer.is_loopback();
            let pages = pages.clone();
            tokio::spawn(async move {
                let answer = service_fn(move |request: Request<Incoming>| {
                    let pages = pages.clone();
                    async move { Ok::<_, std::convert::Infallible>(pages.answer(&request, is_here).await) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD)
                    .max_buf_size(BUFFER)
                    .serve_connection(TokioIo::new(stream), answer);
                // Whatever goes wrong, it is the reader's own.
                let _ = timeout(CONNECTION, connection).await;
                drop((caller, slot));
            });
        }
    }
}

/// How many connections each address has.
type Callers = Mutex<HashMap<IpAddr, usize>>;

/// One connection among those of its address.
struct Caller {
    callers: Arc<Callers>,
    address: IpAddr,
}

impl Caller {
    /// `None` for one too many.
    fn come(callers: &Arc<Callers>, address: IpAddr) -> Option<Self> {
        let mut all = callers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(address).or_default();
        if *count >= OF_ONE {
            return None;
        }
        *count += 1;
        Some(Self { callers: callers.clone(), address })
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let mut all = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests;
