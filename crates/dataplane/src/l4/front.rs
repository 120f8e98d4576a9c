//! What connections to a port begin with, where that is not HTTP.

use std::{net::SocketAddr, rc::Rc, sync::Arc};

use bytes::Bytes;
use lasthop_dataplane_api::{FailureReason, ListenerKey};
use tokio::net::TcpStream;

use super::{ByName, by_name, proxy_protocol, serve as whole, session::Session};
use crate::{
    downstream::{ClientConnection, Open, in_time},
    wire::{Activity, Wire},
    worker::Worker,
};

/// What connections to a port begin with.
#[derive(Clone)]
pub(crate) struct PortFront {
    /// Whether a PROXY protocol header comes first.
    pub proxy_protocol: bool,
    /// What comes then.
    pub speaks: Speaks,
    /// Whom failures before a listener is chosen are counted with.
    pub first: ListenerKey,
}

/// What is spoken.
#[derive(Clone)]
pub(crate) enum Speaks {
    /// HTTP, or HTTPS if the port terminates TLS.
    Http,
    /// TLS, with listeners that do not all speak HTTP: the server name says which one it is.
    ByName(Arc<ByName>),
    /// Whatever client and backend agree on.
    Tcp(ListenerKey),
}

/// A connection that has arrived.
pub(crate) struct Arrival {
    pub stream: TcpStream,
    /// The client's address.
    pub client: SocketAddr,
    /// The address it came to.
    pub local: SocketAddr,
    /// What was read of it already.
    pub prefix: Bytes,
    /// Counts it.
    pub open: Open,
}

impl Arrival {
    /// The connection under a listener.
    pub(super) fn connection(
        self,
        worker: &Rc<Worker>,
        listener: Option<&ListenerKey>,
    ) -> (ClientConnection, TcpStream, Bytes) {
        let listener = listener.and_then(|key| worker.view.borrow().listeners.get(key).cloned());
        let connection = ClientConnection::of_listener(self.open, self.client, self.local, listener);
        (connection, self.stream, self.prefix)
    }
}

/// Serves a connection to its end, or gives it back if it is for HTTP.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    front: Arc<PortFront>,
    mut arrival: Arrival,
) -> Option<Arrival> {
    if front.proxy_protocol {
        let limit = worker.limits.handshake_timeout;
        match in_time(&worker, limit, proxy_protocol::read(&mut arrival.stream)).await {
            Some(Ok(Some((header, rest)))) => {
                arrival.client = header.client.unwrap_or(arrival.client);
                arrival.prefix = rest;
            }
            Some(Ok(None)) => return None,
            None if worker.draining.get() => return None,
            Some(Err(_)) | None => {
                let (connection, stream, _) = arrival.connection(&worker, Some(&front.first));
                let protocol = match front.speaks {
                    Speaks::Http => "HTTP/1.1",
                    Speaks::ByName(_) => "TLS",
                    Speaks::Tcp(_) => "TCP",
                };
                Session::new(connection, protocol).end(FailureReason::ProxyProtocol);
                whole::reset(&stream);
                return None;
            }
        }
    }
    match &front.speaks {
        Speaks::Http => Some(arrival),
        Speaks::ByName(names) => by_name::serve(&worker, names, &front.first, arrival).await,
        Speaks::Tcp(listener) => {
            let rule = worker.view.borrow().l4.find(listener, None);
            let (connection, stream, prefix) = arrival.connection(&worker, Some(listener));
            let wire = Wire::plain(stream, prefix, Activity::new());
            whole::serve(Session::new(connection, "TCP"), rule, wire).await;
            None
        }
    }
}
