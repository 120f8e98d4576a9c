//! Handshakes for their own sake: what the backend shows, accepted or not.

use std::{sync::Arc, time::Duration};

use lasthop_tls_backends::{Alpn, Inspection, UpstreamTls};
use lasthop_tls_verify::TlsError;
use tokio::net::TcpStream;

use super::{
    client::{HOST, compile, connect, exchange, settings},
    peer::{Peer, config},
    pki::Ca,
};

async fn inspect(policy: &Arc<dyn UpstreamTls>, peer: &Peer) -> Inspection {
    let tcp = TcpStream::connect(peer.address).await.unwrap();
    let endpoint = policy.endpoint(peer.address);
    endpoint.inspect(tcp, None, &[Alpn::Http1], Duration::from_millis(300)).await
}

#[tokio::test]
async fn the_chain_is_told_whatever_the_verdict() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let chain = ca.leaf(&[&format!("DNS:{HOST}")]);
    let peer = Peer::new(config(&chain, None)).await;
    let good = inspect(&compile(settings(ca.anchors())), &peer).await;
    assert_eq!(good.error(), None);
    assert!(good.handshake.is_ok());
    let bad = inspect(&compile(settings(other.anchors())), &peer).await;
    assert_eq!(bad.error(), Some(&TlsError::UntrustedChain));
    assert!(!good.chain.is_empty());
    assert_eq!(good.chain, bad.chain);
}

#[tokio::test]
async fn no_session_is_resumed_and_none_is_taken() {
    let ca = Ca::new("ca");
    let peer = Peer::new(config(&ca.leaf(&[&format!("DNS:{HOST}")]), None)).await;
    let policy = compile(settings(ca.anchors()));
    for resumed in [false, true] {
        let (mut stream, info) = connect(&policy, peer.address, &[Alpn::Http1]).await.unwrap();
        exchange(&mut stream).await.unwrap();
        assert_eq!(info.resumed, resumed);
        let seen = inspect(&policy, &peer).await;
        assert_eq!(seen.handshake.map(|info| info.resumed), Ok(false));
        assert!(!seen.chain.is_empty());
    }
}
