//! An established TLS connection, whatever the stack.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

#[cfg(feature = "boringssl")]
use crate::boring::BoringStream;
#[cfg(feature = "rustls")]
use crate::read_ahead::ReadAhead;

/// An established TLS connection. An enum, not a trait object: every byte goes through it.
///
/// The end of the peer's data is `Ok` with no bytes only after its close_notify; a connection that ends otherwise
/// gives an error of kind `UnexpectedEof`. [`crate::classify_io`] names the errors.
pub struct TlsStream(pub(crate) Inner);

pub(crate) enum Inner {
    #[cfg(feature = "rustls")]
    RustlsClient(tokio_rustls::client::TlsStream<ReadAhead>),
    #[cfg(feature = "rustls")]
    RustlsServer(tokio_rustls::server::TlsStream<ReadAhead>),
    #[cfg(feature = "boringssl")]
    Boring(BoringStream),
    #[cfg(not(any(feature = "rustls", feature = "boringssl")))]
    None(std::convert::Infallible),
}

/// The same expression for whichever stream it is.
macro_rules! each {
    ($inner:expr, $stream:ident => $then:expr) => {
        match $inner {
            #[cfg(feature = "rustls")]
            Inner::RustlsClient($stream) => $then,
            #[cfg(feature = "rustls")]
            Inner::RustlsServer($stream) => $then,
            #[cfg(feature = "boringssl")]
            Inner::Boring($stream) => $then,
            #[cfg(not(any(feature = "rustls", feature = "boringssl")))]
            Inner::None(never) => match *never {},
        }
    };
}

impl TlsStream {
    /// The socket below, to set options and ask for addresses. Reading from it would break TLS.
    pub fn tcp(&self) -> &TcpStream {
        match &self.0 {
            #[cfg(feature = "rustls")]
            Inner::RustlsClient(stream) => stream.get_ref().0.tcp(),
            #[cfg(feature = "rustls")]
            Inner::RustlsServer(stream) => stream.get_ref().0.tcp(),
            #[cfg(feature = "boringssl")]
            Inner::Boring(stream) => stream.tcp(),
            #[cfg(not(any(feature = "rustls", feature = "boringssl")))]
            Inner::None(never) => match *never {},
        }
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(&mut self.get_mut().0, stream => Pin::new(stream).poll_read(cx, out))
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        each!(&mut self.get_mut().0, stream => Pin::new(stream).poll_write(cx, data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(&mut self.get_mut().0, stream => Pin::new(stream).poll_write_vectored(cx, data))
    }

    fn is_write_vectored(&self) -> bool {
        each!(&self.0, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut self.get_mut().0, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut self.get_mut().0, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
