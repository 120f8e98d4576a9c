//! The stack under test as a client.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use lasthop_dataplane_api::{Sni, UpstreamTlsPolicy, UpstreamTlsSettings};
use lasthop_tls_backends::{Alpn, PeerInfo, TlsBackend, TlsStream, UpstreamTls, backend};
use lasthop_tls_verify::{Identity, PeerRequirements, TlsError, TrustAnchors};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub const HOST: &str = "backend.example";

pub fn stack() -> Arc<dyn TlsBackend> {
    backend(crate::STACK).unwrap()
}

/// Full verification of `HOST`.
pub fn settings(anchors: Arc<TrustAnchors>) -> UpstreamTlsSettings {
    let identities = vec![Identity::dns(HOST).unwrap()];
    UpstreamTlsSettings::new(PeerRequirements::new(anchors, identities), Sni::Name(HOST.parse().unwrap()))
}

pub fn compile(settings: UpstreamTlsSettings) -> Arc<dyn UpstreamTls> {
    stack().upstream(&Arc::new(UpstreamTlsPolicy::new("test/policy", settings))).unwrap()
}

pub async fn connect(
    policy: &Arc<dyn UpstreamTls>,
    address: SocketAddr,
    alpn: &[Alpn],
) -> Result<(TlsStream, PeerInfo), TlsError> {
    connect_for(policy, address, None, alpn).await
}

pub async fn connect_for(
    policy: &Arc<dyn UpstreamTls>,
    address: SocketAddr,
    host: Option<&str>,
    alpn: &[Alpn],
) -> Result<(TlsStream, PeerInfo), TlsError> {
    let tcp = TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let connecting = policy.endpoint(address);
    let connecting = connecting.connect(tcp, host, alpn);
    tokio::time::timeout(Duration::from_secs(10), connecting).await.expect("the handshake hangs")
}

/// Sends something and reads it back.
pub async fn exchange(stream: &mut TlsStream) -> std::io::Result<()> {
    let mut answer = [0; 4];
    stream.write_all(b"ping").await?;
    stream.flush().await?;
    tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut answer)).await.expect("hangs")?;
    assert_eq!(&answer, b"ping");
    Ok(())
}
