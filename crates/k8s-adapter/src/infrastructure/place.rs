//! Applying what is to stand, and taking away what is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt as _;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    core::{ApiResource, DynamicObject, PartialObjectMeta},
    runtime::watcher,
};
use lasthop_dataplane_api::ObjectName;
use tokio::{
    sync::{Mutex, mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    MANAGER, Observed, Template,
    manifests::{self, MANAGED_BY, Manifest, Placed},
    names,
    observed::Wanted,
};
use crate::{leader::Leadership, source::api};

/// So many Gateways are worked on at once.
const AT_ONCE: usize = 8;
/// For one request.
const REQUEST: Duration = Duration::from_secs(10);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(2);
/// How often everything is looked at without a reason.
const REVIEW: Duration = Duration::from_secs(600);

/// Places proxies while this replica leads.
pub struct Placer {
    client: Client,
    controller: String,
    template: watch::Receiver<Template>,
    observed: Arc<Observed>,
    leadership: Leadership,
    /// What was applied last, by its hash.
    applied: Arc<Mutex<BTreeMap<ObjectName, u64>>>,
}

/// What was seen of what is placed.
enum Sight {
    /// Something stands for the Gateway.
    Stands(ObjectName),
    /// Somebody took something away.
    Gone(ObjectName),
}

/// What came of a Gateway.
struct Done {
    gateway: ObjectName,
    failed: Option<String>,
}

impl Placer {
    /// Places proxies for the Gateways of this controller's classes. A new template takes effect at once.
    pub fn new(
        client: Client,
        controller: &str,
        template: watch::Receiver<Template>,
        observed: Arc<Observed>,
        leadership: Leadership,
    ) -> Self {
        let controller = controller.to_owned();
        Self { client, controller, template, observed, leadership, applied: Arc::default() }
    }

    /// Works until the process ends.
    pub async fn run(mut self) {
        loop {
            self.leadership.gained().await;
            self.applied.lock().await.clear();
            self.observed.touch_all();
            let (sender, mut sights) = mpsc::channel(64);
            let mut watches = JoinSet::new();
            for kind in [Placed::ServiceAccount, Placed::ConfigMap, Placed::Service, Placed::Deployment] {
                watches.spawn(watch_placed(self.client.clone(), kind, sender.clone()));
            }
            let mut lost = self.leadership.clone();
            tokio::select! {
                () = self.lead(&mut sights) => return,
                () = lost.lost() => {}
            }
        }
    }

    async fn lead(&mut self, sights: &mut mpsc::Receiver<Sight>) {
        let mut standing: BTreeSet<ObjectName> = BTreeSet::new();
        let mut due: BTreeSet<ObjectName> = BTreeSet::new();
        let mut busy: BTreeSet<ObjectName> = BTreeSet::new();
        let mut again: BTreeMap<ObjectName, Instant> = BTreeMap::new();
        let mut work: JoinSet<Done> = JoinSet::new();
        let mut review = Instant::now() + REVIEW;
        loop {
            due.append(&mut self.observed.take_touched());
            let now = Instant::now();
            again.retain(|gateway, at| *at > now || !due.insert(gateway.clone()));
            while work.len() < AT_ONCE
                && let Some(gateway) = due.iter().find(|gateway| !busy.contains(*gateway)).cloned()
            {
                due.remove(&gateway);
                let wanted = self.observed.wanted(&gateway, &self.controller);
                // Of other controllers' Gateways, only those are of interest that were ours.
                if wanted == Wanted::Nothing && !standing.contains(&gateway) {
                    continue;
                }
                standing.insert(gateway.clone());
                busy.insert(gateway.clone());
                work.spawn(self.task(gateway, wanted));
            }
            let next = again.values().min().copied().unwrap_or(review).min(review);
            tokio::select! {
                () = self.observed.changed() => {}
                Some(done) = work.join_next() => {
                    let Ok(Done { gateway, failed }) = done else { continue };
                    busy.remove(&gateway);
                    if let Some(why) = failed {
                        tracing::error!(%gateway, "what stands for the Gateway cannot be applied: {why}");
                        again.insert(gateway, Instant::now() + AGAIN);
                    }
                }
                Some(sight) = sights.recv() => match sight {
                    Sight::Stands(gateway) => {
                        if standing.insert(gateway.clone()) {
                            due.insert(gateway);
                        }
                    }
                    Sight::Gone(gateway) => {
                        self.applied.lock().await.remove(&gateway);
                        due.insert(gateway);
                    }
                },
                changed = self.template.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.observed.touch_all();
                }
                () = sleep_until(next) => if next == review {
                    review = Instant::now() + REVIEW;
                    self.applied.lock().await.clear();
                    self.observed.touch_all();
                },
            }
        }
    }

    fn task(&self, gateway: ObjectName, wanted: Wanted) -> impl Future<Output = Done> + Send + 'static {
        let (client, applied) = (self.client.clone(), self.applied.clone());
        let template = self.template.borrow().clone();
        async move {
            let failed = settle(&client, &gateway, wanted, &template, &applied).await.err();
            Done { gateway, failed }
        }
    }
}

/// Brings about what is wanted.
async fn settle(
    client: &Client,
    gateway: &ObjectName,
    wanted: Wanted,
    template: &Template,
    applied: &Mutex<BTreeMap<ObjectName, u64>>,
) -> Result<(), String> {
    let plan = match wanted {
        Wanted::AsItIs => return Ok(()),
        Wanted::Nothing => {
            // Of a Gateway that is gone, Kubernetes takes away what it owned. What is left is of one that changed hands.
            applied.lock().await.remove(gateway);
            return remove(client, gateway, &Placed::ALL).await;
        }
        Wanted::Place(plan) => plan,
    };
    let all = manifests::all(&plan, template);
    let text: String = all.iter().map(|manifest| manifest.object.to_string()).collect();
    let hash = names::hash(text.as_bytes());
    if applied.lock().await.get(gateway) == Some(&hash) {
        return Ok(());
    }
    for manifest in &all {
        apply(client, gateway, manifest).await?;
    }
    if plan.parameters.pod_disruption_budget.is_none() {
        remove(client, gateway, &[Placed::PodDisruptionBudget]).await?;
    }
    applied.lock().await.insert(gateway.clone(), hash);
    tracing::info!(%gateway, ports = plan.ports.len(), "the Gateway's proxies are placed");
    Ok(())
}

async fn apply(client: &Client, gateway: &ObjectName, manifest: &Manifest) -> Result<(), String> {
    let name = names::placed(gateway);
    let api = api(client, &resource(manifest.kind), &gateway.namespace);
    let parameters = PatchParams::apply(MANAGER).force();
    let patch = Patch::Apply(&manifest.object);
    let told = |why: String| format!("{} {}/{name}: {why}", manifest.kind.names().1, gateway.namespace);
    match timeout(REQUEST, api.patch(&name, &parameters, &patch)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(told(said(&error))),
        Err(_) => Err(told("the API server did not answer in time".to_owned())),
    }
}

/// Removes what we placed, and nothing else of that name.
async fn remove(client: &Client, gateway: &ObjectName, kinds: &[Placed]) -> Result<(), String> {
    let name = names::placed(gateway);
    for kind in kinds {
        let api = api(client, &resource(*kind), &gateway.namespace);
        let list = ListParams::default()
            .fields(&format!("metadata.name={name}"))
            .labels(&format!("{MANAGED_BY}={MANAGER}"));
        let told = |why: String| format!("{} {}/{name}: {why}", kind.names().1, gateway.namespace);
        let found = match timeout(REQUEST, api.list_metadata(&list)).await {
            Ok(Ok(found)) => !found.items.is_empty(),
            Ok(Err(error)) => return Err(told(said(&error))),
            Err(_) => return Err(told("the API server did not answer in time".to_owned())),
        };
        if !found {
            continue;
        }
        match timeout(REQUEST, api.delete(&name, &DeleteParams::default())).await {
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {}
            Ok(Ok(_)) => tracing::info!(%gateway, "{} {name} is taken away", kind.names().1),
            Ok(Err(error)) => return Err(told(said(&error))),
            Err(_) => return Err(told("the API server did not answer in time".to_owned())),
        }
    }
    Ok(())
}

/// Tells what stands, and what somebody deleted. What others set beside our fields is theirs; a field of ours that
/// somebody changed is put right at the next review.
async fn watch_placed(client: Client, kind: Placed, sights: mpsc::Sender<Sight>) {
    let resource = resource(kind);
    let config = watcher::Config::default().labels(&format!("{MANAGED_BY}={MANAGER}")).timeout(120);
    let all: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client, &resource);
    let mut seen = std::pin::pin!(watcher(all, config));
    while let Some(event) = seen.next().await {
        let sight = match event {
            Ok(watcher::Event::Delete(object)) => owner(&object).map(Sight::Gone),
            Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                owner(&object).map(Sight::Stands)
            }
            Ok(watcher::Event::Init | watcher::Event::InitDone) => continue,
            Err(error) => {
                tracing::debug!(%error, "{} cannot be followed", resource.plural);
                sleep(AGAIN).await;
                continue;
            }
        };
        if let Some(sight) = sight
            && sights.send(sight).await.is_err()
        {
            return;
        }
    }
}

fn owner<T>(object: &PartialObjectMeta<T>) -> Option<ObjectName> {
    let owners = object.metadata.owner_references.iter().flatten();
    let mut owners = owners.filter(|owner| owner.kind == "Gateway");
    Some(ObjectName::new(object.metadata.namespace.as_deref()?, owners.next()?.name.as_str()))
}

fn resource(kind: Placed) -> ApiResource {
    let (api_version, name, plural) = kind.names();
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind: name.to_owned(),
        plural: plural.to_owned(),
    }
}

/// What the API server said, and what it takes.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!("{}; allow it in the controller's ClusterRole", status.message)
        }
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
