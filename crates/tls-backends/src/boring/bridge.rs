//! The socket as BoringSSL reads and writes it.

use std::{
    io::{self, Read, Write},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::read_ahead::ReadAhead;

/// From this much on, in bytes, more is taken only after some was sent.
const ENOUGH: usize = 64 * 1024;
/// What an idle connection keeps, in bytes.
const SMALL: usize = 4 * 1024;

/// A socket with synchronous calls, and what is yet to be sent.
///
/// BoringSSL writes record by record. The records are collected here and sent together: when there is enough, and
/// whenever the caller flushes or reads.
pub(super) struct Bridge {
    pub(super) io: ReadAhead,
    waker: Waker,
    unsent: Vec<u8>,
    sent: usize,
    /// Whether a writer waits for room in the socket, and will send the rest.
    writer_waits: bool,
}

impl Bridge {
    pub(super) fn new(io: ReadAhead) -> Self {
        Self { io, waker: Waker::noop().clone(), unsent: Vec::new(), sent: 0, writer_waits: false }
    }

    /// Whom to wake when a call of BoringSSL has to wait.
    pub(super) fn wake(&mut self, cx: &Context<'_>) {
        if !self.waker.will_wake(cx.waker()) {
            self.waker.clone_from(cx.waker());
        }
    }

    /// Ready if more may be written.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unsent.len() - self.sent < ENOUGH { Poll::Ready(Ok(())) } else { self.poll_send(cx) }
    }

    /// Ready if nothing is left to be sent. The caller waits for that.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.poll_unsent(cx);
        self.writer_waits = sent.is_pending();
        sent
    }

    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.unsent.get(self.sent..)
            && !rest.is_empty()
        {
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.sent += n,
            }
        }
        self.sent = 0;
        if self.unsent.capacity() > SMALL {
            self.unsent = Vec::new();
        } else {
            self.unsent.clear();
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what can be sent now, before waiting for an answer to it. A writer in another task that waits to send the
    /// same keeps its place: a socket wakes one.
    fn send_some(&mut self) -> io::Result<()> {
        if self.writer_waits || self.unsent.is_empty() {
            return Ok(());
        }
        let waker = self.waker.clone();
        match self.poll_unsent(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }
}

impl Read for Bridge {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let sent = self.send_some();
        let mut out = ReadBuf::new(out);
        match (Pin::new(&mut self.io).poll_read(&mut Context::from_waker(&self.waker), &mut out), sent) {
            // What the peer said before it went is worth more than that it went.
            (Poll::Ready(result), _) => result.map(|()| out.filled().len()).map_err(never_retried),
            // A broken socket is ready to be read as soon as the runtime hears of it.
            (Poll::Pending, Err(error))
                if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) =>
            {
                Err(never_retried(error))
            }
            (Poll::Pending, _) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Bridge {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.unsent.extend_from_slice(data);
        Ok(data.len())
    }

    /// BoringSSL asks for this at the end of a flight, and then waits for the answer: see [`Read`].
    fn flush(&mut self) -> io::Result<()> {
        self.send_some().map_err(never_retried)
    }
}

/// boring takes NotConnected for a reason to try again, which would never end.
fn never_retried(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotConnected => io::ErrorKind::ConnectionReset.into(),
        _ => error,
    }
}
