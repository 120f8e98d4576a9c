//! Connections of proxies: TCP, TLS, HTTP/2, and the one method of gRPC that is spoken here.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, body::Body, server::StreamingService};
use tonic_prost::ProstCodec;

use super::{Shared, session};
use crate::{
    ServingTls,
    discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, METHOD},
};

/// Connections at once. Beyond it, new ones wait in the kernel's queue.
const CONNECTIONS: usize = 8192;
/// Without a sign of life a connection is asked for one, and cut off if none comes.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// A proxy speaks in one stream; a second one is there while the first ends.
const STREAMS: u32 = 4;
/// Of a request: the versions of everything that a proxy has.
const REQUEST_BYTES: usize = 64 << 20;
/// Of a request's header: a token is a few kilobytes.
const HEADER_BYTES: u32 = 32 << 10;

/// Of what a connection may send ahead of being read: strangers can connect, too. What HTTP/2 begins with.
const WINDOW: u32 = 65_535;

pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener, tls: ServingTls) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    // They end with the server.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a proxy's connection could not be accepted");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (shared, tls) = (shared.clone(), tls.clone());
        connections.spawn(async move {
            if let Err(error) = connection(shared, stream, tls).await {
                tracing::debug!(error = &*error, "a proxy's connection ended");
            }
            drop(slot);
        });
    }
}

async fn connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    tls: ServingTls,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let limit = shared.options.proof_timeout;
    stream.set_nodelay(true)?;
    let acceptor = tokio_rustls::TlsAcceptor::from(tls.config());
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long");
    let stream = timeout(limit, acceptor.accept(stream)).await.map_err(late)??;
    let proven = Arc::new(AtomicBool::new(false));
    let link = Link { shared, proven: proven.clone() };
    let answer = service_fn(move |request: Request<Incoming>| {
        let link = link.clone();
        async move { Ok::<_, Infallible>(route(link, request).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_BYTES)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    tokio::select! {
        ended = &mut connection => return Ok(ended?),
        () = sleep(limit) => {}
    }
    // A stranger who keeps a connection would keep a proxy from having it.
    if proven.load(Ordering::Relaxed) {
        connection.await?;
    }
    Ok(())
}

async fn route(link: Link, request: Request<Incoming>) -> Response<Body> {
    if request.uri().path() != METHOD {
        return Status::unimplemented("only delta ADS is spoken here").into_http();
    }
    let codec = ProstCodec::<DeltaDiscoveryResponse, DeltaDiscoveryRequest>::default();
    tonic::server::Grpc::new(codec).max_decoding_message_size(REQUEST_BYTES).streaming(link, request).await
}

/// The method, on one connection.
#[derive(Clone)]
struct Link {
    shared: Arc<Shared>,
    /// Whether somebody on the connection has shown a good token.
    proven: Arc<AtomicBool>,
}

impl StreamingService<DeltaDiscoveryRequest> for Link {
    type Response = DeltaDiscoveryResponse;
    type ResponseStream = ReceiverStream<session::Answer>;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Self::ResponseStream>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Streaming<DeltaDiscoveryRequest>>) -> Self::Future {
        let Self { shared, proven } = self.clone();
        Box::pin(async move {
            let (metadata, _, requests) = request.into_parts();
            let account = session::authenticate(&shared, &metadata).await?;
            proven.store(true, Ordering::Relaxed);
            let (sender, answers) = mpsc::channel(1);
            tokio::spawn(session::run(shared, account, requests, sender));
            Ok(tonic::Response::new(ReceiverStream::new(answers)))
        })
    }
}
