//! The cases, asked by tonic.

use std::time::Duration;

use http::{Uri, uri::PathAndQuery};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request, Response, Status, Streaming,
    client::Grpc,
    metadata::{AsciiMetadataValue, BinaryMetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use tonic_prost::ProstCodec;

use super::messages::{
    EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest, SimpleResponse, StreamingInputCallRequest,
    StreamingInputCallResponse, StreamingOutputCallRequest, StreamingOutputCallResponse, length,
};
use crate::support::site::Site;

const SIZES: [usize; 4] = [27182, 8, 1828, 45904];
const WANTED: [usize; 4] = [31415, 9, 2653, 58979];

pub(super) type Client = Grpc<Channel>;

pub(super) async fn encrypted(site: &Site) -> Channel {
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(site.front.pem()))
        .domain_name("peer.test");
    let endpoint = Endpoint::from_shared(format!("https://127.0.0.1:{}", site.https)).unwrap();
    let endpoint = endpoint.tls_config(tls).unwrap().origin(Uri::from_static("https://peer.test"));
    endpoint.connect().await.unwrap()
}

pub(super) async fn in_plaintext(site: &Site) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", site.http)).unwrap();
    endpoint.origin(Uri::from_static("http://peer.test")).connect().await.unwrap()
}

/// Tries all; how many there are.
pub(super) async fn all(channel: Channel) -> usize {
    let mut client = Grpc::new(channel);
    empty_unary(&mut client).await;
    large_unary(&mut client).await;
    client_streaming(&mut client).await;
    server_streaming(&mut client).await;
    ping_pong(&mut client).await;
    empty_stream(&mut client).await;
    timeout_on_sleeping_server(&mut client).await;
    cancel_after_begin(&mut client).await;
    cancel_after_first_response(&mut client).await;
    custom_metadata(&mut client).await;
    status_code_and_message(&mut client, "test status message").await;
    let special = "\t\ntest with whitespace\r\nand Unicode BMP \u{263a} and non-BMP \u{1f608}\t\n";
    status_code_and_message(&mut client, special).await;
    unimplemented(&mut client, "/grpc.testing.TestService/UnimplementedCall").await;
    unimplemented(&mut client, "/grpc.testing.UnimplementedService/UnimplementedCall").await;
    14
}

pub(super) fn path(method: &str) -> PathAndQuery {
    format!("/grpc.testing.TestService/{method}").parse().unwrap()
}

pub(super) async fn empty(client: &mut Client, at: PathAndQuery) -> Result<Response<Empty>, Status> {
    client.ready().await.unwrap();
    client.unary(Request::new(Empty {}), at, ProstCodec::<Empty, Empty>::default()).await
}

async fn unary(
    client: &mut Client,
    request: Request<SimpleRequest>,
) -> Result<Response<SimpleResponse>, Status> {
    client.ready().await.unwrap();
    let codec = ProstCodec::<SimpleRequest, SimpleResponse>::default();
    client.unary(request, path("UnaryCall"), codec).await
}

pub(super) type Duplex = Result<Response<Streaming<StreamingOutputCallResponse>>, Status>;

pub(super) async fn duplex(
    client: &mut Client,
    requests: Request<ReceiverStream<StreamingOutputCallRequest>>,
) -> Duplex {
    client.ready().await.unwrap();
    let codec = ProstCodec::<StreamingOutputCallRequest, StreamingOutputCallResponse>::default();
    client.streaming(requests, path("FullDuplexCall"), codec).await
}

pub(super) fn asking(size: usize, wanted: usize, pause: Duration) -> StreamingOutputCallRequest {
    let interval_us = i32::try_from(pause.as_micros()).unwrap();
    StreamingOutputCallRequest {
        response_parameters: vec![ResponseParameters { size: i32::try_from(wanted).unwrap(), interval_us }],
        payload: Payload::of(size),
        response_status: None,
    }
}

async fn empty_unary(client: &mut Client) {
    assert_eq!(empty(client, path("EmptyCall")).await.unwrap().into_inner(), Empty {});
}

async fn large_unary(client: &mut Client) {
    let request =
        SimpleRequest { response_size: 314_159, payload: Payload::of(271_828), response_status: None };
    let response = unary(client, Request::new(request)).await.unwrap().into_inner();
    assert_eq!(length(response.payload.as_ref()), 314_159);
}

async fn client_streaming(client: &mut Client) {
    let requests = SIZES.map(|size| StreamingInputCallRequest { payload: Payload::of(size) });
    client.ready().await.unwrap();
    let codec = ProstCodec::<StreamingInputCallRequest, StreamingInputCallResponse>::default();
    let requests = Request::new(tokio_stream::iter(requests));
    let response = client.client_streaming(requests, path("StreamingInputCall"), codec).await.unwrap();
    assert_eq!(response.into_inner().aggregated_payload_size, 74_922);
}

async fn server_streaming(client: &mut Client) {
    let parameters =
        WANTED.map(|size| ResponseParameters { size: i32::try_from(size).unwrap(), interval_us: 0 });
    let request = StreamingOutputCallRequest {
        response_parameters: parameters.to_vec(),
        payload: None,
        response_status: None,
    };
    client.ready().await.unwrap();
    let codec = ProstCodec::<StreamingOutputCallRequest, StreamingOutputCallResponse>::default();
    let response = client.server_streaming(Request::new(request), path("StreamingOutputCall"), codec).await;
    let mut responses = response.unwrap().into_inner();
    for size in WANTED {
        assert_eq!(length(responses.message().await.unwrap().unwrap().payload.as_ref()), size);
    }
    assert_eq!(responses.message().await.unwrap(), None);
}

/// Each request is sent after the response to the one before.
async fn ping_pong(client: &mut Client) {
    let (sender, requests) = mpsc::channel(1);
    sender.send(asking(SIZES[0], WANTED[0], Duration::ZERO)).await.unwrap();
    let mut responses =
        duplex(client, Request::new(ReceiverStream::new(requests))).await.unwrap().into_inner();
    for (turn, size) in WANTED.into_iter().enumerate() {
        let response = responses.message().await.unwrap().unwrap();
        assert_eq!(length(response.payload.as_ref()), size);
        if let (Some(size), Some(wanted)) = (SIZES.get(turn + 1), WANTED.get(turn + 1)) {
            sender.send(asking(*size, *wanted, Duration::ZERO)).await.unwrap();
        }
    }
    drop(sender);
    assert_eq!(responses.message().await.unwrap(), None);
}

async fn empty_stream(client: &mut Client) {
    let (sender, requests) = mpsc::channel(1);
    drop(sender);
    let response = duplex(client, Request::new(ReceiverStream::new(requests))).await.unwrap();
    assert_eq!(response.into_inner().message().await.unwrap(), None);
}

async fn timeout_on_sleeping_server(client: &mut Client) {
    let (sender, requests) = mpsc::channel(1);
    sender.send(asking(SIZES[0], WANTED[0], Duration::from_secs(10))).await.unwrap();
    let mut request = Request::new(ReceiverStream::new(requests));
    request.set_timeout(Duration::from_millis(200));
    let begun = std::time::Instant::now();
    let status = match duplex(client, request).await {
        Ok(response) => response.into_inner().message().await.unwrap_err(),
        Err(status) => status,
    };
    // tonic's own clock says "cancelled".
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

async fn cancel_after_begin(client: &mut Client) {
    let (sender, requests) = mpsc::channel::<StreamingInputCallRequest>(1);
    client.ready().await.unwrap();
    let codec = ProstCodec::<StreamingInputCallRequest, StreamingInputCallResponse>::default();
    let requests = Request::new(ReceiverStream::new(requests));
    let call = client.client_streaming(requests, path("StreamingInputCall"), codec);
    assert!(tokio::time::timeout(Duration::from_millis(50), call).await.is_err(), "nothing was sent yet");
    drop(sender);
    empty_unary(client).await;
}

async fn cancel_after_first_response(client: &mut Client) {
    let (sender, requests) = mpsc::channel(1);
    sender.send(asking(SIZES[0], WANTED[0], Duration::ZERO)).await.unwrap();
    let mut responses =
        duplex(client, Request::new(ReceiverStream::new(requests))).await.unwrap().into_inner();
    let response = responses.message().await.unwrap().unwrap();
    assert_eq!(length(response.payload.as_ref()), WANTED[0]);
    drop((responses, sender));
    empty_unary(client).await;
}

async fn custom_metadata(client: &mut Client) {
    const INITIAL: &str = "x-grpc-test-echo-initial";
    const TRAILING: &str = "x-grpc-test-echo-trailing-bin";
    let value = "test_initial_metadata_value";
    let bytes = [0xab; 3];
    let mut request =
        Request::new(SimpleRequest { response_size: 1, payload: Payload::of(1), response_status: None });
    let metadata = request.metadata_mut();
    metadata.insert(INITIAL, AsciiMetadataValue::from_static(value));
    metadata.insert_bin(TRAILING, BinaryMetadataValue::from_bytes(&bytes));
    let response = unary(client, request).await.unwrap();
    assert_eq!(response.metadata().get(INITIAL).unwrap(), value);
    assert_eq!(response.metadata().get_bin(TRAILING).unwrap().to_bytes().unwrap(), &bytes[..]);

    let (sender, requests) = mpsc::channel(1);
    sender.send(asking(1, 1, Duration::ZERO)).await.unwrap();
    drop(sender);
    let mut request = Request::new(ReceiverStream::new(requests));
    let metadata = request.metadata_mut();
    metadata.insert(INITIAL, AsciiMetadataValue::from_static(value));
    metadata.insert_bin(TRAILING, BinaryMetadataValue::from_bytes(&bytes));
    let response = duplex(client, request).await.unwrap();
    assert_eq!(response.metadata().get(INITIAL).unwrap(), value);
    let mut responses = response.into_inner();
    while responses.message().await.unwrap().is_some() {}
    let trailers = responses.trailers().await.unwrap().unwrap();
    assert_eq!(trailers.get_bin(TRAILING).unwrap().to_bytes().unwrap(), &bytes[..]);
}

async fn status_code_and_message(client: &mut Client, message: &str) {
    let wanted = || Some(EchoStatus { code: 2, message: message.to_owned() });
    let request = SimpleRequest { response_size: 0, payload: None, response_status: wanted() };
    let status = unary(client, Request::new(request)).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unknown, message));

    let (sender, requests) = mpsc::channel(1);
    let request = StreamingOutputCallRequest {
        response_parameters: Vec::new(),
        payload: None,
        response_status: wanted(),
    };
    sender.send(request).await.unwrap();
    let status = match duplex(client, Request::new(ReceiverStream::new(requests))).await {
        Ok(response) => response.into_inner().message().await.unwrap_err(),
        Err(status) => status,
    };
    assert_eq!((status.code(), status.message()), (Code::Unknown, message));
}

async fn unimplemented(client: &mut Client, at: &'static str) {
    let status = empty(client, PathAndQuery::from_static(at)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
}
