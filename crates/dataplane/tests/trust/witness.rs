//! A backend that tells of its own connections and sessions, with and without TLS on one port.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    backend::{Body, full},
    client,
    pki::{Ca, Leaf},
};

/// What a response tells of the connection it came over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub status: u16,
    /// The backend's number of the connection.
    pub connection: u64,
    /// Whether the backend resumed a session for it.
    pub resumed: bool,
    pub tls: bool,
    /// Whether the proxy showed a certificate.
    pub client_certificate: bool,
    pub version: String,
}

pub struct Witness {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    config: Mutex<Arc<ServerConfig>>,
    /// How long each handshake is put off.
    delay: Mutex<Duration>,
    made: Mutex<u64>,
    open: Mutex<BTreeSet<u64>>,
}

#[derive(Clone, Copy)]
struct Connection {
    number: u64,
    resumed: bool,
    tls: bool,
    client_certificate: bool,
}

/// A server's settings: this leaf, ticket keys of its own, client certificates of `clients` taken if shown.
fn config(leaf: &Leaf, clients: Option<&Ca>) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder();
    let builder = match clients {
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(ca.der.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated();
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(vec![leaf.der.clone()], leaf.key.clone_key()).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    Arc::new(config)
}

impl Witness {
    pub async fn start(leaf: &Leaf, clients: Option<&Ca>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            config: Mutex::new(config(leaf, clients)),
            delay: Mutex::default(),
            made: Mutex::default(),
            open: Mutex::default(),
        });
        let serving = state.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let state = serving.clone();
                tokio::spawn(async move {
                    let number = {
                        let mut made = state.made.lock().unwrap();
                        *made += 1;
                        *made
                    };
                    state.open.lock().unwrap().insert(number);
                    state.serve(number, stream).await;
                    state.open.lock().unwrap().remove(&number);
                });
            }
        });
        Self { address, state }
    }

    /// From now on it shows another leaf; open connections stay.
    pub fn show(&self, leaf: &Leaf) {
        *self.state.config.lock().unwrap() = config(leaf, None);
    }

    /// From now on each handshake is put off.
    pub fn delay(&self, delay: Duration) {
        *self.state.delay.lock().unwrap() = delay;
    }

    /// The numbers of the connections that are open.
    pub fn open(&self) -> BTreeSet<u64> {
        self.state.open.lock().unwrap().clone()
    }

    /// How many connections there were.
    pub fn made(&self) -> u64 {
        *self.state.made.lock().unwrap()
    }
}

impl State {
    async fn serve(&self, number: u64, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut first = [0; 3];
        while stream.peek(&mut first).await.unwrap_or(3) < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if first[0] != 0x16 {
            let connection = Connection { number, resumed: false, tls: false, client_certificate: false };
            return speak(stream, &first == b"PRI", connection).await;
        }
        let delay = *self.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        let config = self.config.lock().unwrap().clone();
        let Ok(stream) = tokio_rustls::TlsAcceptor::from(config).accept(stream).await else { return };
        let tls = stream.get_ref().1;
        let connection = Connection {
            number,
            resumed: tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            tls: true,
            client_certificate: tls.peer_certificates().is_some(),
        };
        let http2 = tls.alpn_protocol() == Some(b"h2");
        speak(stream, http2, connection).await;
    }
}

async fn speak<S>(stream: S, http2: bool, connection: Connection)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // An upgraded connection is open until its tunnel ends, which its own task sees.
    let (ended, end) = tokio::sync::watch::channel(());
    let service = service_fn(move |request| {
        let ended = ended.clone();
        async move { Ok::<_, Infallible>(answer(request, connection, ended).await) }
    });
    let io = TokioIo::new(stream);
    if http2 {
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(io, service).await;
    } else {
        let builder = hyper::server::conn::http1::Builder::new();
        let _ = builder.serve_connection(io, service).with_upgrades().await;
    }
    let mut end = end;
    while end.changed().await.is_ok() {}
}

/// What is done depends on the path's end.
async fn answer(
    request: Request<Incoming>,
    connection: Connection,
    open: tokio::sync::watch::Sender<()>,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let response = Response::builder()
        .header("x-connection", connection.number)
        .header("x-resumed", connection.resumed.to_string())
        .header("x-tls", connection.tls.to_string())
        .header("x-client-certificate", connection.client_certificate.to_string());
    match path.rsplit('/').next().unwrap() {
        "close" => response.header("connection", "close").body(full("hi")),
        "slow" => {
            tokio::time::sleep(Duration::from_secs(1)).await;
            response.body(full("slow"))
        }
        "never" => std::future::pending().await,
        "endless" => response.body(chunks(Bytes::from_static(b"tick"), Duration::from_millis(50))),
        "flood" => response.body(chunks(vec![7; 64 * 1024].into(), Duration::ZERO)),
        "tunnel" => {
            tokio::spawn(async move {
                let mut io = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
                let mut buffer = [0; 1024];
                while let Ok(n @ 1..) = io.read(&mut buffer).await {
                    if io.write_all(&buffer[..n]).await.is_err() {
                        break;
                    }
                }
                drop(open);
            });
            response.status(101).header("connection", "upgrade").header("upgrade", "echo").body(full(""))
        }
        _ => response.body(full("hi")),
    }
    .unwrap()
}

fn chunks(chunk: Bytes, pause: Duration) -> Body {
    let stream = stream::unfold((), move |()| {
        let chunk = chunk.clone();
        async move {
            tokio::time::sleep(pause).await;
            Some((Ok::<_, Infallible>(Frame::data(chunk)), ()))
        }
    });
    // The box must be `Sync`, which a stream of sleeps is.
    StreamBody::new(Box::pin(stream)).boxed()
}

/// One request on a connection of its own, and what the backend tells; its body is read to the end.
pub async fn ask(port: u16, path: &str) -> Seen {
    let response = client::http1(port).await.send_request(client::request(path)).await.unwrap();
    let text =
        |name: &str| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let seen = Seen {
        status: response.status().as_u16(),
        connection: text("x-connection").parse().unwrap_or(0),
        resumed: text("x-resumed") == "true",
        tls: text("x-tls") == "true",
        client_certificate: text("x-client-certificate") == "true",
        version: format!("{:?}", response.version()),
    };
    response.into_body().collect().await.unwrap();
    seen
}
