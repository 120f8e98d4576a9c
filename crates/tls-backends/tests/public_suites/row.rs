//! What becomes of a case: by the verifier, and by a handshake of each stack.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use lasthop_dataplane_api::{
    ClientValidation, ClientValidationMode, ListenerTls, TlsStack, UpstreamTlsPolicy, UpstreamTlsSettings,
};
use lasthop_tls_backends::{Alpn, DownstreamEntry, DownstreamSettings, backend};
use lasthop_tls_verify::{CertifiedKey, PeerRequirements, TlsError, Verifier};
use rustls::{
    SupportedProtocolVersion,
    pki_types::{CertificateDer, UnixTime},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{
    case::{Case, Kind},
    forger,
};

/// decrypt_error: the chain was accepted, and the forged signature came to light (RFC 8446 §4.4.3).
const DECRYPT_ERROR: u8 = 51;
/// illegal_parameter: the same of a signature that does not fit the kind of key.
const ILLEGAL_PARAMETER: u8 = 47;

pub const ACCEPTED: &str = "accepted";

/// A verdict and, if the chain was refused, the alert that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `accepted`, or the reason as the access log has it.
    pub word: &'static str,
    pub alert: Option<u8>,
}

impl Verdict {
    fn of<T>(result: Result<T, TlsError>) -> Self {
        match result {
            Ok(_) => Self { word: ACCEPTED, alert: None },
            Err(error) => Self { word: error.reason(), alert: error.certificate_alert() },
        }
    }

    /// No connection is ever made.
    fn refused_policy(word: &'static str) -> Self {
        Self { word, alert: None }
    }
}

/// The verdict of the verifier at a time.
pub fn of_verifier(case: &Case, time: UnixTime) -> Verdict {
    let chain = case.chain();
    let judge = |requirements: PeerRequirements| {
        let Ok(verifier) = Verifier::new(requirements) else { return Verdict::refused_policy("BadCrl") };
        Verdict::of(match case.validation_kind {
            Kind::Server => verifier.verify_server(&chain, time),
            Kind::Client => verifier.verify_client(&chain, time),
        })
    };
    match case.policy() {
        Ok(settings) => judge(settings.peer),
        Err(refused) => Verdict::refused_policy(refused),
    }
}

/// The verdict of a stack in a handshake over the loopback, at the present time.
pub async fn of_stack(stack: TlsStack, case: &Case, version: &'static SupportedProtocolVersion) -> Verdict {
    let settings = match case.policy() {
        Ok(settings) => settings,
        Err(refused) => return Verdict::refused_policy(refused),
    };
    let shaking = async {
        match case.validation_kind {
            Kind::Server => as_client(stack, case.chain(), settings, version).await,
            Kind::Client => as_server(stack, case.chain(), settings).await,
        }
    };
    tokio::time::timeout(Duration::from_secs(30), shaking).await.expect("the handshake hangs")
}

async fn sockets() -> (TcpStream, TcpStream, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (near, (far, _)) = (near.unwrap(), far.unwrap());
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near, far, address)
}

/// The verdict from what our side says and the alert that the peer got: both must tell the same.
fn agreed(ours: Result<(), TlsError>, alert: Option<u8>) -> Verdict {
    let error = match ours {
        Ok(()) => panic!("a forged signature was taken"),
        Err(error) => error,
    };
    match (&error, alert.unwrap_or_default()) {
        (TlsError::BadCertificate(_), DECRYPT_ERROR) => Verdict { word: ACCEPTED, alert: None },
        (TlsError::BadCertificate(what), ILLEGAL_PARAMETER) if what.contains("signature") => {
            Verdict { word: ACCEPTED, alert: None }
        }
        _ => Verdict { word: error.reason(), alert },
    }
}

/// The stack as the client of a backend that shows the chain.
async fn as_client(
    stack: TlsStack,
    chain: Vec<CertificateDer<'static>>,
    settings: UpstreamTlsSettings,
    version: &'static SupportedProtocolVersion,
) -> Verdict {
    let policy = Arc::new(UpstreamTlsPolicy::new("trust/case", settings));
    let compiled = match backend(stack).unwrap().upstream(&policy) {
        Ok(compiled) => compiled,
        Err(_) => return Verdict::refused_policy("BadCrl"),
    };
    let (near, far, address) = sockets().await;
    let server = TlsAcceptor::from(Arc::new(forger::server(chain, version)));
    let endpoint = compiled.endpoint(address);
    let (ours, theirs) = tokio::join!(endpoint.connect(near, None, &[Alpn::Http1]), server.accept(far));
    agreed(ours.map(|_| ()), theirs.err().as_ref().and_then(forger::alert))
}

/// The stack as the server of a client that shows the chain.
async fn as_server(
    stack: TlsStack,
    chain: Vec<CertificateDer<'static>>,
    settings: UpstreamTlsSettings,
) -> Verdict {
    let key = rcgen::KeyPair::generate().unwrap();
    let ours =
        rcgen::CertificateParams::new(vec!["front.example".into()]).unwrap().self_signed(&key).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let entry = DownstreamEntry {
        hostname: None,
        tls: ListenerTls {
            certificates: vec![Arc::new(CertifiedKey::new(vec![ours.der().clone()], key).unwrap())],
            client_validation: Some(ClientValidation {
                anchors: settings.peer.anchors,
                mode: ClientValidationMode::AllowValidOnly,
            }),
        },
    };
    let settings = DownstreamSettings { entries: vec![entry], alpn: vec![Alpn::Http1] };
    let compiled = backend(stack).unwrap().downstream(&settings).unwrap();
    let (near, far, _) = sockets().await;
    let client = async {
        let mut config = forger::client(chain);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = "front.example".try_into().unwrap();
        let mut stream = match TlsConnector::from(Arc::new(config)).connect(name, near).await {
            Ok(stream) => stream,
            Err(error) => return forger::alert(&error),
        };
        // In TLS 1.3 the handshake is done for the client before it hears what the server thinks of it.
        let error = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1]).await.err();
        error.as_ref().and_then(forger::alert)
    };
    let (ours, alert) = tokio::join!(compiled.accept(far, Bytes::new()), client);
    agreed(ours.map(|_| ()), alert)
}
