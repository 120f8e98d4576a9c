//! The task that follows a controller.

use std::sync::Arc;

use http::{HeaderValue, Uri, uri::PathAndQuery};
use lasthop_dataplane_api::{Report, Update};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming, metadata::MetadataValue};
use tonic_prost::ProstCodec;

use super::{
    ClientOptions,
    backoff::Backoff,
    held::Held,
    said::Said,
    transport::{self, ConnectError},
};
use crate::{
    ClientMetrics,
    discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, METHOD, Node, RpcStatus},
    kind::SNAPSHOT,
    report::WireReport,
    tls::SERVER_NAME,
};

/// Of one update. The controller is trusted; this only bounds what a mistake can do.
const UPDATE_BYTES: usize = 512 << 20;

/// Follows controllers, one after the other, until nobody takes the updates any more.
pub(super) async fn run(
    options: ClientOptions,
    metrics: ClientMetrics,
    updates: mpsc::Sender<Arc<Update>>,
    reports: mpsc::UnboundedReceiver<Report>,
) {
    let mut backoff = Backoff::new(options.backoff);
    let (held, said) = (Held::default(), Said::default());
    let mut link = Link { options, metrics, updates, reports, held, said, begun: false };
    while !link.updates.is_closed() {
        link.begun = false;
        let outcome = link.follow().await;
        link.metrics.set_connected(false);
        if link.begun {
            backoff.reset();
        }
        let wait = backoff.next();
        match outcome {
            Ok(()) => tracing::info!("the control plane ended the session; connecting anew"),
            Err(error) if link.held.versions().is_empty() => {
                tracing::warn!(
                    wait_ms = wait.as_millis(),
                    "no control plane, and nothing to serve yet: {error}"
                );
            }
            Err(error) => {
                tracing::warn!(
                    wait_ms = wait.as_millis(),
                    "no control plane; what is in force stays: {error}"
                );
            }
        }
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                () = sleep_until(until) => break,
                report = link.reports.recv() => match report {
                    Some(report) => { link.said.note(report, None, &link.held); }
                    None => return,
                },
            }
        }
    }
}

struct Link {
    options: ClientOptions,
    metrics: ClientMetrics,
    updates: mpsc::Sender<Arc<Update>>,
    reports: mpsc::UnboundedReceiver<Report>,
    held: Held,
    said: Said,
    /// Whether the controller of this connection has told what is to be served.
    begun: bool,
}

#[derive(Debug, thiserror::Error)]
enum LinkError {
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
            _ => Self::Failed(status.to_string()),
        }
    }
}

type Requests = mpsc::Sender<DeltaDiscoveryRequest>;

impl Link {
    /// Follows one controller until the connection ends.
    async fn follow(&mut self) -> Result<(), LinkError> {
        let (requests, mut responses) = self.subscribe().await?;
        loop {
            tokio::select! {
                response = responses.message() => match response? {
                    Some(response) => self.take(response, &requests).await?,
                    None => return Ok(()),
                },
                report = self.reports.recv() => {
                    let report = self.said.note(report.ok_or(LinkError::Ended)?, None, &self.held);
                    self.send(&requests, DeltaDiscoveryRequest { report: report.encode(), ..request() }).await?;
                }
            }
        }
    }

    async fn subscribe(&self) -> Result<(Requests, Streaming<DeltaDiscoveryResponse>), LinkError> {
        let ClientOptions { address, gateway, node, token_file, ca_file, .. } = &self.options;
        let token = transport::read(token_file).await?;
        let authorization = std::str::from_utf8(&token)
            .ok()
            .map(str::trim)
            .filter(|token| !token.is_empty())
            .and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok())
            .ok_or_else(|| LinkError::Token(token_file.display().to_string()))?;
        let channel = transport::connect(address, ca_file).await?;
        // A few: an answer and some words are all that can be under way.
        let (requests, stream) = mpsc::channel(4);
        let mut request = tonic::Request::new(ReceiverStream::new(stream));
        let mut authorization = MetadataValue::try_from(authorization.as_bytes())
            .map_err(|_| LinkError::Token(token_file.display().to_string()))?;
        authorization.set_sensitive(true);
        request.metadata_mut().insert("authorization", authorization);
        let node = Node {
            id: node.clone(),
            cluster: gateway.to_string(),
            user_agent_name: "lasthop-proxy".to_owned(),
            user_agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let first = DeltaDiscoveryRequest {
            node: Some(node),
            resource_names_subscribe: vec!["*".to_owned()],
            initial_resource_versions: self.held.versions().clone(),
            report: self.said.all().encode(),
            ..self::request()
        };
        self.send(&requests, first).await?;
        let origin = Uri::builder().scheme("https").authority(SERVER_NAME).path_and_query("/").build();
        let mut client = tonic::client::Grpc::with_origin(channel, origin.unwrap_or_default())
            .max_decoding_message_size(UPDATE_BYTES);
        client.ready().await.map_err(|error| LinkError::Failed(error.to_string()))?;
        let codec = ProstCodec::<DeltaDiscoveryRequest, DeltaDiscoveryResponse>::default();
        let responses = client.streaming(request, PathAndQuery::from_static(METHOD), codec).await?;
        self.metrics.connects.inc();
        tracing::info!(%address, %gateway, "connected to the control plane");
        Ok((requests, responses.into_inner()))
    }

    /// Puts a response in force and answers it.
    async fn take(&mut self, response: DeltaDiscoveryResponse, requests: &Requests) -> Result<(), LinkError> {
        let nonce = response.nonce.clone();
        let (error_detail, report) = match self.held.take(&response) {
            Err(refused) => {
                self.metrics.refused.inc();
                tracing::error!("an update of the control plane is refused as a whole: {refused}");
                let code = Code::InvalidArgument as i32;
                (Some(RpcStatus { code, message: refused.to_string() }), WireReport::default())
            }
            // A controller that knows nothing new, and an update of nothing but what others refer to.
            Ok(update) if update.is_empty() && update.version > 1 => (None, WireReport::default()),
            Ok(update) => {
                tracing::debug!(
                    version = update.version,
                    of = response.system_version_info,
                    "an update came"
                );
                (None, self.put_in_force(update).await?)
            }
        };
        if error_detail.is_none() {
            self.begun = true;
            self.metrics.set_connected(true);
        }
        let answer = DeltaDiscoveryRequest {
            response_nonce: nonce,
            error_detail,
            report: report.encode(),
            ..request()
        };
        self.send(requests, answer).await
    }

    /// Hands an update over and waits until it is in force, whatever becomes of the connection meanwhile.
    async fn put_in_force(&mut self, update: Update) -> Result<WireReport, LinkError> {
        let update = Arc::new(update);
        self.said.forget(&update);
        self.updates.send(update.clone()).await.map_err(|_| LinkError::Ended)?;
        let mut others = Report::default();
        loop {
            let report = self.reports.recv().await.ok_or(LinkError::Ended)?;
            if report.version != update.version {
                // Said of what was in force before: no word about what the update changes.
                let changed = |key: &_| update.listeners.0.iter().any(|(changed, _)| changed == key);
                others.listeners.extend(report.listeners.into_iter().filter(|(key, _)| !changed(key)));
                continue;
            }
            others.listeners.extend(report.listeners);
            let report = Report { listeners: others.listeners, ..report };
            return Ok(self.said.note(report, Some(&update), &self.held));
        }
    }

    async fn send(&self, requests: &Requests, request: DeltaDiscoveryRequest) -> Result<(), LinkError> {
        let gone = |_| LinkError::Failed("the control plane is gone".to_owned());
        requests.send(request).await.map_err(gone)
    }
}

fn request() -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: SNAPSHOT.to_owned(), ..DeltaDiscoveryRequest::default() }
}
