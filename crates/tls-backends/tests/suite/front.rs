//! The stack under test as a server, and a client to try it with.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use lasthop_dataplane_api::{ClientValidation, ClientValidationMode, ListenerTls, TlsStack};
use lasthop_tls_backends::{
    Alpn, DownstreamEntry, DownstreamInfo, DownstreamSettings, DownstreamTls, backend,
};
use lasthop_tls_verify::{CertifiedKey, TlsError};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::sync::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::peer::provider;
use super::pki::Ca;

/// A port that echoes.
pub struct Front {
    pub address: SocketAddr,
    handshakes: mpsc::UnboundedReceiver<Result<DownstreamInfo, TlsError>>,
}

/// A listener; `""` is every host.
pub fn entry(host: &str, certificates: &[&Arc<CertifiedKey>]) -> DownstreamEntry {
    DownstreamEntry {
        hostname: (!host.is_empty()).then(|| host.parse().unwrap()),
        tls: ListenerTls {
            certificates: certificates.iter().map(|certificate| (*certificate).clone()).collect(),
            client_validation: None,
        },
    }
}

/// The same, for clients of this CA.
pub fn validated(mut entry: DownstreamEntry, clients: &Ca, mode: ClientValidationMode) -> DownstreamEntry {
    entry.tls.client_validation = Some(ClientValidation { anchors: clients.anchors(), mode });
    entry
}

pub fn compile(stack: TlsStack, entries: Vec<DownstreamEntry>) -> Arc<dyn DownstreamTls> {
    let settings = DownstreamSettings { entries, alpn: vec![Alpn::Http2, Alpn::Http1] };
    backend(stack).unwrap().downstream(&settings).unwrap()
}

impl Front {
    pub async fn new(entries: Vec<DownstreamEntry>) -> Self {
        Self::of(compile(crate::STACK, entries), 0).await
    }

    /// Takes `peeked` bytes from the socket before it hands it over.
    pub async fn of(downstream: Arc<dyn DownstreamTls>, peeked: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, handshakes) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                let (downstream, sender) = (downstream.clone(), sender.clone());
                tokio::spawn(async move {
                    let mut prefix = vec![0; peeked];
                    tcp.read_exact(&mut prefix).await.unwrap();
                    let mut stream = match downstream.accept(tcp, Bytes::from(prefix)).await {
                        Ok((stream, info)) => {
                            let _ = sender.send(Ok(info));
                            stream
                        }
                        Err(error) => {
                            let _ = sender.send(Err(error));
                            return;
                        }
                    };
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

    /// What the next handshake came to.
    pub async fn handshake(&mut self) -> Result<DownstreamInfo, TlsError> {
        let next = self.handshakes.recv();
        tokio::time::timeout(Duration::from_secs(10), next).await.expect("hangs").unwrap()
    }
}

/// A client that believes everything and remembers what it was shown.
#[derive(Debug, Default)]
pub struct Witness {
    pub ocsp: Mutex<Vec<u8>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.ocsp.lock().unwrap() = ocsp.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, leaf, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, leaf, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A client of this version with this certificate.
pub fn client(
    witness: &Arc<Witness>,
    version: &'static rustls::SupportedProtocolVersion,
    certificate: Option<&CertifiedKey>,
) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(witness.clone());
    match certificate {
        None => builder.with_no_client_auth(),
        Some(ours) => builder.with_client_auth_cert(ours.chain().to_vec(), ours.key().clone_key()).unwrap(),
    }
}

/// A handshake and an echo. No name means no server_name extension.
pub async fn visit(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
    name: Option<&str>,
) -> io::Result<TlsStream<TcpStream>> {
    let name = match name {
        Some(name) => ServerName::try_from(name.to_owned()).unwrap(),
        None => ServerName::IpAddress(address.ip().into()),
    };
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let mut stream = TlsConnector::from(config.clone()).connect(name, tcp).await?;
    let mut answer = [0; 4];
    stream.write_all(b"ping").await?;
    stream.flush().await?;
    tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut answer)).await.expect("hangs")?;
    assert_eq!(&answer, b"ping");
    Ok(stream)
}

/// The alert that an error tells of.
pub fn alert(error: &io::Error) -> u8 {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::AlertReceived(alert)) => u8::from(*alert),
        _ => panic!("no alert: {error:?}"),
    }
}
