//! A folder of manifests as a source: `*.yaml`, `*.yml` and `*.json`, in folders at any depth, or a single such file.
//!
//! Every change leads to one look over all files; only those that changed are read. A file that is broken keeps the
//! last good state of its objects in force, and so does a folder that cannot be read. To change a file at once and as
//! a whole, write another one beside it and rename it.

mod files;
mod objects;
mod reading;
mod watch;

use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{Problem, Source, SourceEvent};
use files::{Stamp, Unread};
use objects::Objects;
use watch::Watch;

/// When a file was caught in the middle of a change, it is looked at again after this time.
const AGAIN: Duration = Duration::from_millis(100);
/// A file that is younger may change once more without its stamp telling: time stamps go in ticks.
const TICK: Duration = Duration::from_millis(100);
/// Looking without an event takes at most this share of the time.
const SHARE: u32 = 100;

/// A folder of manifests.
pub struct FolderSource {
    look: Option<Look>,
    poll: Duration,
    refresh: Refresh,
    first: Option<SourceEvent>,
}

/// Asks a source to look at once.
#[derive(Clone, Default)]
pub struct Refresh(Arc<Notify>);

/// Why a folder is no source.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is nothing of that name.
    #[error(
        "{}: there is no such file or folder; name a folder with Kubernetes manifests (*.yaml, *.yml, *.json) that \
         hold at least a Gateway", .0.display()
    )]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("{}: cannot be read: {reason}; name a folder with Kubernetes manifests that this user may read", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
}

impl FolderSource {
    /// Reads the folder for the first time. `poll` is how often it is looked over without an event.
    ///
    /// # Errors
    /// A path at which there is nothing, or nothing that can be read. Broken files are problems of the first event.
    pub fn open(path: &Path, poll: Duration) -> Result<Self, FolderError> {
        let readable = |metadata: std::fs::Metadata| match metadata.is_dir() {
            true => std::fs::read_dir(path).map(drop),
            false => std::fs::File::open(path).map(drop),
        };
        match std::fs::metadata(path).and_then(readable) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(FolderError::Missing(path.to_owned()));
            }
            Err(reason) => return Err(FolderError::Unreadable { path: path.to_owned(), reason }),
        }
        let mut look = Look::new(path);
        let mut first = look.look();
        first.problems.get_or_insert_default();
        Ok(Self { look: Some(look), poll, refresh: Refresh::default(), first: Some(first) })
    }

    /// What was found at first.
    pub fn first(&self) -> Option<&SourceEvent> {
        self.first.as_ref()
    }

    /// The same, for somebody who will not ask for more.
    pub fn take_first(&mut self) -> Option<SourceEvent> {
        self.first.take()
    }

    /// What makes it look at once.
    pub fn refresh(&self) -> Refresh {
        self.refresh.clone()
    }
}

impl Refresh {
    /// Looks at once.
    pub fn ask(&self) {
        self.0.notify_one();
    }
}

#[async_trait]
impl Source for FolderSource {
    async fn next(&mut self) -> Option<SourceEvent> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            let look = self.look.as_ref()?;
            let pause = if look.again { AGAIN } else { self.poll.max(look.took * SHARE) };
            let changes = look.watch.changes();
            tokio::select! {
                () = changes.next(pause) => {}
                () = self.refresh.0.notified() => {}
            }
            let mut look = self.look.take()?;
            // Reading may take long, and the thread has other things to do.
            let looked = tokio::task::spawn_blocking(move || {
                let event = look.look();
                (look, event)
            });
            let (look, event) = looked.await.ok()?;
            self.look = Some(look);
            if !event.is_empty() {
                return Some(event);
            }
        }
    }
}

/// The state between two looks.
struct Look {
    root: PathBuf,
    watch: Watch,
    objects: Objects,
    stamps: BTreeMap<PathBuf, Option<Stamp>>,
    /// Files that were empty at the last look and had objects before.
    emptied: HashSet<PathBuf>,
    problems: Vec<Problem>,
    again: bool,
    took: Duration,
}

impl Look {
    fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            watch: Watch::new(root),
            objects: Objects::default(),
            stamps: BTreeMap::new(),
            emptied: HashSet::new(),
            problems: Vec::new(),
            again: false,
            took: Duration::ZERO,
        }
    }

    fn look(&mut self) -> SourceEvent {
        let began = Instant::now();
        self.again = false;
        self.watch.begin();
        self.watch.add_above();
        let listing = files::list(&self.root, &mut |path| self.watch.add(path));
        for (path, stamp) in &listing.files {
            if self.stamps.get(path) != Some(&Some(*stamp)) {
                self.read(path, *stamp);
            }
        }
        let blind = |path: &Path| listing.blind.iter().any(|blind| path.starts_with(blind));
        let known: Vec<PathBuf> = self.objects.paths().map(Path::to_owned).collect();
        for path in known {
            if !listing.files.contains_key(&path) && !blind(&path) {
                self.objects.remove(&path);
                self.stamps.remove(&path);
            }
        }
        let mut event = self.objects.event();
        let mut problems = listing.problems;
        problems.extend(self.objects.problems());
        if problems != self.problems {
            self.problems.clone_from(&problems);
            event.problems = Some(problems);
        }
        self.took = began.elapsed();
        event
    }

    fn read(&mut self, path: &Path, listed: Stamp) {
        let (bytes, stamp) = match files::read(path) {
            Ok(read) => read,
            Err(Unread::Changing) => {
                self.again = true;
                return;
            }
            Err(Unread::Failed(message, remedy)) => {
                self.stamps.insert(path.to_owned(), listed.is_settled(TICK).then_some(listed));
                return self.objects.fail(path, message, remedy);
            }
        };
        // Most programs empty a file before they write it. Whoever wants it empty loses a tenth of a second.
        if bytes.is_empty() && self.objects.holds_any(path) && self.emptied.insert(path.to_owned()) {
            self.again = true;
            return;
        }
        self.emptied.remove(path);
        self.stamps.insert(path.to_owned(), stamp.is_settled(TICK).then_some(stamp));
        self.objects.set(path, reading::read(path, &bytes));
    }
}

#[cfg(test)]
mod tests;
