//! A response's body on its way to the client. When it ends, the exchange ends.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use lasthop_dataplane_api::FailureReason;
use tokio::time::Sleep;

use super::{
    exchange::Exchange,
    grpc::{self, Dialect},
};
use crate::hygiene;

/// A response's body, with the exchange it ends.
pub(crate) struct ResponseBody {
    source: Source,
    exchange: Option<Box<Exchange>>,
}

/// Where a response's body comes from.
pub(super) enum Source {
    /// From us.
    Own(Bytes),
    /// From a backend, with the time limit of the rule.
    Backend(Incoming, Option<Limit>),
}

/// A time limit and what passing it means.
pub(super) struct Limit {
    pub sleep: Pin<Box<Sleep>>,
    pub reason: FailureReason,
}

/// A response was cut short. The client sees a broken connection or stream, not why.
#[derive(Debug)]
pub(crate) struct CutShort;

impl ResponseBody {
    /// A body whose end ends the exchange.
    pub(super) fn new(source: Source, exchange: Box<Exchange>) -> Self {
        Self { source, exchange: Some(exchange) }
    }

    /// No body, and the exchange goes on without it.
    pub(super) fn none() -> Self {
        Self { source: Source::Own(Bytes::new()), exchange: None }
    }

    fn complete(&mut self) {
        if let Some(mut exchange) = self.exchange.take() {
            exchange.complete();
        }
    }

    fn cut(&mut self, reason: FailureReason) -> CutShort {
        if let Some(mut exchange) = self.exchange.take() {
            exchange.cut(reason);
        }
        CutShort
    }

    /// Ends a response that breaks off: in gRPC with a status, else by breaking off, too.
    fn end_early(&mut self, reason: FailureReason) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        let exchange = self.exchange.as_deref();
        let native = exchange.is_some_and(|it| it.grpc == Some(Dialect::Native) && it.is_http2());
        // With a length given, the client waits for the bytes.
        let open = matches!(&self.source, Source::Backend(body, _) if body.size_hint().exact().is_none());
        let trailers = (open && native).then(|| grpc::trailers(&reason));
        let cut = self.cut(reason);
        Poll::Ready(Some(match trailers {
            Some(trailers) => {
                self.source = Source::Own(Bytes::new());
                Ok(Frame::trailers(trailers))
            }
            None => Err(cut),
        }))
    }

    /// Why a response ended before its end: for the request, if we cut that one.
    fn broken_off(&self) -> FailureReason {
        let over = self.exchange.as_ref().is_some_and(|exchange| {
            let most = exchange.connection.worker.limits.body_bytes;
            most.zip(exchange.received.as_ref()).is_some_and(|(most, received)| received.bytes.get() > most)
        });
        let lease = self.exchange.as_ref().and_then(|exchange| exchange.lease.as_ref());
        match (over, lease) {
            (true, _) => FailureReason::BodyTooLarge,
            (false, Some(lease)) => lease.connected.activity.cut_short(),
            (false, None) => FailureReason::UpstreamReset,
        }
    }

    /// Whether the backend takes too long.
    fn overdue(&mut self, cx: &mut Context<'_>) -> Option<FailureReason> {
        if let Source::Backend(_, Some(limit)) = &mut self.source
            && limit.sleep.as_mut().poll(cx).is_ready()
        {
            return Some(limit.reason.clone());
        }
        self.exchange.as_ref()?.watch.as_ref()?.over(cx)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        let this = &mut *self;
        let incoming = match &mut this.source {
            Source::Own(bytes) => {
                let bytes = std::mem::take(bytes);
                if let Some(exchange) = &mut this.exchange {
                    exchange.bytes_out += bytes.len() as u64;
                }
                this.complete();
                return Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))));
            }
            Source::Backend(incoming, _) => incoming,
        };
        if this.exchange.as_ref().is_some_and(|exchange| exchange.is_revoked()) {
            return this.end_early(FailureReason::TrustRevoked);
        }
        match Pin::new(&mut *incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                let ended = incoming.is_end_stream();
                if let Some(trailers) = frame.trailers_mut() {
                    let limits = this.exchange.as_ref().map(|exchange| &exchange.connection.worker.limits);
                    if let Some(limits) = limits {
                        hygiene::clean_trailers(trailers, limits.into());
                    }
                } else if let (Some(data), Some(exchange)) = (frame.data_ref(), &mut this.exchange) {
                    exchange.bytes_out += data.len() as u64;
                    if let Some(watch) = &exchange.watch {
                        watch.moved();
                    }
                }
                if ended {
                    this.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(%error, "the backend's response broke off");
                this.end_early(this.broken_off())
            }
            Poll::Ready(None) => {
                this.complete();
                Poll::Ready(None)
            }
            Poll::Pending => match this.overdue(cx) {
                Some(reason) => this.end_early(reason),
                None => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(bytes) => bytes.is_empty(),
            Source::Backend(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Backend(incoming, _) => incoming.size_hint(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // Own responses to HEAD are dropped unread.
        if self.is_end_stream() || matches!(self.source, Source::Own(_)) {
            self.complete();
        } else {
            let watch = self.exchange.as_ref().and_then(|exchange| exchange.watch.as_ref());
            let reason = watch.and_then(|watch| watch.given_up());
            self.cut(reason.unwrap_or(FailureReason::ClientClosed));
        }
    }
}

impl fmt::Display for CutShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response was cut short")
    }
}

impl std::error::Error for CutShort {}
