//! A socket read in large pieces.
//!
//! A TLS stack asks for a record header, then for its body: two system calls a record. Here one call fetches up to
//! 64 KiB. The buffer starts small, grows while the peer fills it, and is given back while the connection is idle.

use std::{
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// What an idle connection keeps, in bytes.
const SMALL: usize = 4 * 1024;
/// The most that is read at once, in bytes.
const LARGE: usize = 64 * 1024;

/// A TCP connection with read-ahead. Writes go straight to the socket.
pub(crate) struct ReadAhead {
    tcp: TcpStream,
    buffer: Vec<u8>,
    /// How much of the buffer was handed out.
    taken: usize,
    /// How much to ask the socket for.
    want: usize,
    first: Option<u8>,
}

impl ReadAhead {
    /// `prefix` was already read from the socket and comes first.
    pub(crate) fn new(tcp: TcpStream, prefix: Bytes) -> Self {
        Self { tcp, first: prefix.first().copied(), buffer: prefix.into(), taken: 0, want: SMALL }
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Whether the peer began with something that is no TLS record (RFC 8446 §5.1: types 20 to 23).
    pub(crate) fn began_without_tls(&self) -> bool {
        self.first.is_some_and(|byte| !(20..=23).contains(&byte))
    }

    fn adapt(&mut self, asked: usize, got: usize) {
        if got == asked {
            self.want = (self.want * 2).min(LARGE);
        } else if got < self.want / 4 {
            self.want = (self.want / 2).max(SMALL);
        }
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.taken == this.buffer.len() {
            this.buffer.clear();
            this.taken = 0;
            // The caller's buffer is as good as ours if it is as large.
            let asked = out.remaining();
            if asked >= this.want {
                let before = out.filled().len();
                ready!(Pin::new(&mut this.tcp).poll_read(cx, out))?;
                let filled = &out.filled()[before..];
                this.first = this.first.or(filled.first().copied());
                this.adapt(asked, filled.len());
                return Poll::Ready(Ok(()));
            }
            this.buffer.reserve_exact(this.want);
            let asked = this.buffer.capacity();
            let polled = pin!(this.tcp.read_buf(&mut this.buffer)).poll(cx);
            if polled.is_pending() && this.buffer.capacity() > SMALL {
                this.buffer = Vec::new();
            }
            let got = ready!(polled)?;
            this.first = this.first.or(this.buffer.first().copied());
            this.adapt(asked, got);
        }
        let rest = this.buffer.get(this.taken..).unwrap_or_default();
        let part = &rest[..rest.len().min(out.remaining())];
        out.put_slice(part);
        this.taken += part.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_come_in_order_after_the_prefix_whatever_the_reader_asks_for() {
        let (near, mut far) = pair().await;
        let sent: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
        let copy = sent.clone();
        let writer = tokio::spawn(async move { far.write_all(&copy[3..]).await });
        let mut reader = ReadAhead::new(near, Bytes::copy_from_slice(&sent[..3]));
        let mut got = Vec::new();
        for ask in [1, 5, 17, 4096, 100_000].into_iter().cycle() {
            let mut piece = vec![0; ask];
            match reader.read(&mut piece).await.unwrap() {
                0 => break,
                n => got.extend_from_slice(&piece[..n]),
            }
        }
        writer.await.unwrap().unwrap();
        assert!(got == sent);
        assert!(reader.began_without_tls());
    }

    #[tokio::test]
    async fn the_buffer_grows_under_load_and_goes_when_idle() {
        let (near, mut far) = pair().await;
        let mut reader = ReadAhead::new(near, Bytes::new());
        let writer = tokio::spawn(async move {
            far.write_all(&vec![22; 4 << 20]).await.unwrap();
            far
        });
        let mut piece = [0; 1000];
        let mut largest = 0;
        let mut left = 4 << 20;
        while left > 0 {
            left -= reader.read(&mut piece).await.unwrap();
            largest = largest.max(reader.buffer.capacity());
        }
        assert_eq!(largest, LARGE);
        let _far = writer.await.unwrap();
        let idle = tokio::time::timeout(std::time::Duration::from_millis(20), reader.read(&mut piece)).await;
        assert!(idle.is_err());
        assert!(reader.buffer.capacity() <= SMALL);
        assert!(!reader.began_without_tls());
    }
}
