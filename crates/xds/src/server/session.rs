//! One proxy's stream.
//!
//! At most one update is under way to a proxy. What changes meanwhile is put together and sent when the proxy has
//! answered: a slow proxy gets the newest state, costs no memory, and keeps nobody else waiting.

use std::{collections::HashMap, sync::Arc, time::Duration};

use lasthop_dataplane_api::ObjectName;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tonic::{Status, Streaming, metadata::MetadataMap};

use super::{ServerOptions, Shared, shelf::Difference};
use crate::{
    AuthenticationError,
    discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node},
    kind::{REPORT, SNAPSHOT},
    metrics::Denial,
    report::{WireReport, clip},
};

/// For the first request on a stream.
const FIRST: Duration = Duration::from_secs(10);

/// What a session sends.
pub(super) type Answer = Result<DeltaDiscoveryResponse, Status>;

/// Whose token came with the request.
pub(super) async fn authenticate(shared: &Shared, metadata: &MetadataMap) -> Result<ObjectName, Status> {
    let ServerOptions { authenticator, metrics, .. } = &shared.options;
    let token = metadata.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let Some(token) = token else {
        metrics.deny(Denial::NoToken);
        shared.turn_away(&"no token was shown");
        return Err(Status::unauthenticated("no token was shown (authorization: Bearer)"));
    };
    authenticator.authenticate(token).await.map_err(|error| {
        shared.turn_away(&error);
        match error {
            AuthenticationError::Refused(_) => {
                metrics.deny(Denial::Token);
                Status::unauthenticated(error.to_string())
            }
            AuthenticationError::Unavailable(_) => {
                metrics.deny(Denial::Unavailable);
                Status::unavailable(error.to_string())
            }
        }
    })
}

/// Serves one stream to its end.
pub(super) async fn run(
    shared: Arc<Shared>,
    account: ObjectName,
    mut requests: Streaming<DeltaDiscoveryRequest>,
    answers: mpsc::Sender<Answer>,
) {
    let outcome = match Session::begin(&shared, &account, &mut requests, &answers).await {
        Ok(mut session) => session.follow(&mut requests).await,
        Err(status) => Err(status),
    };
    if let Err(status) = outcome {
        // Nobody listens if the proxy is gone.
        let _ = answers.send(Err(status)).await;
    }
}

/// What a proxy has.
enum Base {
    /// What it said at the beginning.
    Versions(HashMap<String, String>),
    /// A generation of the shelf.
    At(u64),
}

/// An update that is under way.
struct UnderWay {
    nonce: String,
    generation: u64,
    until: Instant,
}

struct Session<'a> {
    shared: &'a Shared,
    answers: &'a mpsc::Sender<Answer>,
    gateway: ObjectName,
    node: String,
    number: u64,
    /// It follows another replica, and only says what it serves.
    is_echo: bool,
    changes: watch::Receiver<u64>,
    base: Base,
    /// The newest generation that was tried.
    tried: Option<u64>,
    under_way: Option<UnderWay>,
    nonce: u64,
}

impl<'a> Session<'a> {
    async fn begin(
        shared: &'a Shared,
        account: &ObjectName,
        requests: &mut Streaming<DeltaDiscoveryRequest>,
        answers: &'a mpsc::Sender<Answer>,
    ) -> Result<Self, Status> {
        let late = |_| Status::deadline_exceeded("the first request did not come in time");
        let first = timeout(FIRST, requests.message()).await.map_err(late)??;
        let first = first.ok_or_else(|| Status::invalid_argument("the stream ended without a request"))?;
        let Node { id, cluster, .. } =
            first.node.ok_or_else(|| Status::invalid_argument("node is missing in the first request"))?;
        let gateway: ObjectName = cluster
            .parse()
            .map_err(|error| Status::invalid_argument(format!("node.cluster names no Gateway: {error}")))?;
        if (shared.options.account_of)(&gateway) != *account {
            shared.options.metrics.deny(Denial::Account);
            shared.turn_away(&format_args!("the account {account} is not the one of Gateway {gateway}"));
            return Err(Status::permission_denied(format!(
                "service account {account} is not the one of the proxies of Gateway {gateway}"
            )));
        }
        let is_echo = first.type_url == REPORT;
        if first.type_url != SNAPSHOT && !is_echo {
            return Err(Status::invalid_argument(format!("only {SNAPSHOT} is served here")));
        }
        let node: String = id.chars().filter(|c| !c.is_control()).take(253).collect();
        // Until there is something to say: a controller that has just begun knows nothing yet.
        let mut synced = shared.synced.subscribe();
        tokio::select! {
            _ = synced.wait_for(|synced| *synced) => {}
            () = answers.closed() => return Err(Status::cancelled("the proxy left")),
        }
        if (shared.options.withheld)(&gateway) {
            return Err(Status::unavailable("nothing is known about the Gateway yet; keep what is there"));
        }
        let number = fastrand::u64(..);
        let changes = {
            let mut world = shared.world();
            let shelf = world.shelf(&gateway);
            shelf.voices.join(number, node.clone(), is_echo);
            shelf.subscribe()
        };
        if !is_echo {
            shared.options.metrics.proxies.inc();
            tracing::info!(%gateway, proxy = node, has = first.initial_resource_versions.len(), "a proxy is connected");
        }
        let session = Session {
            shared,
            answers,
            gateway,
            node,
            number,
            is_echo,
            changes,
            base: Base::Versions(first.initial_resource_versions),
            tried: None,
            under_way: None,
            nonce: 0,
        };
        session.hear(&first.report)?;
        Ok(session)
    }

    async fn follow(&mut self, requests: &mut Streaming<DeltaDiscoveryRequest>) -> Result<(), Status> {
        // Not all at once.
        let age = self.shared.options.session.mul_f64(0.8 + 0.2 * fastrand::f64());
        let end = Instant::now() + age;
        loop {
            if self.under_way.is_none() && !self.is_echo {
                self.send().await?;
            }
            let answer_until = self.under_way.as_ref().map_or(end, |sent| sent.until);
            tokio::select! {
                request = requests.message() => match request? {
                    Some(request) => self.take(request)?,
                    None => return Ok(()),
                },
                changed = self.changes.changed(), if self.under_way.is_none() && !self.is_echo => {
                    if changed.is_err() {
                        return Err(Status::unavailable("the Gateway is gone"));
                    }
                }
                () = sleep_until(answer_until), if self.under_way.is_some() => {
                    tracing::warn!(gateway = %self.gateway, proxy = self.node, "a proxy does not answer and is cut off");
                    return Err(Status::deadline_exceeded("an update was not answered in time"));
                }
                // A proxy connects again and shows its token anew.
                () = sleep_until(end), if self.under_way.is_none() => return Ok(()),
                () = self.answers.closed() => return Ok(()),
            }
        }
    }

    /// Sends what the proxy lacks, if it lacks something that it did not refuse.
    async fn send(&mut self) -> Result<(), Status> {
        let (generation, version, difference) = {
            let mut world = self.shared.world();
            let version = world.version;
            let shelf = world.shelf(&self.gateway);
            let generation = *self.changes.borrow_and_update();
            if self.tried == Some(generation) {
                return Ok(());
            }
            let difference = match &self.base {
                Base::Versions(versions) => Some(shelf.since_versions(versions)),
                Base::At(base) => shelf.since(*base),
            };
            (generation, version, difference)
        };
        let Some(difference) = difference else {
            return Err(Status::aborted("too many changes were missed; say again what is there"));
        };
        // The first answer always comes: it says that the proxy has everything.
        let first = self.tried.is_none();
        self.tried = Some(generation);
        if difference.is_empty() && !first {
            self.base = Base::At(generation);
            return Ok(());
        }
        self.nonce += 1;
        let nonce = self.nonce.to_string();
        let answer = answer(difference, version, nonce.clone());
        self.shared.options.metrics.updates.inc();
        let until = Instant::now() + self.shared.options.answer_timeout;
        self.under_way = Some(UnderWay { nonce, generation, until });
        self.answers.send(Ok(answer)).await.map_err(|_| Status::cancelled("the proxy left"))
    }

    fn take(&mut self, request: DeltaDiscoveryRequest) -> Result<(), Status> {
        if let Some(sent) = self.under_way.take_if(|sent| sent.nonce == request.response_nonce) {
            let refuses = request.error_detail.map(|detail| clip(&detail.message));
            match &refuses {
                None => self.base = Base::At(sent.generation),
                Some(why) => {
                    self.shared.options.metrics.refused.inc();
                    tracing::error!(gateway = %self.gateway, proxy = self.node, "a proxy refused an update: {why}");
                }
            }
            let mut world = self.shared.world();
            let shelf = world.shelf(&self.gateway);
            shelf.voices.answered(self.number, refuses, shelf.listeners.keys().cloned());
        }
        self.hear(&request.report)?;
        self.shared.news.notify_one();
        Ok(())
    }

    /// Takes the proxy's word about its listeners and backends.
    fn hear(&self, report: &[u8]) -> Result<(), Status> {
        let mut report = WireReport::decode(report)
            .map_err(|error| Status::invalid_argument(format!("the report cannot be read: {error}")))?;
        if !report.is_empty() {
            let mut world = self.shared.world();
            let shelf = world.shelf(&self.gateway);
            if let Some(refuses) = report.refuses.take().filter(|_| self.is_echo) {
                let refuses = Some(refuses).filter(|why| !why.is_empty());
                shelf.voices.answered(self.number, refuses, shelf.listeners.keys().cloned());
            }
            shelf.voices.said(self.number, report, &shelf.listeners);
            self.shared.news.notify_one();
        }
        Ok(())
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let mut world = self.shared.world();
        let shelf = world.shelf(&self.gateway);
        shelf.voices.leave(self.number, shelf.listeners.keys().cloned());
        world.tidy(&self.gateway);
        drop(world);
        self.shared.news.notify_one();
        if self.is_echo {
            return;
        }
        self.shared.options.metrics.proxies.dec();
        tracing::info!(gateway = %self.gateway, proxy = self.node, "a proxy is no longer connected");
    }
}

fn answer(difference: Difference, version: u64, nonce: String) -> DeltaDiscoveryResponse {
    DeltaDiscoveryResponse {
        system_version_info: version.to_string(),
        resources: difference.changed.iter().map(|entry| entry.to_resource()).collect(),
        type_url: SNAPSHOT.to_owned(),
        nonce,
        removed_resources: difference.removed.iter().map(|name| name.to_string()).collect(),
    }
}
