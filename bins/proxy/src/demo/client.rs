//! The demo's client.

use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{cases::Case, show::Place};

/// For one request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of a response's body, in bytes.
const BODY: usize = 64 * 1024;

/// How the client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

pub(crate) const SCHEMES: [Scheme; 2] = [Scheme::Http, Scheme::Https];

impl Scheme {
    /// The Gateway's listener for it.
    pub(crate) fn listener(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A response: its status, and its body as text.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Sends one request to the proxy.
pub(crate) async fn ask(case: &Case, scheme: Scheme, place: &Place<'_>, ca: &str) -> Result<Answer, String> {
    let asked = async {
        let port = place.port(scheme);
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        match scheme {
            Scheme::Http => send(case, port, stream).await,
            Scheme::Https => {
                let name = ServerName::try_from(case.host()).map_err(io::Error::other)?;
                send(case, port, connector(ca)?.connect(name, stream).await?).await
            }
        }
    };
    match timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer after {} s", PATIENCE.as_secs())),
    }
}

fn connector(ca: &str) -> io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn send<S>(case: &Case, port: u16, stream: S) -> io::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/")
        .header(header::HOST, format!("{}:{port}", case.host()))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), BODY).collect().await.map_err(io::Error::other)?;
    connection.abort();
    Ok(Answer { status, body: String::from_utf8_lossy(&body.to_bytes()).trim().to_owned() })
}
