//! Which object of which file is in force.
//!
//! Each file keeps the last good version of its objects. An object that stands in several files is taken from the
//! first one by name, and the others are problems.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use lasthop_api_model::{Resource, ResourceKey};

use crate::source::{InForce, Problem, ProblemClass, SourceEvent};

/// What a file said.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The good objects, with the line each begins at.
    pub(super) found: Vec<(Resource, usize)>,
    /// Refused policies, reduced to their targets: they hold where no good version does.
    pub(super) claims: Vec<(Resource, usize)>,
    /// What was wrong.
    pub(super) problems: Vec<Problem>,
    /// Whether something could not be read so far that its object is known. What is missing then may just be that.
    pub(super) lost: bool,
}

/// All objects, by file.
#[derive(Default)]
pub(super) struct Objects {
    files: HashMap<Arc<Path>, Contents>,
    /// The files that hold an object; the first one's is in force.
    holders: HashMap<ResourceKey, BTreeSet<Arc<Path>>>,
    in_force: HashMap<ResourceKey, Resource>,
    /// Keys whose holders or content may have changed since the last [`Objects::event`].
    touched: BTreeSet<ResourceKey>,
    /// Keys with more than one holder.
    shared: HashSet<ResourceKey>,
    /// Files with problems.
    troubled: HashSet<Arc<Path>>,
}

#[derive(Default)]
struct Contents {
    objects: BTreeMap<ResourceKey, (Resource, usize)>,
    problems: Vec<Problem>,
}

impl Objects {
    /// Takes over what a file says now.
    pub(super) fn set(&mut self, path: &Path, reading: Reading) {
        let before = self.files.get(path).map(|contents| &contents.objects);
        let contents = Contents::new(path, reading, before);
        let gone =
            before.into_iter().flat_map(BTreeMap::keys).filter(|key| !contents.objects.contains_key(key));
        let path: Arc<Path> = path.into();
        for key in gone {
            self.touched.insert(key.clone());
            if let Some(holders) = self.holders.get_mut(key) {
                holders.remove(&path);
                if holders.len() < 2 {
                    self.shared.remove(key);
                }
            }
        }
        for key in contents.objects.keys() {
            self.touched.insert(key.clone());
            let holders = self.holders.entry(key.clone()).or_default();
            holders.insert(path.clone());
            if holders.len() > 1 {
                self.shared.insert(key.clone());
            }
        }
        match contents.problems.is_empty() {
            true => self.troubled.remove(&path),
            false => self.troubled.insert(path.clone()),
        };
        self.files.insert(path, contents);
    }

    /// Notes that a file cannot be read: its objects stay.
    pub(super) fn fail(&mut self, path: &Path, message: String, remedy: &str) {
        let problem = Problem::of_file(path, ProblemClass::Unreadable, message, remedy);
        self.set(path, Reading { problems: vec![problem], lost: true, ..Reading::default() });
    }

    /// Takes a file out with its objects.
    pub(super) fn remove(&mut self, path: &Path) {
        self.set(path, Reading::default());
        self.files.remove(path);
    }

    /// Whether a file holds objects.
    pub(super) fn holds_any(&self, path: &Path) -> bool {
        self.files.get(path).is_some_and(|contents| !contents.objects.is_empty())
    }

    /// The files known.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(AsRef::as_ref)
    }

    /// Everything that is wrong with the files, by file and line.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self
            .troubled
            .iter()
            .filter_map(|path| self.files.get(path))
            .flat_map(|contents| contents.problems.iter().cloned())
            .collect();
        for key in &self.shared {
            let mut holders = self.holders.get(key).into_iter().flatten();
            let Some((first, line)) = holders.next().and_then(|path| self.place(path, key)) else { continue };
            for (path, other) in holders.filter_map(|path| self.place(path, key)) {
                problems.push(duplicate(key, path, other, first, line));
            }
        }
        problems.sort();
        problems
    }

    /// What changed since the last call.
    pub(super) fn event(&mut self) -> SourceEvent {
        let mut event = SourceEvent::default();
        for key in std::mem::take(&mut self.touched) {
            let holder = self.holders.get(&key).and_then(BTreeSet::first);
            let now = holder.and_then(|path| Some(&self.files.get(path)?.objects.get(&key)?.0));
            match (now, self.in_force.get(&key)) {
                (Some(now), before) if before != Some(now) => {
                    event.applied.push(now.clone());
                    self.in_force.insert(key, now.clone());
                }
                (Some(_), _) => {}
                (None, before) => {
                    if before.is_some() {
                        event.removed.push(key.clone());
                    }
                    self.in_force.remove(&key);
                    self.holders.remove(&key);
                }
            }
        }
        event
    }

    fn place<'a>(&self, path: &'a Path, key: &ResourceKey) -> Option<(&'a Path, usize)> {
        let (_, line) = self.files.get(path)?.objects.get(key)?;
        Some((path, *line))
    }
}

impl Contents {
    /// What a file holds after a reading, given what it held before it.
    fn new(path: &Path, reading: Reading, before: Option<&BTreeMap<ResourceKey, (Resource, usize)>>) -> Self {
        let Reading { found, claims, mut problems, lost } = reading;
        let mut objects: BTreeMap<ResourceKey, (Resource, usize)> = BTreeMap::new();
        for (object, line) in found {
            let key = object.key();
            match objects.get(&key) {
                Some((_, first)) => problems.push(duplicate(&key, path, line, path, *first)),
                None => {
                    objects.insert(key, (object, line));
                }
            }
        }
        let broken: HashSet<ResourceKey> =
            problems.iter().filter_map(|problem| problem.key.clone()).collect();
        for (key, (object, line)) in before.into_iter().flatten() {
            if !objects.contains_key(key) && (lost || broken.contains(key)) {
                objects.insert(key.clone(), (object.clone(), *line));
            }
        }
        for (claim, line) in claims {
            let place = objects.entry(claim.key()).or_insert_with(|| (claim.clone(), line));
            if is_claim(&place.0) {
                *place = (claim, line);
            }
        }
        for problem in &mut problems {
            if matches!(problem.class, ProblemClass::PassedOver | ProblemClass::Duplicate) {
                continue;
            }
            problem.in_force = match &problem.key {
                Some(key) if objects.get(key).is_some_and(|(object, _)| !is_claim(object)) => {
                    InForce::LastGood
                }
                None if before.is_some_and(|before| !before.is_empty()) => InForce::LastGood,
                _ => InForce::Nothing,
            };
        }
        Self { objects, problems }
    }
}

/// Whether only the targets are left of a policy.
fn is_claim(object: &Resource) -> bool {
    matches!(object, Resource::BackendTlsPolicy(policy) if policy.spec.refused.is_some())
}

fn duplicate(key: &ResourceKey, path: &Path, line: usize, first: &Path, first_line: usize) -> Problem {
    Problem {
        line,
        key: Some(key.clone()),
        object: key.to_string(),
        ..Problem::of_file(
            path,
            ProblemClass::Duplicate,
            format!("is in {}:{first_line} already, and that one is in force", first.display()),
            "remove one of the two",
        )
    }
}
