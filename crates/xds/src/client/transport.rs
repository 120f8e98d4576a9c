//! A connection to a controller: TCP, TLS, HTTP/2.

use std::{
    fmt, io,
    net::SocketAddr,
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

/// `host:port` of the controllers; a name may have many addresses, and several may be given with commas between them.
/// `https://` may stand before each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlaneAddress(Vec<(String, u16)>);

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
        let all: Option<Vec<_>> = text.split(',').map(|one| host_and_port(one.trim())).collect();
        all.map(Self).ok_or_else(|| AddressError(text.to_owned()))
    }
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let authority = text.strip_prefix("https://").unwrap_or(text);
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, port) = authority.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let of_a_host = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if bare.is_empty() || !bare.chars().all(of_a_host) || (bare.contains(':') && bare == host) {
        return None;
    }
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some((bare.to_owned(), port))
}

impl fmt::Display for ControlPlaneAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (host, port)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match host.contains(':') {
                true => write!(f, "{comma}[{host}]:{port}")?,
                false => write!(f, "{comma}{host}:{port}")?,
            }
        }
        Ok(())
    }
}

/// Reads a file anew: what Kubernetes mounts changes.
pub(super) async fn read(path: &Path) -> Result<Vec<u8>, ConnectError> {
    tokio::fs::read(path).await.map_err(|error| ConnectError::File(path.display().to_string(), error))
}

/// Where the controllers are now, in any order.
pub(super) async fn resolve(address: &ControlPlaneAddress) -> Result<Vec<SocketAddr>, ConnectError> {
    let mut addresses = Vec::new();
    let mut failed = None;
    for (host, port) in &address.0 {
        let found = timeout(CONNECT, lookup_host((host.as_str(), *port))).await;
        match found.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer"))) {
            Ok(found) => addresses.extend(found),
            Err(error) => failed = Some(ConnectError::Resolve(host.clone(), error)),
        }
    }
    addresses.sort();
    addresses.dedup();
    // Proxies spread over the replicas.
    fastrand::shuffle(&mut addresses);
    match (addresses.is_empty(), failed) {
        (false, _) => Ok(addresses),
        (true, Some(failed)) => Err(failed),
        (true, None) => Err(ConnectError::NoAddress(address.to_string())),
    }
}

/// Connects to any of the controllers, and tells which.
pub(super) async fn connect_any(
    address: &ControlPlaneAddress,
    ca_file: &Path,
) -> Result<(Channel, SocketAddr), ConnectError> {
    let mut last = ConnectError::NoAddress(address.to_string());
    for one in resolve(address).await? {
        match connect(one, ca_file).await {
            Ok(channel) => return Ok((channel, one)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Connects to the controller at this address.
pub(super) async fn connect(address: SocketAddr, ca_file: &Path) -> Result<Channel, ConnectError> {
    let bundle = read(ca_file).await?;
    let config =
        client_config(&bundle).map_err(|error| ConnectError::Trust(ca_file.display().to_string(), error))?;
    let attempt = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
        let stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await?;
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
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(ConnectError::Connect(address.to_string(), error.to_string())),
        Err(_) => Err(ConnectError::Connect(address.to_string(), "it took too long".to_owned())),
    }
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
        let shown = |text: &str| text.parse::<ControlPlaneAddress>().map(|address| address.to_string());
        for good in ["controller.ns.svc:15010", "10.0.0.1:443", "[::1]:8443", "a:1,b:2,[::1]:3"] {
            assert_eq!(shown(good).as_deref(), Ok(good));
        }
        assert_eq!(shown("https://a:1/, https://b:2").as_deref(), Ok("a:1,b:2"));
        for bad in ["http://a:1", "a", "a:0", ":1", "a:1/b", "::1:1", "", "a:1,", "a:1 b:2"] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }
}
