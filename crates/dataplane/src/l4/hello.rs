//! The ClientHello of a connection, before anybody answers it.

use std::io;

use bytes::{Bytes, BytesMut};
use lasthop_dataplane_api::FailureReason;
use lasthop_tls_backends::{Hello, HelloError, HelloReader};
use lasthop_tls_verify::TlsError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What is read at once, in bytes: most ClientHellos fit.
const PIECE: usize = 2 * 1024;

/// The alert `decode_error` (RFC 8446 §6.2), as a record from before there are keys.
const DECODE_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];

/// Reads until the ClientHello is whole. Gives everything that was read, too. `None`: the client went without a byte.
pub(super) async fn read(
    stream: &mut TcpStream,
    prefix: Bytes,
) -> Result<Option<(Hello, Bytes)>, FailureReason> {
    let mut input = BytesMut::from(prefix);
    let mut reader = HelloReader::default();
    loop {
        if !input.is_empty()
            && let Some(hello) = reader.read(&input).map_err(reason)?
        {
            return Ok(Some((hello, input.freeze())));
        }
        input.reserve(PIECE);
        match stream.read_buf(&mut input).await {
            Ok(0) | Err(_) if input.is_empty() => return Ok(None),
            Ok(0) => return Err(FailureReason::DownstreamTls(TlsError::Truncated)),
            Ok(_) => {}
            Err(error) => return Err(FailureReason::DownstreamTls(TlsError::Io(error.kind()))),
        }
    }
}

fn reason(error: HelloError) -> FailureReason {
    match error {
        HelloError::NotTls => FailureReason::NotTls,
        HelloError::TooLarge => FailureReason::ClientHelloTooLarge,
        HelloError::Malformed => FailureReason::DownstreamTls(TlsError::ProtocolViolation(
            "the ClientHello is malformed".to_owned(),
        )),
    }
}

/// Tells the client that its ClientHello cannot be read, if it still listens, and ends the connection.
pub(super) async fn refuse(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&DECODE_ERROR).await?;
    stream.shutdown().await
}
