//! Backends on the node: every port answers with its own number.

use std::{net::IpAddr, sync::Arc};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::Fault;

/// Listens on a free port of the node, with TLS if told how, and serves until the process ends.
pub(crate) async fn start(node: IpAddr, tls: Option<Arc<ServerConfig>>) -> Result<u16, Fault> {
    let listener = TcpListener::bind((node, 0)).await?;
    let port = listener.local_addr()?.port();
    let body = port.to_string();
    let answer: Arc<[u8]> =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes().into();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, answer) = (tls.clone(), Arc::clone(&answer));
            tokio::spawn(async move {
                // A request lost by the end of a connection is counted by the client.
                let _ = stream.set_nodelay(true);
                let _ = match tls {
                    None => serve(stream, &answer).await,
                    Some(config) => match TlsAcceptor::from(config).accept(stream).await {
                        Ok(stream) => serve(stream, &answer).await,
                        Err(error) => Err(error),
                    },
                };
            });
        }
    });
    Ok(port)
}

/// Requests have no bodies here.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: &[u8]) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        while let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            stream.write_all(answer).await?;
            stream.flush().await?;
            buffer.drain(..end + 4);
        }
    }
}
