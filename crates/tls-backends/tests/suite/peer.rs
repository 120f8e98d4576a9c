//! A backend for the stack under test: rustls, which shows any chain it is told to and says what it got.

use std::{net::SocketAddr, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::CertificateDer,
    server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache, WebPkiClientVerifier},
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

use super::pki::{Ca, Chain};

/// A server that echoes.
pub struct Peer {
    pub address: SocketAddr,
    handshakes: mpsc::UnboundedReceiver<Result<Hello, rustls::Error>>,
}

/// What a handshake came to on the server's side.
#[derive(Debug)]
pub struct Hello {
    pub sni: Option<String>,
    pub alpn: Option<Vec<u8>>,
    pub client: Option<CertificateDer<'static>>,
}

#[derive(Debug)]
struct Fixed(Arc<CertifiedKey>);

impl ResolvesServerCert for Fixed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

pub fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

/// A server that shows this chain, and asks for client certificates of this CA.
pub fn config(chain: &Chain, client_ca: Option<&Ca>) -> ServerConfig {
    config_with(provider(), rustls::ALL_VERSIONS, chain, client_ca)
}

pub fn config_with(
    provider: CryptoProvider,
    versions: &[&'static rustls::SupportedProtocolVersion],
    chain: &Chain,
    client_ca: Option<&Ca>,
) -> ServerConfig {
    let provider = Arc::new(provider);
    let verifier = match client_ca {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(ca) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(ca.der.clone()).unwrap();
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap()
        }
    };
    let key = provider.key_provider.load_private_key(chain.key.clone_key()).unwrap();
    let certified = CertifiedKey::new(chain.certificates.clone(), key);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(Fixed(Arc::new(certified))));
    config.session_storage = ServerSessionMemoryCache::new(1024);
    config
}

impl Peer {
    pub async fn new(config: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, handshakes) = mpsc::unbounded_channel();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    let mut stream = match acceptor.accept(tcp).await {
                        Ok(stream) => stream,
                        Err(error) => {
                            let inner = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
                            let inner = inner.cloned();
                            let error = inner.unwrap_or_else(|| rustls::Error::General(error.to_string()));
                            let _ = sender.send(Err(error));
                            return;
                        }
                    };
                    let connection = stream.get_ref().1;
                    let _ = sender.send(Ok(Hello {
                        sni: connection.server_name().map(str::to_owned),
                        alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
                        client: connection.peer_certificates().map(|chain| chain[0].clone()),
                    }));
                    let mut buffer = vec![0; 65536];
                    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                        if stream.write_all(&buffer[..n]).await.is_err() || stream.flush().await.is_err() {
                            return;
                        }
                    }
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { address, handshakes }
    }

    /// The next handshake's outcome.
    pub async fn handshake(&mut self) -> Result<Hello, rustls::Error> {
        let next = self.handshakes.recv();
        tokio::time::timeout(std::time::Duration::from_secs(10), next).await.expect("hangs").unwrap()
    }

    /// The alert that ended the next handshake.
    pub async fn alert(&mut self) -> u8 {
        match self.handshake().await {
            Err(rustls::Error::AlertReceived(alert)) => alert.into(),
            other => panic!("no alert: {other:?}"),
        }
    }
}
