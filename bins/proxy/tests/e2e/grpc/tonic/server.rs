//! The service, served by tonic.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::HeaderValue;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    server::Grpc,
    transport::{Identity, Server, ServerTlsConfig},
};
use tonic_prost::ProstCodec;
use tower_service::Service;

use super::messages::{
    EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest, SimpleResponse, StreamingInputCallRequest,
    StreamingInputCallResponse, StreamingOutputCallRequest, StreamingOutputCallResponse, length,
};
use crate::support::certificates::Leaf;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Responses = ReceiverStream<Result<StreamingOutputCallResponse, Status>>;

const INITIAL: &str = "x-grpc-test-echo-initial";
const TRAILING: &str = "x-grpc-test-echo-trailing-bin";

/// A running server; it ends with the test.
pub(super) struct TonicServer {
    pub(super) port: u16,
    calls: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

impl TonicServer {
    /// How many calls reached it.
    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// Serves, over TLS if there is a certificate.
pub(super) fn start(leaf: Option<&Leaf>) -> TonicServer {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut server = Server::builder();
    if let Some(leaf) = leaf {
        let identity = Identity::from_pem(&leaf.certificate_pem, &leaf.key_pem);
        server = server.tls_config(ServerTlsConfig::new().identity(identity)).unwrap();
    }
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let calls = Arc::<AtomicUsize>::default();
    let service = TestService(calls.clone());
    runtime.spawn(server.serve_with_incoming(service, TcpListenerStream::new(listener)));
    TonicServer { port, calls, _runtime: runtime }
}

/// One method.
struct Method<F>(F);

impl<F, M, R> Service<Request<M>> for Method<F>
where
    F: FnMut(M) -> Boxed<Result<R, Status>>,
    R: 'static,
{
    type Response = Response<R>;
    type Error = Status;
    type Future = Boxed<Result<Response<R>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<M>) -> Self::Future {
        let answer = (self.0)(request.into_inner());
        Box::pin(async move { answer.await.map(Response::new) })
    }
}

#[derive(Clone)]
struct TestService(Arc<AtomicUsize>);

impl Service<http::Request<Body>> for TestService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Boxed<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let (initial, trailing) =
                (request.headers().get(INITIAL).cloned(), request.headers().get(TRAILING).cloned());
            let mut response = serve(request).await;
            if let Some(value) = initial {
                response.headers_mut().insert(INITIAL, value);
            }
            Ok(match trailing {
                None => response,
                Some(value) => response.map(|body| with_trailer(body, value)),
            })
        })
    }
}

/// Puts a field beside those that tonic ends a response with.
fn with_trailer(body: Body, value: HeaderValue) -> Body {
    Body::new(body.map_frame(move |frame| match frame.into_trailers() {
        Ok(mut trailers) => {
            trailers.insert(TRAILING, value.clone());
            Frame::<bytes::Bytes>::trailers(trailers)
        }
        Err(frame) => frame,
    }))
}

async fn serve(request: http::Request<Body>) -> http::Response<Body> {
    let method =
        request.uri().path().strip_prefix("/grpc.testing.TestService/").unwrap_or_default().to_owned();
    match method.as_str() {
        "EmptyCall" => Grpc::new(ProstCodec::<Empty, Empty>::default()).unary(Method(empty), request).await,
        "UnaryCall" => {
            let codec = ProstCodec::<SimpleResponse, SimpleRequest>::default();
            Grpc::new(codec).unary(Method(unary), request).await
        }
        "StreamingInputCall" => {
            let codec = ProstCodec::<StreamingInputCallResponse, StreamingInputCallRequest>::default();
            Grpc::new(codec).client_streaming(Method(sum), request).await
        }
        "StreamingOutputCall" => {
            let codec = ProstCodec::<StreamingOutputCallResponse, StreamingOutputCallRequest>::default();
            Grpc::new(codec).server_streaming(Method(output), request).await
        }
        "FullDuplexCall" => {
            let codec = ProstCodec::<StreamingOutputCallResponse, StreamingOutputCallRequest>::default();
            Grpc::new(codec).streaming(Method(duplex), request).await
        }
        _ => Status::unimplemented("no such method").into_http(),
    }
}

fn asked_for(status: Option<EchoStatus>) -> Result<(), Status> {
    match status {
        Some(EchoStatus { code, message }) if code != 0 => Err(Status::new(Code::from_i32(code), message)),
        _ => Ok(()),
    }
}

fn size(size: i32) -> usize {
    size.try_into().unwrap_or(0)
}

fn empty(_: Empty) -> Boxed<Result<Empty, Status>> {
    Box::pin(async { Ok(Empty {}) })
}

fn unary(request: SimpleRequest) -> Boxed<Result<SimpleResponse, Status>> {
    Box::pin(async move {
        asked_for(request.response_status)?;
        Ok(SimpleResponse { payload: Payload::of(size(request.response_size)) })
    })
}

fn sum(
    mut requests: Streaming<StreamingInputCallRequest>,
) -> Boxed<Result<StreamingInputCallResponse, Status>> {
    Box::pin(async move {
        let mut all = 0;
        while let Some(request) = requests.message().await? {
            all += length(request.payload.as_ref());
        }
        Ok(StreamingInputCallResponse { aggregated_payload_size: i32::try_from(all).unwrap() })
    })
}

type Sender = mpsc::Sender<Result<StreamingOutputCallResponse, Status>>;

/// Sends what is asked for; `false`: nobody listens any more.
async fn send(sender: &Sender, parameters: Vec<ResponseParameters>) -> bool {
    for ResponseParameters { size: wanted, interval_us } in parameters {
        tokio::time::sleep(Duration::from_micros(u64::try_from(interval_us).unwrap_or(0))).await;
        let response = StreamingOutputCallResponse { payload: Payload::of(size(wanted)) };
        if sender.send(Ok(response)).await.is_err() {
            return false;
        }
    }
    true
}

fn output(request: StreamingOutputCallRequest) -> Boxed<Result<Responses, Status>> {
    Box::pin(async move {
        let (sender, responses) = mpsc::channel(1);
        tokio::spawn(async move { send(&sender, request.response_parameters).await });
        Ok(ReceiverStream::new(responses))
    })
}

fn duplex(mut requests: Streaming<StreamingOutputCallRequest>) -> Boxed<Result<Responses, Status>> {
    Box::pin(async move {
        let (sender, responses) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                if let Err(status) = asked_for(request.response_status) {
                    let _ = sender.send(Err(status)).await;
                    return;
                }
                if !send(&sender, request.response_parameters).await {
                    return;
                }
            }
        });
        Ok(ReceiverStream::new(responses))
    })
}
