//! The backend: answers every request with a body of the size that the path names, with as little work as possible.

use std::{net::SocketAddr, sync::Arc};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::Fault;

/// Listens with TLS (if told how) on a free loopback port, and serves until the process ends.
pub(crate) async fn start(tls: Option<Arc<ServerConfig>>) -> Result<SocketAddr, Fault> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let answers = Arc::new(Answers { small: answer(1024), large: answer(64 * 1024) });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, answers) = (tls.clone(), Arc::clone(&answers));
            tokio::spawn(async move {
                // A connection that ends is no fault of the benchmark's; requests lost by it are counted by the client.
                let _ = stream.set_nodelay(true);
                let _ = match tls {
                    None => serve(stream, &answers).await,
                    Some(config) => match TlsAcceptor::from(config).accept(stream).await {
                        Ok(stream) => serve(stream, &answers).await,
                        Err(error) => Err(error),
                    },
                };
            });
        }
    });
    Ok(address)
}

struct Answers {
    small: Vec<u8>,
    large: Vec<u8>,
}

fn answer(size: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {size}\r\n\r\n");
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + size, b'x');
    answer
}

/// Requests have no bodies here.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answers: &Answers) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        while let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let large = buffer.starts_with(b"GET /64k");
            stream.write_all(if large { &answers.large } else { &answers.small }).await?;
            stream.flush().await?;
            buffer.drain(..end + 4);
        }
    }
}
