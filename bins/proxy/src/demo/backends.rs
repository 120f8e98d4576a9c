//! The demo's backends: small servers in this process, on ports of the loopback.

use std::{convert::Infallible, io, net::Ipv4Addr, sync::Arc, time::Duration};

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

/// Starts a backend and answers its port. It ends with the runtime.
pub(crate) async fn start(case: Case, certificate: Option<&Certificate>) -> Result<u16, DemoError> {
    let acceptor = certificate.map(acceptor).transpose()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(|error| DemoError::Backend(case.name, error))?;
    let port = listener.local_addr().map_err(|error| DemoError::Backend(case.name, error))?.port();
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                // A client that goes away is no news for a backend.
                Ok((stream, _)) => drop(tokio::spawn(serve(case, acceptor.clone(), stream))),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    Ok(port)
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

async fn serve(case: Case, acceptor: Option<TlsAcceptor>, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(acceptor) = acceptor else {
        answer(case, stream, false, "in plaintext".to_owned()).await;
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
    answer(case, stream, h2, how).await;
    Ok(())
}

async fn answer<S>(case: Case, stream: S, h2: bool, how: String)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let how: Arc<str> = how.into();
    let service = service_fn(move |request: Request<Incoming>| {
        let how = how.clone();
        async move {
            let (method, path) = (request.method(), request.uri().path());
            let text = format!("{} answers {method} {path} ({:?} {how})\n", case.name, request.version());
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
