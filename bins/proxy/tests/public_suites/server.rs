//! One server for all cases: each case has an address of its own below 127.1.0.0/16, which picks the chain.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::bettertls::Case;

/// What the backend of a case has seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub requests: usize,
    /// Handshakes that ended with the proxy's alert.
    pub alerts: usize,
    /// Handshakes that ended otherwise.
    pub others: usize,
}

pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// Shows a chain as it is: rustls does not parse what a server shows.
#[derive(Debug)]
struct Fixed(Arc<CertifiedKey>);

impl ResolvesServerCert for Fixed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// The address of the backend of a case.
pub fn address(place: usize) -> Ipv4Addr {
    let (high, low) = (u8::try_from(place / 250).unwrap(), u8::try_from(place % 250).unwrap());
    Ipv4Addr::new(127, 1, high, low + 1)
}

fn place(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(address) => {
            let [_, _, high, low] = address.octets();
            usize::from(high) * 250 + usize::from(low) - 1
        }
        IpAddr::V6(address) => panic!("nobody was sent to {address}"),
    }
}

fn config(case: &Case) -> ServerConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = provider.key_provider.load_private_key(case.key.clone_key()).unwrap();
    let shown = CertifiedKey::new(case.chain.clone(), key);
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Fixed(Arc::new(shown))))
}

impl Server {
    pub async fn start(cases: &[Arc<Case>]) -> Self {
        let port = crate::proxy::free_port();
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await.unwrap();
        let seen = Arc::new(Mutex::new(vec![Seen::default(); cases.len()]));
        let (cases, record) = (cases.to_vec(), seen.clone());
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let place = place(tcp.local_addr().unwrap().ip());
                let (case, record) = (cases[place].clone(), record.clone());
                tokio::spawn(async move {
                    let end = serve(tcp, &case, place).await;
                    let mut record = record.lock().unwrap();
                    match end {
                        End::Request => record[place].requests += 1,
                        End::Alert => record[place].alerts += 1,
                        End::Other => record[place].others += 1,
                    }
                });
            }
        });
        Self { port, seen }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// What became of a connection.
enum End {
    Request,
    Alert,
    Other,
}

/// Answers one request, and says which case it was.
async fn serve(tcp: TcpStream, case: &Case, place: usize) -> End {
    tcp.set_nodelay(true).unwrap();
    let mut stream = match TlsAcceptor::from(Arc::new(config(case))).accept(tcp).await {
        Ok(stream) => stream,
        Err(error) => return ended(&error),
    };
    // In TLS 1.3 our side is done before the proxy has judged the chain.
    match stream.read(&mut [0; 8192]).await {
        Ok(1..) => {}
        Ok(0) => return End::Other,
        Err(error) => return ended(&error),
    }
    let body = format!("case {place}");
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    let _ = stream.shutdown().await;
    End::Request
}

fn ended(error: &std::io::Error) -> End {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(_)) => End::Alert,
        _ => End::Other,
    }
}
