//! An established connection.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use boring::ssl::{ErrorCode, SslRef, SslStream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{bridge::Bridge, errors};

/// A connection over BoringSSL.
pub(crate) struct BoringStream {
    tls: SslStream<Bridge>,
    closing: bool,
}

impl BoringStream {
    pub(super) fn new(tls: SslStream<Bridge>) -> Self {
        Self { tls, closing: false }
    }

    pub(super) fn ssl(&self) -> &SslRef {
        self.tls.ssl()
    }

    pub(super) fn ssl_mut(&mut self) -> &mut SslRef {
        self.tls.ssl_mut()
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        self.tls.get_ref().io.tcp()
    }
}

impl AsyncRead for BoringStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        self.tls.get_mut().wake(cx);
        let start = out.filled().len();
        loop {
            // A record at a time, as many as there are.
            let error = match self.tls.ssl_read(out.initialize_unfilled()) {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(n) => {
                    out.advance(n);
                    if out.remaining() == 0 {
                        return Poll::Ready(Ok(()));
                    }
                    continue;
                }
                Err(error) => error,
            };
            let got_something = out.filled().len() > start;
            return match error.code() {
                _ if got_something => Poll::Ready(Ok(())),
                // Only a close_notify ends the data properly.
                ErrorCode::ZERO_RETURN => Poll::Ready(Ok(())),
                ErrorCode::WANT_READ if error.io_error().is_some() => Poll::Pending,
                ErrorCode::WANT_READ => continue,
                _ => Poll::Ready(Err(errors::io_error(error))),
            };
        }
    }
}

impl AsyncWrite for BoringStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let tls = &mut self.tls;
        tls.get_mut().wake(cx);
        ready!(tls.get_mut().poll_room(cx))?;
        // The bridge takes every record, so this never has to wait.
        loop {
            return Poll::Ready(match tls.ssl_write(data) {
                Ok(n) => Ok(n),
                Err(error) if error.code() == ErrorCode::WANT_READ && error.io_error().is_none() => continue,
                Err(error) => Err(errors::io_error(error)),
            });
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tls.get_mut().poll_send(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing {
            self.closing = true;
            self.tls.get_mut().wake(cx);
            // Its error says that there is nobody to say goodbye to.
            let _ = self.tls.shutdown();
        }
        ready!(self.tls.get_mut().poll_send(cx))?;
        match ready!(Pin::new(&mut self.tls.get_mut().io).poll_shutdown(cx)) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}
