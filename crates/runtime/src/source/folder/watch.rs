//! Learning that something changed: inotify where there is one, else only the slow look.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, Flag, ModifyKind},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout, timeout_at},
};

/// No event for so long: whoever was writing is done.
const QUIET: Duration = Duration::from_millis(10);
/// So many paths are kept by name; if there are more, everything is looked at.
const NAMED: usize = 1000;
/// Events without end are not waited out for longer than this.
const PATIENCE: Duration = Duration::from_millis(50);

/// The watch over a set of folders.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeMap<PathBuf, Identity>,
    above: Option<PathBuf>,
    ear: Arc<Ear>,
}

/// What tells two folders of one name apart: a watch is on the folder, not on its name.
type Identity = (u64, u64, Option<SystemTime>);

/// What the watcher's thread hands over.
#[derive(Default)]
struct Ear {
    changed: Notify,
    told: Mutex<Told>,
    /// The folder above the root matters by itself: a link leads there.
    all_above: AtomicBool,
}

/// What events told since the last look.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// These changed, in whatever way.
    pub(super) paths: HashSet<PathBuf>,
    /// And more than that did.
    pub(super) more: bool,
    /// Of the paths, those that may no longer be what they were.
    gone: Vec<PathBuf>,
}

impl Watch {
    /// A watch. Where none can be had it is a slow look only, which the log says.
    pub(super) fn new(root: &Path) -> Self {
        let ear = Arc::new(Ear::default());
        let for_thread = ear.clone();
        let root = absolute(root);
        let above = root.parent().map(Path::to_owned);
        let made = notify::recommended_watcher(move |event: notify::Result<Event>| match event {
            Ok(event) if for_thread.matters(&event, &root) => for_thread.take(event),
            Ok(_) => {}
            // An overflow, most likely: everything may have changed.
            Err(_) => for_thread.take(Event::new(EventKind::Any).set_flag(Flag::Rescan)),
        });
        let watcher = match made {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "changes cannot be watched for; the folder is only looked over now and then");
                None
            }
        };
        Self { watcher, watched: BTreeMap::new(), above, ear }
    }

    /// A watch that sees nothing.
    #[cfg(test)]
    pub(super) fn blind() -> Self {
        Self { watcher: None, watched: BTreeMap::new(), above: None, ear: Arc::default() }
    }

    /// Begins a new look: forgets the folders that are gone, and answers what was told.
    pub(super) fn begin(&mut self) -> Told {
        let told = std::mem::take(&mut *self.ear.told.lock().unwrap_or_else(PoisonError::into_inner));
        for path in &told.gone {
            self.forget(path);
        }
        told
    }

    /// Watches a folder, if it is not watched yet.
    pub(super) fn add(&mut self, path: &Path) {
        let path = &*absolute(path);
        if self.above.as_deref() == Some(path) {
            self.ear.all_above.store(true, Ordering::Relaxed);
        }
        self.watch(path);
    }

    /// Watches the folder that the root is in, for what becomes of the root itself.
    pub(super) fn add_above(&mut self) {
        if let Some(above) = self.above.clone() {
            self.watch(&above);
        }
    }

    fn watch(&mut self, path: &Path) {
        let Ok(metadata) = fs::metadata(path) else { return };
        let identity = identity(&metadata);
        if self.watched.get(path) == Some(&identity) {
            return;
        }
        self.forget(path);
        let Some(watcher) = &mut self.watcher else { return };
        match watcher.watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(path.to_owned(), identity);
            }
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "the folder cannot be watched; it is looked over now and then");
            }
        }
    }

    fn forget(&mut self, path: &Path) {
        if self.watched.remove(path).is_some()
            && let Some(watcher) = &mut self.watcher
        {
            // A folder that is gone took its watch along.
            let _ = watcher.unwatch(path);
        }
    }

    /// What to wait for the next change with, without holding the watch.
    pub(super) fn changes(&self) -> Changes {
        Changes(self.ear.clone())
    }
}

/// The end of the watch at which changes arrive.
pub(super) struct Changes(Arc<Ear>);

impl Changes {
    /// Waits until something changed and whoever writes has paused; answers `false` if nothing did until then.
    pub(super) async fn next(&self, until: std::time::Instant) -> bool {
        if timeout_at(until.into(), self.0.changed.notified()).await.is_err() {
            return false;
        }
        let patience = Instant::now() + PATIENCE;
        sleep(QUIET).await;
        while Instant::now() < patience && timeout(QUIET, self.0.changed.notified()).await.is_ok() {}
        true
    }
}

impl Ear {
    /// Whether an event can mean that a manifest changed. Reading them causes events, too.
    fn matters(&self, event: &Event, root: &Path) -> bool {
        let reads =
            matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write));
        // The folder above is watched for what becomes of the root itself; its other files are none of ours.
        let beside = |path: &PathBuf| path.parent() == root.parent() && path != root;
        let all_above = self.all_above.load(Ordering::Relaxed);
        !reads && (all_above || event.paths.is_empty() || !event.paths.iter().all(beside))
    }

    fn take(&self, event: Event) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))) {
            told.gone.extend(event.paths.iter().cloned());
        }
        told.more |= event.need_rescan() || event.paths.is_empty() || told.paths.len() > NAMED;
        if !told.more {
            told.paths.extend(event.paths);
        }
        drop(told);
        self.changed.notify_one();
    }
}

/// The form in which events name things.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino(), metadata.created().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(path: impl Into<PathBuf>) -> Event {
        Event::new(EventKind::Any).add_path(path.into())
    }

    #[test]
    fn when_events_were_lost_everything_is_looked_at() {
        let mut watch = Watch::blind();
        watch.ear.take(event("/a/b.yaml"));
        let told = watch.begin();
        assert!(!told.more && told.paths.len() == 1);
        watch.ear.take(Event::new(EventKind::Any).set_flag(Flag::Rescan));
        watch.ear.take(event("/a/b.yaml"));
        assert!(watch.begin().more);
        (0..2 * NAMED).for_each(|n| watch.ear.take(event(format!("/a/{n}.yaml"))));
        let told = watch.begin();
        assert!(told.more && told.paths.len() <= NAMED + 1);
        assert!(!watch.begin().more);
    }

    #[test]
    fn reading_and_what_lies_beside_the_root_are_no_changes() {
        let ear = Ear::default();
        let root = Path::new("/etc/manifests");
        let kind = |kind: AccessKind| EventKind::Access(kind);
        let read = kind(AccessKind::Open(AccessMode::Any));
        let written = kind(AccessKind::Close(AccessMode::Write));
        let at = |kind: EventKind, path: &str| Event::new(kind).add_path(path.into());
        assert!(!ear.matters(&at(read, "/etc/manifests/a.yaml"), root));
        assert!(ear.matters(&at(written, "/etc/manifests/a.yaml"), root));
        assert!(ear.matters(&at(EventKind::Any, "/etc/manifests"), root));
        assert!(!ear.matters(&at(EventKind::Any, "/etc/passwd"), root));
        ear.all_above.store(true, Ordering::Relaxed);
        assert!(ear.matters(&at(EventKind::Any, "/etc/passwd"), root));
    }
}
