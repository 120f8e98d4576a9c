//! Applying what is to stand, and taking away what is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, future::try_join_all};
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
    GATEWAY_LABEL, MANAGER, Observed, Template,
    manifests::{self, Manifest, Placed, placed_by},
    names,
    observed::Wanted,
};
use crate::{leader::Leadership, source::api};

/// So many Gateways are worked on at once.
const AT_ONCE: usize = 8;
/// For one request.
const REQUEST: Duration = Duration::from_secs(10);
/// After a failure; it doubles with each, up to [`LATEST`].
const AGAIN: Duration = Duration::from_secs(2);
const LATEST: Duration = Duration::from_secs(60);
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
    /// Of one kind, something stands for these Gateways and for no other.
    All(BTreeSet<ObjectName>),
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
            for kind in Placed::ALL {
                let ours = placed_by(&self.controller);
                watches.spawn(watch_placed(self.client.clone(), kind, ours, sender.clone()));
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
        // To be applied even if they were applied just like that before.
        let mut damaged: BTreeSet<ObjectName> = BTreeSet::new();
        let mut due: BTreeSet<ObjectName> = BTreeSet::new();
        let mut busy: BTreeSet<ObjectName> = BTreeSet::new();
        let mut again: BTreeMap<ObjectName, Instant> = BTreeMap::new();
        let mut failures: BTreeMap<ObjectName, u32> = BTreeMap::new();
        let mut work: JoinSet<Done> = JoinSet::new();
        let mut review = Instant::now() + REVIEW;
        loop {
            due.append(&mut self.observed.take_touched());
            ripen(&mut again, &mut due, Instant::now());
            while work.len() < AT_ONCE
                && let Some(gateway) = due.iter().find(|gateway| !busy.contains(*gateway)).cloned()
            {
                due.remove(&gateway);
                let wanted = self.observed.wanted(&gateway, &self.controller);
                // Of other controllers' Gateways, only those are of interest that were ours; of ours, where nothing
                // may be placed, those for which something stands.
                if !matches!(wanted, Wanted::Place(_)) && !standing.contains(&gateway) {
                    continue;
                }
                // Not before now: until it ended, the work before this noted what it applied.
                if damaged.remove(&gateway) {
                    self.applied.lock().await.remove(&gateway);
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
                    let is_news = self.observed.set_failure(&gateway, failed.as_deref());
                    let Some(why) = failed else {
                        failures.remove(&gateway);
                        continue;
                    };
                    if is_news {
                        tracing::error!(%gateway, "what stands for the Gateway cannot be applied: {why}");
                    }
                    let before = failures.entry(gateway.clone()).or_default();
                    again.insert(gateway, Instant::now() + pause(*before));
                    *before = before.saturating_add(1);
                }
                Some(sight) = sights.recv() => match sight {
                    Sight::Stands(gateway) => {
                        if standing.insert(gateway.clone()) {
                            due.insert(gateway);
                        }
                    }
                    Sight::Gone(gateway) => {
                        damaged.insert(gateway.clone());
                        due.insert(gateway);
                    }
                    Sight::All(found) => {
                        let applied = self.applied.lock().await;
                        let missing = applied.keys().filter(|gateway| !found.contains(*gateway)).cloned();
                        let missing: Vec<ObjectName> = missing.collect();
                        damaged.extend(missing.iter().cloned());
                        due.extend(missing);
                        due.extend(found.into_iter().filter(|gateway| standing.insert(gateway.clone())));
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
        let controller = self.controller.clone();
        async move {
            let placing = Settling { client: &client, gateway: &gateway, controller: &controller };
            let failed = placing.settle(wanted, &template, &applied).await.err();
            Done { gateway, failed }
        }
    }
}

/// Before what failed so often is tried again.
fn pause(failures: u32) -> Duration {
    AGAIN.saturating_mul(1 << failures.min(8)).min(LATEST)
}

/// What is to be tried again by now is due.
fn ripen(again: &mut BTreeMap<ObjectName, Instant>, due: &mut BTreeSet<ObjectName>, now: Instant) {
    due.extend(again.extract_if(.., |_, at| *at <= now).map(|(gateway, _)| gateway));
}

/// One Gateway being worked on.
struct Settling<'a> {
    client: &'a Client,
    gateway: &'a ObjectName,
    controller: &'a str,
}

impl Settling<'_> {
    /// Brings about what is wanted.
    async fn settle(
        &self,
        wanted: Wanted,
        template: &Template,
        applied: &Mutex<BTreeMap<ObjectName, u64>>,
    ) -> Result<(), String> {
        let gateway = self.gateway;
        let (all, ports) = match wanted {
            Wanted::AsItIs => return Ok(()),
            Wanted::Nothing => {
                // Of a Gateway that is gone, Kubernetes takes away what it owned. What is left is of one that changed
                // hands.
                applied.lock().await.remove(gateway);
                return self.remove(&Placed::ALL, &[]).await;
            }
            Wanted::Place(plan) => {
                let all = manifests::all(&plan, template, self.controller);
                (all, Some(plan.ports.len()))
            }
            Wanted::Trust(plan) => {
                let mut all = manifests::all(&plan, template, self.controller);
                all.retain(|manifest| manifest.kind == Placed::ConfigMap);
                (all, None)
            }
        };
        let text: String = all.iter().map(|manifest| manifest.object.to_string()).collect();
        let hash = names::hash(text.as_bytes());
        if applied.lock().await.get(gateway) == Some(&hash) {
            return Ok(());
        }
        try_join_all(all.iter().map(|manifest| self.may_apply(manifest))).await?;
        for manifest in &all {
            self.apply(manifest).await?;
        }
        let Some(ports) = ports else {
            applied.lock().await.insert(gateway.clone(), hash);
            return Ok(());
        };
        // What the parameters and addresses of before asked for.
        self.remove(&[Placed::Service, Placed::PodDisruptionBudget], &all).await?;
        applied.lock().await.insert(gateway.clone(), hash);
        tracing::info!(%gateway, ports, "the Gateway's proxies are placed");
        Ok(())
    }

    /// An object of somebody else's that has the name by chance is not to become ours, and to go with the Gateway.
    async fn may_apply(&self, manifest: &Manifest) -> Result<(), String> {
        let (kind, name) = (manifest.kind, manifest.name());
        let api = api(self.client, &resource(kind), &self.gateway.namespace);
        let found = self.within(kind, api.get_metadata_opt(name)).await?;
        match found.map_err(|error| self.about(kind, name, &said(&error)))? {
            Some(found) if owner(&found).as_ref() != Some(self.gateway) => Err(self.about(
                kind,
                name,
                "an object of that name is there that does not belong to the Gateway; take it away, or give the Gateway \
                 another name",
            )),
            _ => Ok(()),
        }
    }

    async fn apply(&self, manifest: &Manifest) -> Result<(), String> {
        let api = api(self.client, &resource(manifest.kind), &self.gateway.namespace);
        // Strict: what the API server does not know would be lost without a word.
        let parameters = PatchParams::apply(MANAGER).force().validation_strict();
        let patch = Patch::Apply(&manifest.object);
        self.within(manifest.kind, api.patch(manifest.name(), &parameters, &patch))
            .await?
            .map(|_| ())
            .map_err(|error| self.about(manifest.kind, manifest.name(), &said(&error)))
    }

    /// Removes what we placed for the Gateway, but for these, and nothing else.
    async fn remove(&self, kinds: &[Placed], but: &[Manifest]) -> Result<(), String> {
        let own = format!("{GATEWAY_LABEL}={}", names::label_value(&self.gateway.name));
        let list = ListParams::default().labels(&format!("{},{own}", placed_by(self.controller)));
        let all = names::placed(self.gateway);
        for &kind in kinds {
            let api = api(self.client, &resource(kind), &self.gateway.namespace);
            let told = |name: &str, error: &kube::Error| self.about(kind, name, &said(error));
            let found =
                self.within(kind, api.list_metadata(&list)).await?.map_err(|error| told(&all, &error))?;
            let stays = |name: &str| but.iter().any(|kept| kept.kind == kind && kept.name() == name);
            let ours = found.items.iter().filter(|object| owner(object).as_ref() == Some(self.gateway));
            for name in ours.filter_map(|object| object.metadata.name.as_deref()).filter(|name| !stays(name))
            {
                match self.within(kind, api.delete(name, &DeleteParams::default())).await? {
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    Err(error) => return Err(told(name, &error)),
                    Ok(_) => {
                        tracing::info!(gateway = %self.gateway, "{} {name} is taken away", kind.names().1)
                    }
                }
            }
        }
        Ok(())
    }

    async fn within<T>(&self, kind: Placed, asked: impl Future<Output = T>) -> Result<T, String> {
        let name = names::placed(self.gateway);
        let late = |_| self.about(kind, &name, "the API server did not answer in time");
        timeout(REQUEST, asked).await.map_err(late)
    }

    fn about(&self, kind: Placed, name: &str, why: &str) -> String {
        format!("{} {}/{name}: {why}", kind.names().1, self.gateway.namespace)
    }
}

/// Tells what stands, and what somebody deleted. What others set beside our fields is theirs; a field of ours that
/// somebody changed is put right at the next review.
async fn watch_placed(client: Client, kind: Placed, ours: String, sights: mpsc::Sender<Sight>) {
    let resource = resource(kind);
    let config = watcher::Config::default().labels(&ours).timeout(120);
    let all: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client, &resource);
    let mut seen = std::pin::pin!(watcher(all, config));
    let mut all = BTreeSet::new();
    while let Some(event) = seen.next().await {
        let sight = match event {
            Ok(watcher::Event::Delete(object)) => owner(&object).map(Sight::Gone),
            Ok(watcher::Event::Apply(object)) => owner(&object).map(Sight::Stands),
            Ok(watcher::Event::Init) => None,
            Ok(watcher::Event::InitApply(object)) => {
                all.extend(owner(&object));
                None
            }
            // Few Gateways have a budget for disruptions; which should is not known here.
            Ok(watcher::Event::InitDone) if kind == Placed::PodDisruptionBudget => None,
            Ok(watcher::Event::InitDone) => Some(Sight::All(std::mem::take(&mut all))),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_tried_again_is_due_once_even_if_it_was_due_already() {
        let gateway = |name: &str| ObjectName::new("infra", name);
        let now = Instant::now();
        let mut again =
            BTreeMap::from([(gateway("due"), now), (gateway("early"), now + AGAIN), (gateway("late"), now)]);
        let mut due = BTreeSet::from([gateway("due")]);
        ripen(&mut again, &mut due, now);
        assert_eq!(due, BTreeSet::from([gateway("due"), gateway("late")]));
        // Whoever sleeps until the first of them sleeps.
        assert_eq!(again, BTreeMap::from([(gateway("early"), now + AGAIN)]));
    }
}
