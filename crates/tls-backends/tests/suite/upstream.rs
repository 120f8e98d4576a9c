//! Handshakes with backends.

use lasthop_dataplane_api::TlsVersion;
use lasthop_tls_backends::Alpn;

use super::{
    client::{HOST, compile, connect, exchange, settings},
    peer::{Peer, config},
    pki::Ca,
};

#[tokio::test]
async fn a_verified_backend_answers() {
    let ca = Ca::new("ca");
    let mut server = config(&ca.leaf(&["DNS:backend.example"]), None);
    server.alpn_protocols = vec![b"h2".to_vec()];
    let mut peer = Peer::new(server).await;
    let policy = compile(settings(ca.anchors()));
    let (mut stream, info) = connect(&policy, peer.address, &[Alpn::Http2, Alpn::Http1]).await.unwrap();
    assert_eq!((info.version, info.alpn, info.resumed), (TlsVersion::V1_3, Some(Alpn::Http2), false));
    assert_eq!(info.group, Some("X25519MLKEM768"));
    assert_eq!(info.cipher_suite, "TLS_AES_128_GCM_SHA256");
    exchange(&mut stream).await.unwrap();
    let hello = peer.handshake().await.unwrap();
    assert_eq!(hello.sni.as_deref(), Some(HOST));
    assert_eq!(hello.alpn.as_deref(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn sessions_are_resumed_per_endpoint() {
    let ca = Ca::new("ca");
    let chain = ca.leaf(&["DNS:backend.example"]);
    let pods = [
        Peer::new(config(&chain, None)).await,
        Peer::new(config(&chain, None)).await,
        Peer::new(config(&chain, None)).await,
    ];
    let policy = compile(settings(ca.anchors()));
    let mut resumed = 0;
    for round in 0..30 {
        let pod = &pods[round % pods.len()];
        let (mut stream, info) = connect(&policy, pod.address, &[Alpn::Http1]).await.unwrap();
        resumed += usize::from(info.resumed);
        exchange(&mut stream).await.unwrap();
    }
    assert_eq!(resumed, 27);
}
