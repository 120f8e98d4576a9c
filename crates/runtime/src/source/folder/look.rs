//! Looking at the folder: at everything, or at the files that events named.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    files::{self, Listing, Stamp, Unread},
    objects::Objects,
    reading,
    watch::{Changes, Told, Watch, absolute},
};
use crate::source::{Problem, SourceEvent};

/// When a file was caught in the middle of a change, it is looked at again after this time.
const AGAIN: Duration = Duration::from_millis(100);
/// A file that is younger may change once more without its stamp telling: time stamps go in ticks.
const TICK: Duration = Duration::from_millis(100);
/// Looking at everything without an event takes at most this share of the time.
const SHARE: u32 = 100;

/// What is known between two looks.
pub(super) struct Look {
    root: PathBuf,
    pub(super) watch: Watch,
    objects: Objects,
    /// The files known; one that is too young to tell has no stamp.
    stamps: HashMap<PathBuf, Option<Stamp>>,
    /// The folders in which every change is told, as events name them.
    folders: HashSet<PathBuf>,
    /// Files that were empty at the last look and had objects before.
    emptied: HashSet<PathBuf>,
    /// What was wrong with the folders when all was looked at.
    of_folders: Vec<Problem>,
    /// All that was wrong when it was last told.
    problems: Vec<Problem>,
    again: bool,
    began: Instant,
    took: Duration,
}

impl Look {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            watch: Watch::new(root),
            objects: Objects::default(),
            stamps: HashMap::new(),
            folders: HashSet::new(),
            emptied: HashSet::new(),
            of_folders: Vec::new(),
            problems: Vec::new(),
            again: false,
            began: Instant::now(),
            took: Duration::ZERO,
        }
    }

    /// When everything has to be looked at, if no event comes first.
    pub(super) fn next(&self, poll: Duration) -> Instant {
        self.began + if self.again { AGAIN } else { poll.max(self.took * SHARE) }
    }

    #[cfg(test)]
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    pub(super) fn changes(&self) -> Changes {
        self.watch.changes()
    }

    /// Looks at everything.
    pub(super) fn look(&mut self) -> SourceEvent {
        self.began = Instant::now();
        self.again = false;
        self.watch.begin();
        self.watch.add_above();
        let mut folders = Vec::new();
        let Listing { files, blind, problems } = files::list(&self.root, &mut |path| {
            self.watch.add(path);
            folders.push(path.to_owned());
        });
        // What is behind a link is told, but under another name.
        self.folders = folders
            .into_iter()
            .filter(|path| path.starts_with(&self.root))
            .map(|path| absolute(&path))
            .collect();
        for (path, stamp) in &files {
            if self.stamps.get(path) != Some(&Some(*stamp)) {
                self.read(path, *stamp);
            }
        }
        let is_blind = |path: &Path| blind.iter().any(|blind| path.starts_with(blind));
        let known: Vec<PathBuf> = self.objects.paths().map(Path::to_owned).collect();
        for path in known {
            if !files.contains_key(&path) && !is_blind(&path) {
                self.remove(&path);
            }
        }
        self.of_folders = problems;
        self.took = self.began.elapsed();
        self.event()
    }

    /// Looks at the files that events named; at everything, if it is not as simple as that.
    pub(super) fn glance(&mut self) -> SourceEvent {
        let Told { paths, more, .. } = self.watch.begin();
        let news: Option<Vec<News>> = paths.iter().map(|path| self.news(path)).collect();
        let Some(news) = news.filter(|_| !more) else { return self.look() };
        for news in news {
            match news {
                News::None => {}
                News::Changed(path, stamp) => self.read(&path, stamp),
                News::Gone(path) => self.remove(&path),
            }
        }
        self.event()
    }

    /// What an event about a path means; `None` if only a look at everything can tell.
    fn news(&self, told: &Path) -> Option<News> {
        // A folder, or something in a folder that is known by another name.
        if self.folders.contains(told) || !self.folders.contains(told.parent()?) {
            return None;
        }
        let path = self.root.join(told.strip_prefix(absolute(&self.root)).ok()?);
        if files::is_hidden(&path) {
            // The link that a mounted ConfigMap is swapped with is hidden, too.
            return fs::symlink_metadata(&path).map_or(true, |found| found.is_file()).then_some(News::None);
        }
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => None,
            Ok(_) if !files::is_manifest(&path) => Some(News::None),
            Ok(_) if files::is_full(self.stamps.len()) => None,
            Ok(found) => {
                let stamp = Stamp::of(&found);
                let same = self.stamps.get(&path) == Some(&Some(stamp));
                Some(if same { News::None } else { News::Changed(path, stamp) })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(News::Gone(path)),
            Err(_) => None,
        }
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

    fn remove(&mut self, path: &Path) {
        self.objects.remove(path);
        self.stamps.remove(path);
    }

    fn event(&mut self) -> SourceEvent {
        let mut event = self.objects.event();
        let problems: Vec<Problem> = self.of_folders.iter().cloned().chain(self.objects.problems()).collect();
        if problems != self.problems {
            self.problems.clone_from(&problems);
            event.problems = Some(problems);
        }
        event
    }
}

/// What an event about a path means.
enum News {
    None,
    Changed(PathBuf, Stamp),
    Gone(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_young_to_tell_is_read_once_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        fs::write(&path, "").unwrap();
        let mut look = Look::new(folder.path());
        look.look();
        assert_eq!(look.stamps.get(&path), Some(&None));
        std::thread::sleep(TICK + Duration::from_millis(20));
        look.look();
        assert!(matches!(look.stamps.get(&path), Some(Some(_))));
    }
}
