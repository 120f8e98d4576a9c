//! Peers: backends that tell what they saw, clients that speak byte by byte.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    client,
    pki::{Ca, Leaf},
};

/// What a backend saw.
#[derive(Default)]
pub struct Seen {
    /// How often it was connected to.
    pub connections: usize,
    /// What came inside TLS, or over TCP if there is none.
    pub bytes: Vec<u8>,
    /// The server names of handshakes.
    pub names: Vec<Option<String>>,
    /// How its connections ended: `Ok` is a proper end.
    pub ends: Vec<Result<(), io::ErrorKind>>,
}

/// A backend that says who it is, then echoes; what it receives after an end of the client it answers with `bye`.
#[derive(Clone)]
pub struct Peer {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Seen>>,
}

impl Peer {
    pub fn bytes(&self) -> Vec<u8> {
        self.seen.lock().unwrap().bytes.clone()
    }

    pub fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// The ends of its connections, once there are so many.
    pub async fn wait_ends(&self, count: usize) -> Vec<Result<(), io::ErrorKind>> {
        for _ in 0..500 {
            let ends = self.seen.lock().unwrap().ends.clone();
            if ends.len() >= count {
                return ends;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{count} ends expected");
    }

    /// Over TCP; it says `name` first.
    pub async fn plain(name: &'static str) -> Self {
        Self::start(name, None).await
    }

    /// Over TLS.
    pub async fn tls(name: &'static str, leaf: &Leaf) -> Self {
        let builder = rustls::ServerConfig::builder().with_no_client_auth();
        Self::start(
            name,
            Some(builder.with_single_cert(vec![leaf.der.clone()], leaf.key.clone_key()).unwrap()),
        )
        .await
    }

    /// Over TLS; clients must have a certificate of this CA.
    pub async fn mutual(name: &'static str, leaf: &Leaf, clients: &Ca) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(clients.der.clone()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
        let builder = rustls::ServerConfig::builder().with_client_cert_verifier(verifier);
        Self::start(
            name,
            Some(builder.with_single_cert(vec![leaf.der.clone()], leaf.key.clone_key()).unwrap()),
        )
        .await
    }

    async fn start(name: &'static str, config: Option<rustls::ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let acceptor = config.map(|config| tokio_rustls::TlsAcceptor::from(Arc::new(config)));
        let seen = peer.seen.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                seen.lock().unwrap().connections += 1;
                let (seen, acceptor) = (seen.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let end = match acceptor {
                        None => echo(name, stream, &seen).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => {
                                let name_sent = stream.get_ref().1.server_name().map(ToOwned::to_owned);
                                seen.lock().unwrap().names.push(name_sent);
                                echo(name, stream, &seen).await
                            }
                            Err(error) => Err(error),
                        },
                    };
                    seen.lock().unwrap().ends.push(end.map_err(|error| error.kind()));
                });
            }
        });
        peer
    }
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(
    name: &str,
    mut stream: S,
    seen: &Mutex<Seen>,
) -> io::Result<()> {
    stream.write_all(name.as_bytes()).await?;
    stream.flush().await?;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            break;
        }
        seen.lock().unwrap().bytes.extend_from_slice(&buffer[..n]);
        stream.write_all(&buffer[..n]).await?;
        stream.flush().await?;
    }
    // The other direction is still open: a half-close, not an end.
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream.write_all(b"bye").await?;
    stream.shutdown().await
}

/// Reads so many bytes as text; what came of it if the peer ends earlier.
pub async fn read_text<S: AsyncRead + Unpin>(stream: &mut S, length: usize) -> String {
    let mut text = vec![0; length];
    let mut have = 0;
    while have < length {
        match tokio::time::timeout(Duration::from_secs(10), stream.read(&mut text[have..])).await {
            Ok(Ok(n @ 1..)) => have += n,
            other => {
                text.truncate(have);
                return format!("{}<{other:?}>", String::from_utf8_lossy(&text));
            }
        }
    }
    String::from_utf8(text).unwrap()
}

/// A client's settings that trust a CA.
pub fn trusting(ca: &Ca) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.der.clone()).unwrap();
    rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

/// The bytes of a ClientHello: one record.
pub fn hello(name: Option<&str>) -> Vec<u8> {
    let ca = Ca::new();
    let mut config = trusting(&ca);
    config.enable_sni = name.is_some();
    let name = ServerName::try_from(name.unwrap_or("unnamed.test").to_owned()).unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

/// A hello's message in records of so many bytes.
pub fn in_records(hello: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat();
    hello[5..].chunks(size).flat_map(record).collect()
}

/// A TLS connection whose hello is changed on its way, and sent in pieces of so many bytes.
pub async fn connect_in_pieces(
    port: u16,
    ca: &Ca,
    name: &str,
    piece: usize,
    change: impl FnOnce(&[u8]) -> Vec<u8> + Send + 'static,
) -> io::Result<tokio_rustls::client::TlsStream<tokio::io::DuplexStream>> {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let mut socket = client::connect(port).await;
        let mut hello = vec![0; 5];
        far.read_exact(&mut hello).await?;
        let length = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
        hello.resize(5 + length, 0);
        far.read_exact(&mut hello[5..]).await?;
        for piece in change(&hello).chunks(piece) {
            socket.write_all(piece).await?;
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        tokio::io::copy_bidirectional(&mut far, &mut socket).await
    });
    let connector = tokio_rustls::TlsConnector::from(Arc::new(trusting(ca)));
    connector.connect(ServerName::try_from(name.to_owned()).unwrap(), near).await
}

/// Everything that comes until the connection ends, and how it ended.
pub async fn read_all(stream: &mut TcpStream) -> (Vec<u8>, io::Result<()>) {
    let mut all = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut all)).await;
    (all, read.unwrap_or(Err(io::ErrorKind::TimedOut.into())).map(drop))
}

/// Everything that a stream still has, until its proper end.
pub async fn rest_of<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut all)).await;
    read.unwrap_or(Err(io::ErrorKind::TimedOut.into())).map(|_| all)
}
