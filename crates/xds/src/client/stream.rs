//! A stream of the protocol on a connection.

use std::error::Error;

use http::{HeaderValue, Uri, uri::PathAndQuery};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming, metadata::MetadataValue};
use tonic_prost::ProstCodec;

use super::{
    ClientOptions,
    transport::{self, Channel, ConnectError},
};
use crate::{
    discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, METHOD, Node},
    tls::SERVER_NAME,
};

/// Of one update. The controller is trusted; this only bounds what a mistake can do.
const UPDATE_BYTES: usize = 512 << 20;

/// Why a controller is not followed, or no longer.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the token file {0} holds no token")]
    Token(String),
    #[error("the control plane refuses: {0}")]
    Denied(String),
    #[error("the connection failed: {0}")]
    Failed(String),
    #[error("nobody takes updates any more")]
    Ended,
}

impl From<Status> for LinkError {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument => {
                Self::Denied(status.message().to_owned())
            }
            _ => Self::Failed(innermost(&status)),
        }
    }
}

/// What the status says, and what was at the bottom of it.
fn innermost(status: &Status) -> String {
    let mut cause = status.source();
    while let Some(deeper) = cause.and_then(Error::source) {
        cause = Some(deeper);
    }
    match cause {
        Some(cause) => format!("{}: {cause}", status.message()),
        None => status.message().to_owned(),
    }
}

/// What goes up on a stream.
#[derive(Clone)]
pub(super) struct Requests(mpsc::Sender<DeltaDiscoveryRequest>);

impl Requests {
    pub(super) async fn send(&self, request: DeltaDiscoveryRequest) -> Result<(), LinkError> {
        let gone = |_| LinkError::Failed("the control plane is gone".to_owned());
        self.0.send(request).await.map_err(gone)
    }
}

/// Shows the token and opens a stream with its first request.
pub(super) async fn open(
    options: &ClientOptions,
    channel: Channel,
    first: DeltaDiscoveryRequest,
) -> Result<(Requests, Streaming<DeltaDiscoveryResponse>), LinkError> {
    let authorization = authorization(options).await?;
    // A few: an answer and some words are all that can be under way.
    let (sender, stream) = mpsc::channel(4);
    let mut request = tonic::Request::new(ReceiverStream::new(stream));
    request.metadata_mut().insert("authorization", authorization);
    let node = Node {
        id: options.node.clone(),
        cluster: options.gateway.to_string(),
        user_agent_name: "lasthop-proxy".to_owned(),
        user_agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let requests = Requests(sender);
    requests.send(DeltaDiscoveryRequest { node: Some(node), ..first }).await?;
    let origin = Uri::builder().scheme("https").authority(SERVER_NAME).path_and_query("/").build();
    let mut client = tonic::client::Grpc::with_origin(channel, origin.unwrap_or_default())
        .max_decoding_message_size(UPDATE_BYTES);
    client.ready().await.map_err(|error| LinkError::Failed(error.to_string()))?;
    let codec = ProstCodec::<DeltaDiscoveryRequest, DeltaDiscoveryResponse>::default();
    let responses = client.streaming(request, PathAndQuery::from_static(METHOD), codec).await?;
    Ok((requests, responses.into_inner()))
}

async fn authorization(options: &ClientOptions) -> Result<MetadataValue<tonic::metadata::Ascii>, LinkError> {
    let token = transport::read(&options.token_file).await?;
    let text = std::str::from_utf8(&token).ok().map(str::trim).filter(|token| !token.is_empty());
    let value = text
        .and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok())
        .and_then(|value| MetadataValue::try_from(value.as_bytes()).ok());
    let mut value = value.ok_or_else(|| LinkError::Token(options.token_file.display().to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}
