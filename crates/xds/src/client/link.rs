//! The task that follows a controller.

use std::sync::Arc;

use lasthop_dataplane_api::{Report, Update};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tonic::{Code, Streaming};

use super::{
    ClientOptions,
    backoff::Backoff,
    echo::{self, Words},
    held::Held,
    said::Said,
    stream::{self, LinkError, Requests},
    transport,
};
use crate::{
    ClientMetrics,
    discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, RpcStatus},
    kind::SNAPSHOT,
    report::WireReport,
};

/// Follows controllers, one after the other, until nobody takes the updates any more.
pub(super) async fn run(
    options: ClientOptions,
    metrics: ClientMetrics,
    updates: mpsc::Sender<Arc<Update>>,
    reports: mpsc::UnboundedReceiver<Report>,
) {
    let mut backoff = Backoff::new(options.backoff);
    let (held, said) = (Held::default(), Said::default());
    let words = watch::Sender::new(Words::default());
    // Ends with this task.
    let mut echoes = JoinSet::new();
    echoes.spawn(echo::run(options.clone(), words.subscribe()));
    let mut link = Link { options, metrics, updates, reports, held, said, words, begun: false };
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
                    Some(report) => { link.note(report, None); }
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
    /// For the controllers that are not followed.
    words: watch::Sender<Words>,
    /// Whether the controller of this connection has told what is to be served.
    begun: bool,
}

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
                    let report = self.note(report.ok_or(LinkError::Ended)?, None);
                    requests.send(DeltaDiscoveryRequest { report: report.encode(), ..request() }).await?;
                }
            }
        }
    }

    async fn subscribe(&self) -> Result<(Requests, Streaming<DeltaDiscoveryResponse>), LinkError> {
        let ClientOptions { address, gateway, ca_file, .. } = &self.options;
        let (channel, at) = transport::connect_any(address, ca_file).await?;
        let first = DeltaDiscoveryRequest {
            resource_names_subscribe: vec!["*".to_owned()],
            initial_resource_versions: self.held.versions().clone(),
            report: self.said.all().encode(),
            ..request()
        };
        let stream = stream::open(&self.options, channel, first).await?;
        self.metrics.connects.inc();
        self.words.send_modify(|words| words.followed = Some(at));
        tracing::info!(%address, %at, %gateway, "connected to the control plane");
        Ok(stream)
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
        let refuses = error_detail.as_ref().map(|detail| detail.message.clone()).unwrap_or_default();
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
        self.words.send_modify(|words| words.report.refuses = Some(refuses));
        requests.send(answer).await
    }

    /// Keeps what the dataplane said, and gives it in the form in which it goes up.
    fn note(&mut self, report: Report, update: Option<&Update>) -> WireReport {
        let up = self.said.note(report, update, &self.held);
        self.words.send_modify(|words| {
            words.report = WireReport { refuses: words.report.refuses.take(), ..self.said.all() };
        });
        up
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
            return Ok(self.note(report, Some(&update)));
        }
    }
}

fn request() -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: SNAPSHOT.to_owned(), ..DeltaDiscoveryRequest::default() }
}
