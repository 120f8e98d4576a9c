//! Which protocol a client speaks where nothing but its first bytes say so.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::{io::AsyncReadExt, net::TcpStream};

/// How every HTTP/2 connection begins (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads until it is clear whether the client speaks HTTP/2 by prior knowledge. `prefix` was read before. Returns
/// what was read; empty when the client closed without a byte.
pub(super) async fn detect(stream: &mut TcpStream, prefix: Bytes) -> io::Result<(Bytes, bool)> {
    let mut read = BytesMut::with_capacity(1024);
    read.extend_from_slice(&prefix);
    let mut ended = false;
    loop {
        let seen = read.len().min(PREFACE.len());
        let fits = read.get(..seen) == PREFACE.get(..seen);
        if ended || !fits || seen == PREFACE.len() {
            let http2 = fits && seen == PREFACE.len();
            return Ok((read.freeze(), http2));
        }
        ended = stream.read_buf(&mut read).await? == 0;
    }
}
