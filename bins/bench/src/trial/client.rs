//! A client with one kept connection.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::Fault;

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where requests go.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// The name asked for, also in TLS.
    pub(crate) host: String,
    /// `None` is plaintext.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// An answer's head and body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Lost {
    /// A connection that had answered before ended before a byte of this answer: any client sends such a request again.
    Closed,
    /// Everything else.
    Failed(Fault),
}

/// A connection.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    target: Target,
    answered: u32,
    pub(crate) keep: bool,
}

impl Answer {
    /// A field of the head.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
    }
}

impl Connection {
    pub(crate) async fn open(target: &Target) -> Result<Self, Fault> {
        let open = async {
            let stream = TcpStream::connect(target.address).await?;
            stream.set_nodelay(true)?;
            let stream: Box<dyn Stream> = match &target.tls {
                None => Box::new(stream),
                Some(tls) => {
                    let name = ServerName::try_from(target.host.clone())?;
                    Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?)
                }
            };
            Ok::<_, Fault>(stream)
        };
        let stream = timeout(PATIENCE, open).await.map_err(|_| "no connection in time")??;
        Ok(Self { stream, target: target.clone(), answered: 0, keep: true })
    }

    /// How many requests were answered.
    pub(crate) fn answered(&self) -> u32 {
        self.answered
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer, Lost> {
        let mut buffer = Vec::with_capacity(1024);
        let outcome = timeout(PATIENCE, self.exchange(path, &mut buffer)).await;
        match outcome {
            Ok(Ok(answer)) => {
                self.answered += 1;
                self.keep = answer.field("connection") != Some("close");
                Ok(answer)
            }
            Ok(Err(_)) if buffer.is_empty() && self.answered > 0 => Err(Lost::Closed),
            Ok(Err(fault)) => Err(Lost::Failed(fault)),
            Err(_) => Err(Lost::Failed("no answer in time".into())),
        }
    }

    async fn exchange(&mut self, path: &str, buffer: &mut Vec<u8>) -> Result<Answer, Fault> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.target.host);
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await?;
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if self.stream.read_buf(buffer).await? == 0 {
                return Err("the connection ended before the answer".into());
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        let status = head.get(9..12).and_then(|digits| digits.parse().ok()).ok_or("no status")?;
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.field("content-length").and_then(|text| text.parse::<usize>().ok());
        let length = length.ok_or("an answer without a length")?;
        while buffer.len() < end + length {
            if self.stream.read_buf(buffer).await? == 0 {
                return Err("the connection ended inside the answer".into());
            }
        }
        answer.body = String::from_utf8_lossy(&buffer[end..end + length]).into_owned();
        Ok(answer)
    }
}

/// One request on a connection of its own.
pub(crate) async fn once(target: &Target, path: &str) -> Result<Answer, Fault> {
    let mut connection = Connection::open(target).await?;
    connection.get(path).await.map_err(|lost| match lost {
        Lost::Closed => "the connection ended".into(),
        Lost::Failed(fault) => fault,
    })
}
