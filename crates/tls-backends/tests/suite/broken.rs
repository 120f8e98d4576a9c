//! Backends and clients that do not behave.

use std::{future::Future, net::SocketAddr, sync::Arc};

use lasthop_tls_backends::{Alpn, classify_io};
use lasthop_tls_verify::TlsError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::{
    client::{compile, connect, settings},
    peer::config,
    pki::Ca,
};

/// A listener that does this with each connection.
async fn backend<F: Future<Output = ()> + Send + 'static>(
    behave: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(behave(tcp));
        }
    });
    address
}

/// Waits for whatever comes, or for the end.
async fn something(tcp: &mut TcpStream) {
    let _ = tcp.read(&mut [0; 8192]).await;
}

async fn verdict(address: SocketAddr) -> TlsError {
    let policy = compile(settings(Ca::new("ca").anchors()));
    connect(&policy, address, &[Alpn::Http1]).await.err().expect("a handshake with no TLS peer")
}

#[tokio::test]
async fn plaintext_is_not_tls() {
    for text in
        ["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "SSH-2.0-x\r\n", "\0\0\x12\x04\0\0\0\0\0"]
    {
        let at_once = backend(move |mut tcp| async move {
            tcp.write_all(text.as_bytes()).await.unwrap();
            something(&mut tcp).await;
            something(&mut tcp).await;
        });
        assert_eq!(verdict(at_once.await).await, TlsError::NotTls, "{text:?}");
        let after_hello = backend(move |mut tcp| async move {
            something(&mut tcp).await;
            tcp.write_all(text.as_bytes()).await.unwrap();
        });
        assert_eq!(verdict(after_hello.await).await, TlsError::NotTls, "{text:?}");
    }
}

#[tokio::test]
async fn an_end_within_the_handshake_is_named() {
    let close = backend(|_| async {}).await;
    let after_hello = backend(|mut tcp| async move {
        something(&mut tcp).await;
        tcp.shutdown().await.unwrap();
        something(&mut tcp).await;
    });
    let half_a_record = backend(|mut tcp| async move {
        something(&mut tcp).await;
        tcp.write_all(&[22, 3, 3, 0, 100, 2, 0, 0, 96]).await.unwrap();
        tcp.shutdown().await.unwrap();
    });
    assert!(matches!(verdict(close).await, TlsError::Truncated | TlsError::Io(_)));
    assert_eq!(verdict(after_hello.await).await, TlsError::Truncated);
    assert_eq!(verdict(half_a_record.await).await, TlsError::Truncated);
}

#[tokio::test]
async fn nonsense_in_tls_records_is_a_violation() {
    let nonsense = backend(|mut tcp| async move {
        something(&mut tcp).await;
        tcp.write_all(&[22, 3, 3, 0, 8, 2, 0, 0, 4, 9, 9, 9, 9]).await.unwrap();
        something(&mut tcp).await;
    });
    let error = verdict(nonsense.await).await;
    assert!(matches!(error, TlsError::ProtocolViolation(_)), "{error:?}");
    let alert = backend(|mut tcp| async move {
        something(&mut tcp).await;
        tcp.write_all(&[21, 3, 3, 0, 2, 2, 80]).await.unwrap();
    });
    assert_eq!(verdict(alert.await).await, TlsError::PeerAlert(80));
}

#[tokio::test]
async fn an_end_without_close_notify_is_an_error() {
    let ca = Ca::new("ca");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let chain = ca.leaf(&["DNS:backend.example"]);
        let server = super::peer::config_with(super::peer::provider(), &[version], &chain, None);
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let truncating = backend(move |tcp| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = acceptor.accept(tcp).await.unwrap();
                stream.write_all(b"half").await.unwrap();
                stream.flush().await.unwrap();
                stream.get_mut().0.shutdown().await.unwrap();
            }
        });
        let policy = compile(settings(ca.anchors()));
        let (mut stream, _) = connect(&policy, truncating.await, &[]).await.unwrap();
        let mut got = [0; 4];
        stream.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"half");
        let error = stream.read(&mut got).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
        assert_eq!(classify_io(&error), Some(TlsError::Truncated));
    }
}

#[tokio::test]
async fn an_end_with_close_notify_is_an_end() {
    let ca = Ca::new("ca");
    let acceptor = TlsAcceptor::from(Arc::new(config(&ca.leaf(&["DNS:backend.example"]), None)));
    let closing = backend(move |tcp| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(tcp).await.unwrap();
            stream.write_all(b"all").await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    let policy = compile(settings(ca.anchors()));
    let (mut stream, _) = connect(&policy, closing.await, &[]).await.unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"all");
}

/// rustls never chooses what was not offered, so BoringSSL plays the backend.
#[cfg(feature = "boringssl")]
#[tokio::test]
async fn a_protocol_that_was_not_offered_is_refused() {
    use boring::{
        pkey::PKey,
        ssl::{Ssl, SslContext, SslMethod},
        x509::X509,
    };
    let ca = Ca::new("ca");
    let chain = ca.leaf(&["DNS:backend.example"]);
    let mut context = SslContext::builder(SslMethod::tls()).unwrap();
    context.set_certificate(&X509::from_der(&chain.certificates[0]).unwrap()).unwrap();
    context.set_private_key(&PKey::private_key_from_pkcs8(chain.key.secret_der()).unwrap()).unwrap();
    context.set_alpn_select_callback(|_, _| Ok(b"h2"));
    let context = context.build();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (tcp, _) = listener.accept().unwrap();
        let _ = Ssl::new(&context).unwrap().accept(tcp);
    });
    let error = connect(&compile(settings(ca.anchors())), address, &[Alpn::Http1]).await.err().unwrap();
    let TlsError::AlpnMismatch { offered, selected } = error else { panic!("{error:?}") };
    assert_eq!(offered, ["http/1.1"]);
    assert!(selected.is_some());
}
