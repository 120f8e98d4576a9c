//! A client of our own for streams that are held open: hyper, and messages written by hand.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::{
    body::{Body, Frame, Incoming},
    client::conn::http2::SendRequest,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::mpsc;

use crate::support::PATIENCE;

/// Messages on their way to the server.
pub(super) struct Messages(mpsc::UnboundedReceiver<Bytes>);

impl Body for Messages {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data))))
    }
}

/// A call that is under way.
pub(super) struct Call {
    messages: Option<mpsc::UnboundedSender<Bytes>>,
    response: Incoming,
}

/// A plaintext connection to the proxy.
pub(super) async fn connect(port: u16) -> SendRequest<Messages> {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// What asks for a message of this size.
pub(super) fn ask_for(size: u32) -> Bytes {
    ask_for_many(&[size])
}

/// A StreamingOutputCallRequest: for each size a `response_parameters` (field 2) with `size` (field 1).
pub(super) fn ask_for_many(sizes: &[u32]) -> Bytes {
    let mut message = Vec::new();
    for size in sizes {
        let mut parameters = vec![0x08];
        varint(&mut parameters, *size);
        message.push(0x12);
        varint(&mut message, parameters.len() as u32);
        message.extend(parameters);
    }
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed.into()
}

fn varint(into: &mut Vec<u8>, mut value: u32) {
    while value > 0x7f {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// Opens a call, with its first message. Waits for the head of the response.
pub(super) async fn open(
    sender: &mut SendRequest<Messages>,
    method: &str,
    timeout: Option<&str>,
    first: Bytes,
) -> (Call, Response<()>) {
    let (messages, body) = mpsc::unbounded_channel();
    messages.send(first).unwrap();
    let mut request = Request::post(format!("http://peer.test/grpc.testing.TestService/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", timeout);
    }
    let request = request.body(Messages(body)).unwrap();
    let response = soon(sender.send_request(request)).await.unwrap();
    let (parts, response) = response.into_parts();
    (Call { messages: Some(messages), response }, Response::from_parts(parts, ()))
}

impl Call {
    pub(super) fn send(&self, message: Bytes) {
        let _ = self.messages.as_ref().unwrap().send(message);
    }

    /// Ends this half.
    pub(super) fn half_close(&mut self) {
        self.messages = None;
    }

    /// The bytes of the response until there are so many.
    pub(super) async fn read(&mut self, wanted: usize) -> usize {
        let mut read = 0;
        while read < wanted {
            match soon(self.response.frame()).await {
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len),
                _ => break,
            }
        }
        read
    }

    /// The rest: how many bytes, and the status, if there is one.
    pub(super) async fn end(mut self) -> (usize, Option<String>) {
        let mut read = 0;
        loop {
            let next = tokio::time::timeout(PATIENCE, self.response.frame()).await;
            let next = next.unwrap_or_else(|_| panic!("nothing more after {read} bytes"));
            let Some(Ok(frame)) = next else { break };
            if let Some(trailers) = frame.trailers_ref() {
                return (read, status(trailers));
            }
            read += frame.data_ref().map_or(0, Bytes::len);
        }
        (read, None)
    }
}

pub(super) fn status(headers: &HeaderMap) -> Option<String> {
    Some(headers.get("grpc-status")?.to_str().ok()?.to_owned())
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE + Duration::from_secs(10), what).await.expect("it takes too long")
}

/// Runs a test's asynchronous part.
pub(super) fn run<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(what)
}
