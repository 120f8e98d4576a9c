//! Bytes in both directions, until both have ended.
//!
//! A direction reads into the thread's one buffer and writes on at once; only what the other side does not take is kept
//! for the connection. So a connection that idles holds no buffer, and one that is slow to read holds back whoever sends
//! to it.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::session::Session;
use crate::{upstream::UpstreamBackend, wire::Wire, worker::clock};

/// What is read at once, in bytes.
const PIECE: usize = 64 * 1024;
/// How many pieces a direction moves before others of the thread have their turn.
const TURN: usize = 16;

thread_local! {
    static PIECES: RefCell<Box<[u8]>> = RefCell::new(vec![0; PIECE].into());
}

/// How a relay ended.
pub(super) enum End {
    /// Both directions came to their proper end.
    Whole,
    /// A side broke off.
    Broken(Party, io::Error),
    /// Nothing moved for too long.
    Idle,
    /// The policy of the hop is trusted no longer.
    Revoked,
    /// The listener asks more of clients by now than this one had to prove.
    Outdated,
}

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party {
    Client,
    Backend,
}

/// One direction.
#[derive(Default)]
struct Direction {
    state: State,
    /// What was read and not taken yet, and how much of it was taken since.
    kept: Vec<u8>,
    taken: usize,
    unflushed: bool,
}

#[derive(Default)]
enum State {
    #[default]
    Open,
    /// The source has ended: what is left is written, then the end is passed on.
    Ending,
    /// The source broke off: what is left is written.
    Breaking(io::Error),
    Done,
    /// The source broke off, and what came before was written.
    NoSource(io::Error),
    /// The destination takes no more.
    NoDestination(io::Error),
}

impl Direction {
    /// Moves what can be moved. Ready when there is nothing more to do.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Wire,
        to: &mut Wire,
        count: impl Fn(u64),
    ) -> Poll<()> {
        for _ in 0..TURN {
            match self.state {
                State::Done | State::NoSource(_) | State::NoDestination(_) => return Poll::Ready(()),
                State::Open | State::Ending | State::Breaking(_) => {}
            }
            if let Err(error) = ready!(self.poll_kept(cx, to)) {
                self.state = State::NoDestination(error);
                continue;
            }
            self.state = match std::mem::take(&mut self.state) {
                State::Open => {
                    let read = PIECES.with_borrow_mut(|piece| {
                        let mut read = ReadBuf::new(piece);
                        let polled = Pin::new(&mut *from).poll_read(cx, &mut read);
                        polled.map(|result| result.map(|()| self.pass_on(cx, read.filled(), to, &count)))
                    });
                    match read {
                        Poll::Ready(Ok(Ok(0))) => State::Ending,
                        Poll::Ready(Ok(Ok(_))) => State::Open,
                        Poll::Ready(Ok(Err(error))) => State::NoDestination(error),
                        Poll::Ready(Err(error)) => State::Breaking(error),
                        Poll::Pending => {
                            if self.unflushed {
                                match Pin::new(&mut *to).poll_flush(cx) {
                                    Poll::Ready(Ok(())) => self.unflushed = false,
                                    Poll::Ready(Err(error)) => {
                                        self.state = State::NoDestination(error);
                                        continue;
                                    }
                                    Poll::Pending => {}
                                }
                            }
                            return Poll::Pending;
                        }
                    }
                }
                State::Ending => match Pin::new(&mut *to).poll_shutdown(cx) {
                    Poll::Ready(Ok(())) => State::Done,
                    Poll::Ready(Err(error)) => State::NoDestination(error),
                    Poll::Pending => {
                        self.state = State::Ending;
                        return Poll::Pending;
                    }
                },
                State::Breaking(error) => State::NoSource(error),
                state => state,
            };
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes a piece on and keeps what is not taken. Gives how long the piece was.
    fn pass_on(
        &mut self,
        cx: &mut Context<'_>,
        piece: &[u8],
        to: &mut Wire,
        count: impl Fn(u64),
    ) -> io::Result<usize> {
        count(piece.len() as u64);
        let mut rest = piece;
        while !rest.is_empty() {
            self.unflushed = true;
            match Pin::new(&mut *to).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => rest = rest.get(n..).unwrap_or_default(),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.kept = rest.to_vec();
                    self.taken = 0;
                    break;
                }
            }
        }
        Ok(piece.len())
    }

    /// Ready when nothing is kept.
    fn poll_kept(&mut self, cx: &mut Context<'_>, to: &mut Wire) -> Poll<io::Result<()>> {
        while let Some(rest) = self.kept.get(self.taken..)
            && !rest.is_empty()
        {
            match ready!(Pin::new(&mut *to).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.taken += n,
            }
        }
        if self.taken > 0 {
            // The memory goes back.
            self.kept = Vec::new();
            self.taken = 0;
        }
        Poll::Ready(Ok(()))
    }

    fn has_lost_its_source(&self) -> bool {
        matches!(self.state, State::NoSource(_))
    }

    /// Who broke off, if somebody did.
    fn broken(self, from: Party, to: Party) -> Option<End> {
        match self.state {
            State::NoSource(error) => Some(End::Broken(from, error)),
            State::NoDestination(error) => Some(End::Broken(to, error)),
            _ => None,
        }
    }
}

/// Copies until both directions have ended, one side has broken off, or nothing moves for too long.
///
/// A side that takes no more may still have said something before it went: that is passed on first.
pub(super) async fn relay(
    session: &Session,
    backend: &UpstreamBackend,
    client: &mut Wire,
    upstream: &mut Wire,
) -> End {
    let worker = &session.worker;
    let limit = clock::millis(worker.limits.l4_idle_timeout);
    let deadline = worker.deadlines.add();
    let (activity, other_activity) = (client.activity().clone(), upstream.activity().clone());
    let (mut inward, mut outward) = (Direction::default(), Direction::default());
    let cut = poll_fn(|cx| {
        if backend.is_cut() {
            return Poll::Ready(Some(End::Revoked));
        }
        if session.is_outdated() {
            return Poll::Ready(Some(End::Outdated));
        }
        let first = inward.poll(cx, client, upstream, |bytes| session.count_in(bytes)).is_ready();
        let second = outward.poll(cx, upstream, client, |bytes| session.count_out(bytes)).is_ready();
        if (first && second) || inward.has_lost_its_source() || outward.has_lost_its_source() {
            return Poll::Ready(None);
        }
        deadline.set(activity.last().max(other_activity.last()) + limit);
        if deadline.poll(cx) { Poll::Ready(Some(End::Idle)) } else { Poll::Pending }
    })
    .await;
    if let Some(end) = cut {
        return end;
    }
    use Party::{Backend, Client};
    let lost_inward = inward.has_lost_its_source();
    let (inward, outward) = (inward.broken(Client, Backend), outward.broken(Backend, Client));
    let first = if lost_inward { inward.or(outward) } else { outward.or(inward) };
    first.unwrap_or(End::Whole)
}
