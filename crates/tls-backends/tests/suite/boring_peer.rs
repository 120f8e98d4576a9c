//! BoringSSL through `tokio-boring`, which shares no code with ours, as backend and as client.

use std::net::SocketAddr;

use boring::{
    pkey::PKey,
    ssl::{
        ConnectConfiguration, SslAcceptor, SslAcceptorBuilder, SslConnector, SslMethod, SslVerifyMode,
        SslVersion,
    },
    x509::{X509, store::X509StoreBuilder},
};
use lasthop_dataplane_api::{ClientValidationMode, TlsVersion};
use lasthop_tls_backends::{Alpn, ClientIdentity};
use lasthop_tls_verify::TlsError;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_boring::SslStream;

use super::{
    client::{HOST, compile, connect, exchange, settings},
    front::{Front, entry, validated},
    pki::{Ca, Chain},
};

const VERSIONS: [(TlsVersion, SslVersion); 2] =
    [(TlsVersion::V1_2, SslVersion::TLS1_2), (TlsVersion::V1_3, SslVersion::TLS1_3)];

/// A server of this version that shows the chain and prefers h2.
fn acceptor(chain: &Chain, version: SslVersion) -> SslAcceptorBuilder {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    builder.set_min_proto_version(Some(version)).unwrap();
    builder.set_max_proto_version(Some(version)).unwrap();
    builder.set_certificate(&X509::from_der(&chain.certificates[0]).unwrap()).unwrap();
    builder.set_private_key(&PKey::private_key_from_pkcs8(chain.key.secret_der()).unwrap()).unwrap();
    builder.set_curves_list("X25519MLKEM768:X25519:P-256").unwrap();
    builder.set_session_id_context(b"peer").unwrap();
    builder.set_alpn_select_callback(|_, offered| {
        boring::ssl::select_next_proto(b"\x02h2\x08http/1.1", offered).ok_or(boring::ssl::AlpnError::NOACK)
    });
    builder
}

/// What a handshake came to on the peer's side: the group, whether a session was resumed, the client's certificate;
/// or the error.
type Outcome = Result<(Option<String>, bool, Option<Vec<u8>>), String>;

/// A server that echoes.
async fn backend(acceptor: SslAcceptor) -> (SocketAddr, mpsc::UnboundedReceiver<Outcome>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, outcomes) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tcp.set_nodelay(true).unwrap();
            let (acceptor, sender) = (acceptor.clone(), sender.clone());
            tokio::spawn(async move {
                let mut stream = match tokio_boring::accept(&acceptor, tcp).await {
                    Ok(stream) => stream,
                    Err(error) => return drop(sender.send(Err(error.to_string()))),
                };
                let _ = sender.send(Ok(outcome(&stream)));
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
    (address, outcomes)
}

fn outcome(stream: &SslStream<TcpStream>) -> (Option<String>, bool, Option<Vec<u8>>) {
    let ssl = stream.ssl();
    let group = ssl.curve_name().map(str::to_owned);
    (group, ssl.session_reused(), ssl.peer_certificate().map(|certificate| certificate.to_der().unwrap()))
}

#[tokio::test]
async fn a_backend_is_verified_and_resumed() {
    let ca = Ca::new("ca");
    for (version, theirs) in VERSIONS {
        let (address, mut outcomes) =
            backend(acceptor(&ca.leaf(&["DNS:backend.example"]), theirs).build()).await;
        let policy = compile(settings(ca.anchors()));
        for resumed in [false, true, true] {
            let (mut stream, info) = connect(&policy, address, &[Alpn::Http2, Alpn::Http1]).await.unwrap();
            exchange(&mut stream).await.unwrap();
            assert_eq!((info.version, info.alpn, info.resumed), (version, Some(Alpn::Http2), resumed));
            let (group, reused, client) = outcomes.recv().await.unwrap().unwrap();
            assert_eq!((reused, client), (resumed, None));
            if version == TlsVersion::V1_3 {
                assert_eq!(group.as_deref(), Some("X25519MLKEM768"));
            }
        }
        let refused = connect(&compile(settings(Ca::new("stranger").anchors())), address, &[]).await;
        assert_eq!(refused.err(), Some(TlsError::UntrustedChain));
        let said = outcomes.recv().await.unwrap().unwrap_err();
        assert!(said.contains("UNKNOWN_CA"), "{said}");
    }
}

#[tokio::test]
async fn a_backend_gets_our_certificate() {
    let (ca, clients) = (Ca::new("ca"), Ca::new("clients"));
    for (_, theirs) in VERSIONS {
        let mut builder = acceptor(&ca.leaf(&["DNS:backend.example"]), theirs);
        let mut store = X509StoreBuilder::new().unwrap();
        store.add_cert(X509::from_der(&clients.der).unwrap()).unwrap();
        builder.set_verify_cert_store(store.build()).unwrap();
        builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        let (address, mut outcomes) = backend(builder.build()).await;
        let ours = clients.client();
        let mut policy = settings(ca.anchors());
        policy.client_certificate = Some(ours.clone());
        let (mut stream, _) = connect(&compile(policy), address, &[]).await.unwrap();
        exchange(&mut stream).await.unwrap();
        let (_, _, client) = outcomes.recv().await.unwrap().unwrap();
        assert_eq!(client.as_deref(), ours.chain().first().map(|der| der.as_ref()));
    }
}

/// A client of this version that trusts the CA.
fn connector(ca: &Ca, version: SslVersion, client: Option<&Chain>) -> ConnectConfiguration {
    let mut builder = SslConnector::builder(SslMethod::tls()).unwrap();
    builder.set_min_proto_version(Some(version)).unwrap();
    builder.set_max_proto_version(Some(version)).unwrap();
    builder.set_alpn_protos(b"\x02h2\x08http/1.1").unwrap();
    let mut store = X509StoreBuilder::new().unwrap();
    store.add_cert(X509::from_der(&ca.der).unwrap()).unwrap();
    builder.set_verify_cert_store(store.build()).unwrap();
    if let Some(chain) = client {
        builder.set_certificate(&X509::from_der(&chain.certificates[0]).unwrap()).unwrap();
        builder.set_private_key(&PKey::private_key_from_pkcs8(chain.key.secret_der()).unwrap()).unwrap();
    }
    builder.build().configure().unwrap()
}

async fn visit(
    config: ConnectConfiguration,
    address: SocketAddr,
    name: &str,
) -> Result<SslStream<TcpStream>, String> {
    let tcp = TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let mut stream = tokio_boring::connect(config, name, tcp).await.map_err(|error| error.to_string())?;
    let mut answer = [0; 4];
    stream.write_all(b"ping").await.map_err(|error| error.to_string())?;
    stream.read_exact(&mut answer).await.map_err(|error| error.to_string())?;
    assert_eq!(&answer, b"ping");
    Ok(stream)
}

#[tokio::test]
async fn a_client_is_served_by_name() {
    let ca = Ca::new("ca");
    let certified = ca.leaf(&["DNS:backend.example"]).certified();
    let mut front = Front::new(vec![entry(HOST, &[&certified])]).await;
    for (version, theirs) in VERSIONS {
        let stream = visit(connector(&ca, theirs, None), front.address, HOST).await.unwrap();
        assert_eq!(stream.ssl().selected_alpn_protocol(), Some(&b"h2"[..]));
        let info = front.handshake().await.unwrap();
        assert_eq!((info.version, info.sni.as_deref()), (version, Some(HOST)));
        assert_eq!((info.alpn, info.client), (Some(Alpn::Http2), ClientIdentity::None));
        let stranger = visit(connector(&ca, theirs, None), front.address, "other.example").await;
        let said = stranger.err().unwrap();
        assert!(said.contains("UNRECOGNIZED_NAME"), "{said}");
        let ours = front.handshake().await.unwrap_err();
        assert_eq!(ours, TlsError::UnrecognizedName(Some("other.example".into())));
    }
}

#[tokio::test]
async fn a_client_that_knows_p521_is_served_with_it() {
    let ca = Ca::new("ca");
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    let chain = ca.issue_for(super::pki::leaf_params(&["DNS:backend.example"]), key);
    let front = Front::new(vec![entry("", &[&chain.certified()])]).await;
    for (_, theirs) in VERSIONS {
        let mut config = connector(&ca, theirs, None);
        config.set_curves_list("X25519:P-256:P-521").unwrap();
        config
            .set_verify_algorithm_prefs(&[boring::ssl::SslSignatureAlgorithm::ECDSA_SECP521R1_SHA512])
            .unwrap();
        visit(config, front.address, HOST).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_proves_who_it_is() {
    let (ca, clients) = (Ca::new("ca"), Ca::new("clients"));
    let listener = entry("", &[&ca.leaf(&["DNS:backend.example"]).certified()]);
    let mut front =
        Front::new(vec![validated(listener, &clients, ClientValidationMode::AllowValidOnly)]).await;
    let of = |ca: &Ca| {
        let mut params = super::pki::leaf_params(&["DNS:client.example"]);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        Arc::new(ca.issue(params))
    };
    for (_, theirs) in VERSIONS {
        let known = of(&clients);
        visit(connector(&ca, theirs, Some(&known)), front.address, HOST).await.unwrap();
        let shown = front.handshake().await.unwrap().client;
        assert_eq!(shown, ClientIdentity::Verified(known.certificates[0].to_vec().into()));
        let unknown = of(&Ca::new("strangers"));
        let said = visit(connector(&ca, theirs, Some(&unknown)), front.address, HOST).await.err().unwrap();
        assert!(said.contains("UNKNOWN_CA"), "{said}");
        assert_eq!(front.handshake().await, Err(TlsError::UntrustedChain));
        let said = visit(connector(&ca, theirs, None), front.address, HOST).await.err().unwrap();
        assert!(said.contains("CERTIFICATE_REQUIRED") || said.contains("HANDSHAKE_FAILURE"), "{said}");
        assert_eq!(front.handshake().await, Err(TlsError::NoPeerCertificate));
    }
}
