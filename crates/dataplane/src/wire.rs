//! A connection's bytes: TCP with or without TLS, and when they last moved.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use lasthop_dataplane_api::FailureReason;
use lasthop_tls_backends::{TlsStream, classify_io};
use lasthop_tls_verify::TlsError;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use crate::worker::clock;

/// A connection, to a client or to a backend.
pub(crate) struct Wire {
    transport: Transport,
    /// Bytes that were read before HTTP took over.
    prefix: Bytes,
    activity: Arc<Activity>,
    /// What is still taken from a peer that was told the end.
    lingering: Option<Lingering>,
}

/// A peer that still sends what nobody reads would be reset when its socket closes, and lose the response that says why:
/// what it sends is read and dropped for a while (RFC 9112 §9.6).
struct Lingering {
    end: Pin<Box<Sleep>>,
    left: usize,
}

/// For so long, and so many bytes.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 16 << 20;

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

/// When a connection's bytes last moved and what it waits for. Atomics because hyper asks upgradeable connections to
/// be `Send`; one thread alone touches them, with plain loads and stores.
#[derive(Debug)]
pub(crate) struct Activity {
    last: AtomicU64,
    /// When the first byte came after the last request ended; `u64::MAX` for none.
    first_byte: AtomicU64,
    requests: AtomicU32,
    /// The peer sends a request's body that nobody reads.
    unread: AtomicBool,
    /// The error that ended the connection.
    statement: OnceLock<TlsError>,
}

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No request and no byte of one, since this time.
    Idle(u64),
    /// A request's header comes in, since this time.
    Header(u64),
    /// Requests are under way; bytes last moved at this time.
    Busy(u64),
}

impl Activity {
    /// A new connection: a header is waited for.
    pub(crate) fn new() -> Arc<Self> {
        let now = clock::now();
        Arc::new(Self {
            last: now.into(),
            first_byte: now.into(),
            requests: 0.into(),
            unread: false.into(),
            statement: OnceLock::new(),
        })
    }

    fn moved(&self, read: bool) {
        let now = clock::now();
        self.last.store(now, Relaxed);
        if read && self.first_byte.load(Relaxed) == u64::MAX {
            self.first_byte.store(now, Relaxed);
        }
    }

    /// A request's header is complete.
    pub(crate) fn begin(&self) {
        self.requests.store(self.requests.load(Relaxed) + 1, Relaxed);
        self.unread.store(false, Relaxed);
        self.first_byte.store(u64::MAX, Relaxed);
    }

    /// Nobody reads the rest of the request's body.
    pub(crate) fn leave_unread(&self) {
        self.unread.store(true, Relaxed);
    }

    /// A response has ended.
    pub(crate) fn end(&self) {
        self.requests.store(self.requests.load(Relaxed).saturating_sub(1), Relaxed);
        self.first_byte.store(u64::MAX, Relaxed);
        self.last.store(clock::now(), Relaxed);
    }

    /// Why a connection to a backend ended without a response: for what the backend said in TLS, if it did. In TLS 1.3
    /// it refuses our certificate, or the lack of one, only after the handshake is done for us (RFC 8446 §4.4.2.4).
    pub(crate) fn broken_off(&self) -> FailureReason {
        match self.statement.get() {
            // There is nothing that could have been cut.
            None | Some(TlsError::Truncated | TlsError::Io(_)) => FailureReason::UpstreamReset,
            Some(error) => FailureReason::UpstreamTls(error.clone()),
        }
    }

    /// Why a connection to a backend ended within a response. An end without close_notify may be somebody else's
    /// doing (RFC 8446 §6.1).
    pub(crate) fn cut_short(&self) -> FailureReason {
        match self.statement.get() {
            Some(TlsError::Truncated) => FailureReason::UpstreamTls(TlsError::Truncated),
            _ => self.broken_off(),
        }
    }

    fn note_error(&self, error: &io::Error) {
        // The first one counts.
        let _ = self.statement.set(classify_io(error).unwrap_or(TlsError::Io(error.kind())));
    }

    /// What the connection is at.
    pub(crate) fn phase(&self) -> Phase {
        let last = self.last.load(Relaxed);
        if self.requests.load(Relaxed) > 0 {
            return Phase::Busy(last);
        }
        match self.first_byte.load(Relaxed) {
            u64::MAX => Phase::Idle(last),
            since => Phase::Header(since),
        }
    }

    /// When bytes last moved.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Relaxed)
    }
}

impl Lingering {
    fn new() -> Self {
        Self { end: Box::pin(sleep(LINGER)), left: LINGER_BYTES }
    }

    /// Ready when the peer has ended, or it has been long enough.
    fn poll(&mut self, tcp: &TcpStream, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 8 * 1024];
        while self.left > 0 && self.end.as_mut().poll(cx).is_pending() {
            match tcp.try_read(&mut bytes) {
                Ok(0) => return Poll::Ready(()),
                Ok(read) => self.left = self.left.saturating_sub(read),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // The peer's end, or its reset, makes it ready too.
                    if ready!(tcp.poll_read_ready(cx)).is_err() {
                        return Poll::Ready(());
                    }
                }
                Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }
}

impl Wire {
    /// Without TLS; `prefix` is what was already read.
    pub(crate) fn plain(stream: TcpStream, prefix: Bytes, activity: Arc<Activity>) -> Self {
        Self { transport: Transport::Plain(stream), prefix, activity, lingering: None }
    }

    /// With TLS.
    pub(crate) fn tls(stream: TlsStream, activity: Arc<Activity>) -> Self {
        Self { transport: Transport::Tls(Box::new(stream)), prefix: Bytes::new(), activity, lingering: None }
    }

    /// The same connection with bytes that another layer had read but not used.
    pub(crate) fn with_unread(mut self, unread: Bytes) -> Self {
        if self.prefix.is_empty() {
            self.prefix = unread;
        } else if !unread.is_empty() {
            self.prefix = [unread, self.prefix].concat().into();
        }
        self
    }

    /// Passes a result of writing on. When writing fails, what the peer said before it went may stand unread: its alert
    /// is noted; its data stays readable.
    fn explained<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let (Poll::Ready(Err(error)), Transport::Tls(stream)) = (&result, &mut self.transport)
            && matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
        {
            let mut bytes = [0; 512];
            let mut unread = ReadBuf::new(&mut bytes);
            match Pin::new(&mut **stream).poll_read(cx, &mut unread) {
                Poll::Ready(Err(unread)) => {
                    // A socket tells of a reset once, and of an end from then on.
                    let ended = unread.kind() == io::ErrorKind::UnexpectedEof;
                    self.activity.note_error(if ended { error } else { &unread });
                }
                // The runtime has not heard yet that the socket is broken. It will at once: a socket that takes no bytes
                // because the peer is gone is ready to be read, and reading has left the task's waker.
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !unread.filled().is_empty() => {
                    self.prefix = [&self.prefix, unread.filled()].concat().into();
                }
                Poll::Ready(Ok(())) => {}
            }
        }
        result
    }

    /// The socket below.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match &self.transport {
            Transport::Plain(stream) => stream,
            Transport::Tls(stream) => stream.tcp(),
        }
    }

    /// Whether it has TLS.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.transport, Transport::Tls(_))
    }

    /// When its bytes last moved.
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.prefix.is_empty() {
            let length = this.prefix.len().min(buf.remaining());
            buf.put_slice(&this.prefix[..length]);
            this.prefix.advance(length);
            if this.prefix.is_empty() {
                // Gives the memory back.
                this.prefix = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let result = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
        };
        if let Poll::Ready(result) = &result {
            this.activity.moved(true);
            if let Err(error) = result {
                this.activity.note_error(error);
            }
        }
        result
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
        };
        if result.is_ready() {
            self.activity.moved(false);
        }
        self.explained(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Transport::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, slices),
        };
        if result.is_ready() {
            self.activity.moved(false);
        }
        self.explained(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        };
        self.explained(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(match &mut self.transport {
                Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
                Transport::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            })?;
            if !self.activity.unread.load(Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let this = &mut *self;
        let tcp = match &this.transport {
            Transport::Plain(stream) => stream,
            Transport::Tls(stream) => stream.tcp(),
        };
        let lingering = this.lingering.get_or_insert_with(Lingering::new);
        // Whatever becomes of it, the connection ends here.
        lingering.poll(tcp, cx).map(Ok)
    }
}

/// A socket from the operating system, made ready for us: the one place that sets socket options.
pub(crate) fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    // Without this, Nagle's algorithm and delayed acknowledgements add 40 ms to a request of two segments.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects to an address.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    prepared(TcpStream::connect(address).await?)
}

/// An address as users write it: IPv4 stays IPv4 on a socket for both families.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
