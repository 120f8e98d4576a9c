//! The demo's backends: small servers in this process, on ports of the loopback.

use std::{
    convert::Infallible,
    io,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::{DemoError, cases::Case, certificates::Certificate};

/// A backend. It ends with the runtime.
pub(crate) struct Backend {
    pub(crate) case: Case,
    pub(crate) port: u16,
    /// How many requests it got.
    pub(crate) requests: Arc<AtomicUsize>,
}

/// Starts a backend.
pub(crate) async fn start(case: Case, certificate: Option<&Certificate>) -> Result<Backend, DemoError> {
    let acceptor = certificate.map(acceptor).transpose()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(|error| DemoError::Backend(case.name, error))?;
    let port = listener.local_addr().map_err(|error| DemoError::Backend(case.name, error))?.port();
    let requests = Arc::new(AtomicUsize::new(0));
    let server = Server { case, acceptor, requests: requests.clone() };
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                // A client that goes away is no news for a backend.
                Ok((stream, _)) => drop(tokio::spawn(server.clone().serve(stream))),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    Ok(Backend { case, port, requests })
}

#[derive(Clone)]
struct Server {
    case: Case,
    acceptor: Option<TlsAcceptor>,
    requests: Arc<AtomicUsize>,
}

fn acceptor(certificate: &Certificate) -> Result<TlsAcceptor, DemoError> {
    let pem = |error: rustls::pki_types::pem::Error| DemoError::Certificates(error.to_string());
    let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(pem)?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).map_err(pem)?;
    let tls = |error: rustls::Error| DemoError::Certificates(error.to_string());
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(tls)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Server {
    async fn serve(self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let Some(acceptor) = &self.acceptor else {
            self.answer(stream, false, "in plaintext".to_owned()).await;
            return Ok(());
        };
        let stream = acceptor.accept(stream).await?;
        let (_, session) = stream.get_ref();
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS",
        };
        let how = format!("over {version}, asked for as {}", session.server_name().unwrap_or("nobody"));
        let h2 = session.alpn_protocol() == Some(b"h2");
        self.answer(stream, h2, how).await;
        Ok(())
    }

    async fn answer<S>(self, stream: S, h2: bool, how: String)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (name, how): (&str, Arc<str>) = (self.case.name, how.into());
        let service = service_fn(move |request: Request<Incoming>| {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let how = how.clone();
            async move {
                let (method, path) = (request.method(), request.uri().path());
                let text = format!("{name} answers {method} {path} ({:?} {how})\n", request.version());
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
            }
        });
        let io = TokioIo::new(stream);
        // Errors are the peer's going away.
        if h2 {
            let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await;
        } else {
            let _ = http1::Builder::new().serve_connection(io, service).await;
        }
    }
}
