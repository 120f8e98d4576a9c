//! What the watches have told so far.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use lasthop_api_model::{Installation, Resource, ResourceKey, ResourceKind};
use lasthop_runtime::source::{InForce, Problem, ProblemClass, SourceEvent};
use serde_json::Value;

use super::{
    decorate::Decorations,
    proxies::Part,
    reading,
    watch::{Message, Seen, Trouble},
    watched::{Kind, Watched, is_gateway_api},
};
use crate::infrastructure::Observed;

/// So often an API server must say that it does not know a kind whose objects it has served.
const BELIEVED: u8 = 4;

/// What is in force of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Its newest version, or the last good one.
    Good,
    /// The targets of a policy without a good version.
    Targets,
    /// Nothing.
    Nothing,
}

/// How far a watch is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Progress {
    /// Nothing was heard of it.
    #[default]
    Waiting,
    /// All its objects are known.
    Listed,
    /// There is nothing to know, for now.
    Without(Trouble),
}

struct Watch {
    watched: Watched,
    progress: Progress,
    /// The API server stopped answering.
    lost: bool,
    /// So often in a row the API server did not know the kind.
    missed: u8,
    objects: HashMap<ResourceKey, Standing>,
}

/// What the watches have told so far.
pub(super) struct Known {
    watches: Vec<Watch>,
    decorations: Decorations,
    observed: Arc<Observed>,
    /// What was not given out yet.
    pending: BTreeMap<ResourceKey, Option<Resource>>,
    problems: BTreeMap<ResourceKey, Vec<Problem>>,
    problems_changed: bool,
    /// Everything was given out once.
    is_started: bool,
}

impl Known {
    pub(super) fn new(everything: Vec<Watched>, controller: &str, observed: Arc<Observed>) -> Self {
        let watch = |watched| Watch {
            watched,
            progress: Progress::Waiting,
            lost: false,
            missed: 0,
            objects: HashMap::new(),
        };
        Self {
            watches: everything.into_iter().map(watch).collect(),
            decorations: Decorations::new(controller, observed.clone()),
            observed,
            pending: BTreeMap::new(),
            problems: BTreeMap::new(),
            problems_changed: false,
            is_started: false,
        }
    }

    /// Whether every watch has told what there is, or why it cannot.
    pub(super) fn is_heard(&self) -> bool {
        self.watches.iter().all(|watch| watch.progress != Progress::Waiting)
    }

    /// Whether everything was given out once.
    pub(super) fn is_started(&self) -> bool {
        self.is_started
    }

    /// Whether what was told is enough to judge everything.
    pub(super) fn is_complete(&self) -> bool {
        self.is_heard() && !self.watches.iter().any(|watch| self.holds(watch))
    }

    /// Whether everything has to wait for a watch that cannot tell what there is.
    fn holds(&self, watch: &Watch) -> bool {
        watch.watched.is_essential()
            && match &watch.progress {
                Progress::Waiting | Progress::Listed => false,
                Progress::Without(Trouble::Missing) => !self.is_absent(watch),
                Progress::Without(_) => true,
            }
    }

    /// Whether a kind that the API server does not know is not installed at all. It may be there in other versions only,
    /// and an API server that has just begun may not know its own CRDs yet.
    fn is_absent(&self, watch: &Watch) -> bool {
        let of_definitions = self.watches.iter().find(|watch| watch.watched.kind == Kind::Definitions);
        let listed = of_definitions.is_some_and(|watch| watch.progress == Progress::Listed);
        if listed { !self.decorations.defines(&watch.watched.name()) } else { watch.missed >= BELIEVED }
    }

    /// What has not been listed yet, and why.
    pub(super) fn awaited(&self) -> Vec<String> {
        let awaited = self.watches.iter().filter_map(|watch| match &watch.progress {
            Progress::Waiting => Some(watch.watched.to_string()),
            Progress::Without(trouble) if self.holds(watch) => Some(said(&watch.watched, trouble)),
            _ => None,
        });
        awaited.collect()
    }

    /// What changed since the last time; before everything is known, of GatewayClasses alone, to say what is missing.
    pub(super) fn event(&mut self) -> SourceEvent {
        let is_partial = !self.is_started && !self.is_complete();
        let mut event = SourceEvent { is_partial, ..SourceEvent::default() };
        if !is_partial && !std::mem::replace(&mut self.is_started, true) {
            self.observed.all_is_known();
            self.installation_changed();
        }
        let told = |key: &ResourceKey| !is_partial || key.kind == ResourceKind::GatewayClass;
        for (key, object) in self.pending.extract_if(.., |key, _| told(key)) {
            match object {
                Some(object) => event.applied.push(object),
                None => event.removed.push(key),
            }
        }
        if std::mem::take(&mut self.problems_changed) {
            let mut all: Vec<Problem> = self.problems.values().flatten().cloned().collect();
            all.extend(self.watches.iter().filter_map(trouble));
            event.problems = Some(all);
        }
        event
    }

    /// Takes over what a watch saw.
    pub(super) fn take(&mut self, message: Message) {
        let Message { watch: index, version, seen } = message;
        let Some(kind) = self.watches.get(index).map(|watch| watch.watched.kind) else { return };
        match (kind, seen) {
            (Kind::Resource(kind), Seen::All(objects)) => {
                self.observed.serves(kind, version);
                self.all(index, kind, version, objects);
                self.progress(index, Progress::Listed);
            }
            (Kind::Resource(kind), Seen::Put(object)) => {
                self.reachable(index);
                self.put(index, kind, version, object);
            }
            (Kind::Resource(kind), Seen::Gone(object)) => {
                self.reachable(index);
                if let Some(key) = reading::key_of(kind, &object) {
                    self.gone(index, &key);
                }
            }
            (_, Seen::Trouble(trouble)) => self.trouble(index, trouble),
            (Kind::Parameters, seen) => self.parameters(index, seen),
            (Kind::Definitions, seen) => self.definitions(index, seen),
            (Kind::Proxies, seen) => self.part(index, Part::Pod, seen),
            (Kind::Deployments, seen) => self.part(index, Part::Deployment, seen),
        }
    }

    /// Something else cannot be applied that is to stand for Gateways.
    pub(super) fn failures_changed(&mut self) {
        let changed = self.decorations.judge_all();
        self.give_out(changed);
    }

    fn all(&mut self, index: usize, kind: ResourceKind, version: &str, objects: Vec<Value>) {
        let listed: HashSet<ResourceKey> =
            objects.iter().filter_map(|object| reading::key_of(kind, object)).collect();
        let stale: Vec<ResourceKey> = match self.watches.get(index) {
            Some(watch) => watch.objects.keys().filter(|key| !listed.contains(key)).cloned().collect(),
            None => Vec::new(),
        };
        stale.iter().for_each(|key| self.gone(index, key));
        objects.into_iter().for_each(|object| self.put(index, kind, version, object));
    }

    fn put(&mut self, index: usize, kind: ResourceKind, version: &str, object: Value) {
        let Some(key) = reading::key_of(kind, &object) else { return };
        let Some(watch) = self.watches.get_mut(index) else { return };
        if !reading::is_of_interest(kind, &object) {
            self.gone(index, &key);
            return;
        }
        match reading::read(kind, version, object) {
            Ok(object) => {
                watch.objects.insert(key.clone(), Standing::Good);
                if self.problems.remove(&key).is_some() {
                    self.problems_changed = true;
                }
                let object = self.decorations.decorate(object);
                self.observed.put(&object);
                self.pending.insert(key, Some(object));
            }
            Err(refused) => {
                let before = watch.objects.get(&key).copied().unwrap_or(Standing::Nothing);
                let standing = match (before, &refused.policy) {
                    (Standing::Good, _) => Standing::Good,
                    (_, Some(_)) => Standing::Targets,
                    (_, None) => Standing::Nothing,
                };
                watch.objects.insert(key.clone(), standing);
                if standing != Standing::Good {
                    self.observed.cannot_read(&key);
                }
                let in_force = match standing {
                    Standing::Good => InForce::LastGood,
                    Standing::Targets | Standing::Nothing => InForce::Nothing,
                };
                let problems = reading::problems(&key, &refused, in_force);
                if self.problems.get(&key) != Some(&problems) {
                    self.problems.insert(key.clone(), problems);
                    self.problems_changed = true;
                }
                match (standing, refused.policy) {
                    (Standing::Targets, Some(policy)) => {
                        self.pending.insert(key, Some(policy.as_ref().clone()));
                    }
                    // The targets that were kept are no longer meant.
                    (Standing::Nothing, _) if before == Standing::Targets => {
                        self.pending.insert(key, None);
                    }
                    _ => {}
                }
            }
        }
    }

    fn gone(&mut self, index: usize, key: &ResourceKey) {
        let Some(standing) = self.watches.get_mut(index).and_then(|watch| watch.objects.remove(key)) else {
            return;
        };
        // Created anew with another type, a Secret comes from one watch and may go from the other only then.
        if self.watches.iter().any(|other| other.objects.contains_key(key)) {
            return;
        }
        if self.problems.remove(key).is_some() {
            self.problems_changed = true;
        }
        self.observed.forget(key);
        if standing != Standing::Nothing {
            self.decorations.forget(key);
            self.pending.insert(key.clone(), None);
        }
    }

    fn progress(&mut self, index: usize, progress: Progress) {
        if progress == Progress::Listed {
            self.reachable(index);
        }
        let Some(watch) = self.watches.get_mut(index) else { return };
        if watch.progress == progress {
            return;
        }
        match (&watch.progress, &progress) {
            (Progress::Without(_), Progress::Listed) => tracing::info!("{} can be read now", watch.watched),
            (_, Progress::Without(trouble)) => tell(&watch.watched, trouble),
            _ => {}
        }
        watch.progress = progress;
        self.problems_changed = true;
        self.installation_changed();
    }

    fn trouble(&mut self, index: usize, trouble: Trouble) {
        let Some(watch) = self.watches.get_mut(index) else { return };
        match trouble {
            Trouble::Unreachable(why) => {
                if !std::mem::replace(&mut watch.lost, true) {
                    tracing::warn!("{} cannot be followed, what is known stays: {why}", watch.watched);
                }
            }
            Trouble::Missing => {
                watch.missed = watch.missed.saturating_add(1);
                // An API server that has just begun may not know its own CRDs yet. Who takes away a CRD takes away its
                // objects first, one by one.
                if !watch.objects.is_empty() && watch.missed < BELIEVED {
                    return;
                }
                let Some(watch) = self.watches.get(index) else { return };
                if !watch.objects.is_empty() && !self.is_absent(watch) {
                    // Its objects are there, in versions that are not read.
                    self.progress(index, Progress::Without(Trouble::Missing));
                    return;
                }
                let keys: Vec<ResourceKey> = watch.objects.keys().cloned().collect();
                keys.iter().for_each(|key| self.gone(index, key));
                self.progress(index, Progress::Without(Trouble::Missing));
            }
            // What was read before the right was taken away stays in force.
            forbidden @ Trouble::Forbidden(_) => self.progress(index, Progress::Without(forbidden)),
        }
    }

    fn reachable(&mut self, index: usize) {
        if let Some(watch) = self.watches.get_mut(index) {
            watch.missed = 0;
        }
        if let Some(watch) = self.watches.get_mut(index).filter(|watch| watch.lost) {
            watch.lost = false;
            tracing::info!("{} is followed again", watch.watched);
        }
    }

    fn parameters(&mut self, index: usize, seen: Seen) {
        let changed = match seen {
            Seen::All(objects) => {
                let changed = self.decorations.set_all_parameters(objects);
                self.progress(index, Progress::Listed);
                changed
            }
            Seen::Put(object) => self.decorations.set_parameters(&object),
            Seen::Gone(object) => self.decorations.remove_parameters(&object),
            Seen::Trouble(_) => Vec::new(),
        };
        self.observed.set_parameters(self.decorations.parameters());
        self.give_out(changed);
    }

    fn definitions(&mut self, index: usize, seen: Seen) {
        let named = |object: &Value| {
            let name = object.pointer("/metadata/name").and_then(Value::as_str)?;
            is_gateway_api(name).then(|| name.to_owned())
        };
        match seen {
            Seen::All(objects) => {
                self.decorations.clear_definitions();
                for object in &objects {
                    if let Some(name) = named(object) {
                        self.decorations.define(name, object);
                    }
                }
                self.progress(index, Progress::Listed);
            }
            Seen::Put(object) => {
                let Some(name) = named(&object) else { return };
                self.decorations.define(name, &object);
            }
            Seen::Gone(object) => {
                let Some(name) = named(&object) else { return };
                self.decorations.undefine(&name);
            }
            Seen::Trouble(_) => return,
        }
        self.installation_changed();
    }

    fn part(&mut self, index: usize, part: Part, seen: Seen) {
        let changed = match seen {
            Seen::All(objects) => {
                let changed = self.decorations.set_all_parts(part, &objects);
                self.progress(index, Progress::Listed);
                changed
            }
            Seen::Put(object) => self.decorations.set_part(part, &object),
            Seen::Gone(object) => self.decorations.remove_part(part, &object),
            Seen::Trouble(_) => Vec::new(),
        };
        self.give_out(changed);
    }

    fn installation_changed(&mut self) {
        let mut installation = Installation::default();
        for watch in &self.watches {
            let Progress::Without(trouble) = &watch.progress else { continue };
            installation.is_held |= !self.is_started && self.holds(watch);
            if *trouble == Trouble::Missing {
                installation.absent.extend(watch.watched.resource_kind());
                if watch.watched.is_optional() {
                    continue;
                }
                installation.missing.extend(Some(watch.watched.name()).filter(|name| is_gateway_api(name)));
            }
            installation.unread.push(said(&watch.watched, trouble));
        }
        let changed = self.decorations.set_installation(installation);
        self.give_out(changed);
    }

    /// Objects whose decoration changed.
    fn give_out(&mut self, objects: Vec<Resource>) {
        for object in objects {
            self.observed.put(&object);
            self.pending.insert(object.key(), Some(object));
        }
    }
}

/// What is wrong with a kind as a whole, and the remedy.
fn said(watched: &Watched, trouble: &Trouble) -> String {
    match trouble {
        Trouble::Missing => {
            let versions: Vec<&str> = watched.resources.iter().map(|(version, _)| *version).collect();
            format!("{} is not installed in {}: install its CRD", watched.name(), versions.join(" or "))
        }
        Trouble::Forbidden(why) => {
            format!("{} may not be read: allow get, list and watch for it ({why})", watched.name())
        }
        Trouble::Unreachable(why) => format!("{} cannot be read: {why}", watched.name()),
    }
}

fn tell(watched: &Watched, trouble: &Trouble) {
    if *trouble == Trouble::Missing && watched.is_optional() {
        tracing::info!("{} is not installed; it is not missed", watched.name());
    } else {
        tracing::error!("{}; everything else works", said(watched, trouble));
    }
}

fn trouble(watch: &Watch) -> Option<Problem> {
    let Progress::Without(trouble) = &watch.progress else { return None };
    let class = match trouble {
        Trouble::Missing if watch.watched.is_optional() => ProblemClass::PassedOver,
        _ => ProblemClass::Unreadable,
    };
    Some(Problem {
        file: reading::PLACE.to_owned(),
        line: 0,
        column: 0,
        class,
        key: None,
        object: watch.watched.name(),
        field: String::new(),
        message: said(&watch.watched, trouble),
        remedy: String::new(),
        in_force: InForce::Everything,
    })
}

#[cfg(test)]
mod tests;
