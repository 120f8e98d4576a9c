//! A connection to a controller: TCP, TLS, HTTP/2.

use std::{
    fmt, io,
    path::Path,
    pin::Pin,
    str::FromStr,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use pki_types::ServerName;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tonic::body::Body;

use crate::tls::{SERVER_NAME, client_config};

/// For one address: TCP, TLS and HTTP/2 together.
const CONNECT: Duration = Duration::from_secs(5);
/// Without a sign of life the controller is asked for one, and given up if none comes.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// A first snapshot may be large.
const WINDOW: u32 = 4 << 20;

/// `host:port` of the controllers, or `https://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlaneAddress {
    host: String,
    port: u16,
}

/// A text that is no address of a controller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the address of a control plane, such as https://lasthop-controller.lasthop-system.svc:15010"
)]
pub struct AddressError(String);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("{0}: {1}")]
    File(String, io::Error),
    #[error("{0}: {1}")]
    Trust(String, crate::LinkTlsError),
    #[error("{0} cannot be resolved: {1}")]
    Resolve(String, io::Error),
    #[error("{0} has no addresses")]
    NoAddress(String),
    #[error("{0}: {1}")]
    Connect(String, String),
}

impl FromStr for ControlPlaneAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let failed = || AddressError(text.to_owned());
        let authority = text.strip_prefix("https://").unwrap_or(text);
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = authority.rsplit_once(':').ok_or_else(failed)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let of_a_host = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        if bare.is_empty() || !bare.chars().all(of_a_host) || (bare.contains(':') && bare == host) {
            return Err(failed());
        }
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(failed)?;
        Ok(Self { host: bare.to_owned(), port })
    }
}

impl fmt::Display for ControlPlaneAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "https://[{}]:{}", self.host, self.port),
            false => write!(f, "https://{}:{}", self.host, self.port),
        }
    }
}

/// Reads a file anew: what Kubernetes mounts changes.
pub(super) async fn read(path: &Path) -> Result<Vec<u8>, ConnectError> {
    tokio::fs::read(path).await.map_err(|error| ConnectError::File(path.display().to_string(), error))
}

/// Connects to any of the addresses.
pub(super) async fn connect(address: &ControlPlaneAddress, ca_file: &Path) -> Result<Channel, ConnectError> {
    let bundle = read(ca_file).await?;
    let config =
        client_config(&bundle).map_err(|error| ConnectError::Trust(ca_file.display().to_string(), error))?;
    let host = (address.host.as_str(), address.port);
    let found = timeout(CONNECT, lookup_host(host))
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")))
        .map_err(|error| ConnectError::Resolve(address.to_string(), error))?;
    let mut addresses: Vec<_> = found.collect();
    // Proxies spread over the replicas.
    fastrand::shuffle(&mut addresses);
    let mut last = ConnectError::NoAddress(address.to_string());
    for one in addresses {
        let attempt = async {
            let stream = TcpStream::connect(one).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
            let connector = tokio_rustls::TlsConnector::from(config.clone());
            let stream = connector.connect(name, stream).await?;
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(KEEP_ALIVE)
                .keep_alive_timeout(KEEP_ALIVE)
                .initial_stream_window_size(WINDOW)
                .initial_connection_window_size(WINDOW)
                .handshake(TokioIo::new(stream))
                .await
                .map_err(io::Error::other)?;
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "the connection to the control plane ended");
                }
            });
            Ok::<_, io::Error>(Channel(sender))
        };
        match timeout(CONNECT, attempt).await {
            Ok(Ok(channel)) => return Ok(channel),
            Ok(Err(error)) => last = ConnectError::Connect(one.to_string(), error.to_string()),
            Err(_) => last = ConnectError::Connect(one.to_string(), "it took too long".to_owned()),
        }
    }
    Err(last)
}

/// A connection, as the gRPC client takes it.
#[derive(Clone)]
pub(super) struct Channel(SendRequest<Body>);

impl tower_service::Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_port() {
        for good in ["https://controller.ns.svc:15010", "https://10.0.0.1:443", "https://[::1]:8443"] {
            assert_eq!(good.parse::<ControlPlaneAddress>().unwrap().to_string(), good);
        }
        for same in ["https://a:1/", "a:1"] {
            assert_eq!(same.parse::<ControlPlaneAddress>().unwrap().to_string(), "https://a:1");
        }
        let bad =
            ["http://a:1", "https://a", "https://a:0", "https://:1", "https://a:1/b", "https://::1:1", "a"];
        for bad in bad {
            assert!(bad.parse::<ControlPlaneAddress>().is_err(), "{bad}");
        }
    }
}
