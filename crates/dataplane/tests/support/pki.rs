//! Certificates, TLS backends and TLS clients.

use std::{
    convert::Infallible,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lasthop_dataplane_api::*;
use lasthop_tls_verify::{CertifiedKey, Identity, PeerRequirements, TrustAnchors};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::{TcpListener, TcpStream};

use super::backend::{Backend, Body};

pub struct Ca {
    pub der: CertificateDer<'static>,
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

pub struct Leaf {
    pub der: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
}

impl Ca {
    pub fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let mut params = CertificateParams::default();
        let name = format!("CA {}", NUMBER.fetch_add(1, Ordering::SeqCst));
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { der: certificate.der().clone(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    pub fn leaf(&self, names: &[&str]) -> Leaf {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "leaf");
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { der: certificate.der().clone(), key: PrivateKeyDer::try_from(key.serialize_der()).unwrap() }
    }

    /// A leaf that expires then.
    pub fn leaf_until(&self, names: &[&str], not_after: std::time::SystemTime) -> Leaf {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = not_after.into();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { der: certificate.der().clone(), key: PrivateKeyDer::try_from(key.serialize_der()).unwrap() }
    }

    pub fn anchors(&self) -> Arc<TrustAnchors> {
        Arc::new(TrustAnchors::from_der(vec![self.der.clone()]).unwrap().0)
    }

    /// A policy that trusts this CA and expects this name.
    pub fn policy(&self, name: &str) -> BackendTls {
        BackendTls::Policy(Arc::new(UpstreamTlsPolicy::new("default/policy", self.settings(name))))
    }

    pub fn settings(&self, name: &str) -> UpstreamTlsSettings {
        let peer = PeerRequirements::new(self.anchors(), vec![Identity::dns(name).unwrap()]);
        let Identity::Dns(name) = Identity::dns(name).unwrap() else { unreachable!() };
        UpstreamTlsSettings::new(peer, Sni::Name(name))
    }
}

impl Leaf {
    pub fn certified(&self) -> Arc<CertifiedKey> {
        Arc::new(CertifiedKey::new(vec![self.der.clone()], self.key.clone_key()).unwrap())
    }
}

/// A TLS server; `alpn` is what it takes. Speaks what was chosen, HTTP/1.1 if nothing was.
pub async fn serve<F, R>(leaf: &Leaf, alpn: &[&str], answer: F) -> Backend
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der.clone()], leaf.key.clone_key())
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let backend = Backend { address, connections: Arc::default(), requests: Arc::default() };
    let (connections, requests): (Arc<AtomicUsize>, Arc<AtomicUsize>) =
        (backend.connections.clone(), backend.requests.clone());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            connections.fetch_add(1, Ordering::SeqCst);
            let (acceptor, answer, requests) = (acceptor.clone(), answer.clone(), requests.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let service = service_fn(move |request| {
                    requests.fetch_add(1, Ordering::SeqCst);
                    let answer = answer(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let io = TokioIo::new(stream);
                if http2 {
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(io, service)
                        .await;
                } else {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .with_upgrades()
                        .await;
                }
            });
        }
    });
    backend
}

/// A client's TLS connection.
pub async fn connect(
    port: u16,
    ca: &Ca,
    sni: &str,
    alpn: &[&str],
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.der.clone()).unwrap();
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = super::client::connect(port).await;
    connector.connect(ServerName::try_from(sni.to_owned()).unwrap(), stream).await
}

/// An HTTPS listener.
pub fn https(name: &str, port: u16, hostname: Option<&str>, leaf: &Leaf) -> Listener {
    Listener {
        protocol: ListenerProtocol::HTTPS,
        tls: Some(ListenerTls { certificates: vec![leaf.certified()], client_validation: None }),
        ..super::listener(name, port, hostname)
    }
}
