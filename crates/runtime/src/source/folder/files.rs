//! Which files a folder holds.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::source::{Problem, ProblemClass};

/// How deep folders may lie in one another.
const DEPTH: usize = 32;
/// How many files there may be.
const FILES: usize = 100_000;
/// How large a file may be, in bytes.
const SIZE: u64 = lasthop_api_model::read::MAX_FILE_BYTES as u64;

/// What tells two contents of a file apart without reading them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The manifests.
    pub(super) files: HashMap<PathBuf, Stamp>,
    /// Folders that could not be looked into; what was known of them stays.
    pub(super) blind: Vec<PathBuf>,
    /// What went wrong.
    pub(super) problems: Vec<Problem>,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the last change is so long ago that another one would have another time.
    pub(super) fn is_settled(&self, tick: Duration) -> bool {
        let changed = Duration::from_secs(self.changed.0.try_into().unwrap_or_default())
            + Duration::from_nanos(self.changed.1.try_into().unwrap_or_default());
        // A clock that was set back says nothing; the file is read again, then.
        SystemTime::now().duration_since(UNIX_EPOCH + changed).is_ok_and(|age| age > tick)
    }
}

/// Lists the manifests under `root`, or `root` itself if it is a file. `watch` is told every folder that matters,
/// before it is looked into, so that no change falls between the two.
pub(super) fn list(root: &Path, watch: &mut dyn FnMut(&Path)) -> Listing {
    let mut walk = Walk { listing: Listing::default(), seen: HashMap::new(), watch, full: false };
    match fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => walk.folder(root, &metadata, 0),
        Ok(metadata) => walk.file(root, &metadata, true),
        Err(error) => walk.blind(root, &error),
    }
    walk.listing
}

struct Walk<'w> {
    listing: Listing,
    /// Folders by device and inode; one that is reached twice, by way of symbolic links, is read once.
    seen: HashMap<(u64, u64), PathBuf>,
    watch: &'w mut dyn FnMut(&Path),
    full: bool,
}

impl Walk<'_> {
    fn folder(&mut self, path: &Path, metadata: &Metadata, depth: usize) {
        if let Some(first) = self.seen.insert((metadata.dev(), metadata.ino()), path.to_owned()) {
            let message = format!("the folder is the same as {} and is read there", first.display());
            return self.problem(path, message, "remove one of the links");
        }
        if depth > DEPTH {
            let message =
                format!("folders may lie at most {DEPTH} deep in one another; this one is not read");
            return self.problem(path, message, "move it up");
        }
        (self.watch)(path);
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.blind(path, &error),
        };
        let mut names: Vec<(PathBuf, bool)> = Vec::new();
        for entry in entries {
            match entry {
                // Where the kind of an entry is not known, a link is the safe guess.
                Ok(entry) => {
                    names.push((entry.path(), entry.file_type().map_or(true, |kind| kind.is_symlink())))
                }
                Err(error) => self.blind(path, &error),
            }
        }
        // In order, so that of two links to one folder always the same one is followed.
        names.sort();
        names.iter().for_each(|(path, is_link)| self.entry(path, *is_link, depth));
    }

    fn entry(&mut self, path: &Path, is_link: bool, depth: usize) {
        if is_hidden(path) {
            return;
        }
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            // Gone since the folder was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {
                return;
            }
            Err(error) if is_manifest(path) => {
                let message = format!("cannot be read: {error}");
                return self.problem(path, message, "put a file there, or remove it");
            }
            Err(_) => return,
        };
        if metadata.is_dir() {
            self.folder(path, &metadata, depth + 1);
        } else if is_manifest(path) {
            self.file(path, &metadata, is_link);
        }
    }

    fn file(&mut self, path: &Path, metadata: &Metadata, is_link: bool) {
        if !metadata.is_file() {
            let message = "is neither a file nor a folder".to_owned();
            return self.problem(path, message, "put a file there, or remove it");
        }
        if is_full(self.listing.files.len()) {
            if !self.full {
                self.full = true;
                let message =
                    format!("there are more than {FILES} files; this one and later ones are not read");
                self.problem(path, message, "put several objects into one file");
            }
            return;
        }
        // Behind a symbolic link, the content changes elsewhere.
        if is_link
            && let Ok(target) = fs::canonicalize(path)
            && let Some(folder) = target.parent()
        {
            (self.watch)(folder);
        }
        self.listing.files.insert(path.to_owned(), Stamp::of(metadata));
    }

    fn blind(&mut self, path: &Path, error: &io::Error) {
        self.listing.blind.push(path.to_owned());
        let message = format!("cannot be read: {error}; what was read there before stays in force");
        self.problem(path, message, "put it back, or let this user read it");
    }

    fn problem(&mut self, path: &Path, message: String, remedy: &str) {
        self.listing.problems.push(Problem::of_file(path, ProblemClass::Unreadable, message, remedy));
    }
}

/// Whether this is as many files as there may be.
pub(super) fn is_full(files: usize) -> bool {
    files >= FILES
}

/// Whether a name is passed over. A mounted ConfigMap holds its files in `..<time>` behind the link `..data`, and a
/// link to each beside them; editors keep their own files under names with a dot, too.
pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Whether a name is a manifest's.
pub(super) fn is_manifest(path: &Path) -> bool {
    path.extension()
        .and_then(OsStr::to_str)
        .is_some_and(|extension| matches!(extension, "yaml" | "yml" | "json"))
}

/// Why a file's content cannot be had.
#[derive(Debug)]
pub(super) enum Unread {
    /// It changed while it was read; later, then.
    Changing,
    /// It cannot be read: why, and the remedy.
    Failed(String, &'static str),
}

/// A file's content, with the stamp that belongs to it.
pub(super) fn read(path: &Path) -> Result<(Vec<u8>, Stamp), Unread> {
    let failed = |error: io::Error| {
        Unread::Failed(format!("cannot be read: {error}"), "let this user read it, or remove it")
    };
    let mut file = File::open(path).map_err(failed)?;
    let before = file.metadata().map_err(failed)?;
    if before.len() > SIZE {
        let (size, most) = (before.len() >> 20, SIZE >> 20);
        let message = format!("has {size} MiB, more than the {most} MiB a file may have");
        return Err(Unread::Failed(message, "split it into several files"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(before.len()).unwrap_or_default());
    (&mut file).take(SIZE + 1).read_to_end(&mut bytes).map_err(failed)?;
    let stamp = Stamp::of(&file.metadata().map_err(failed)?);
    if stamp == Stamp::of(&before) { Ok((bytes, stamp)) } else { Err(Unread::Changing) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(root: &Path) -> Vec<String> {
        let listing = list(root, &mut |_| {});
        assert!(listing.blind.is_empty(), "{listing:?}");
        let mut names: Vec<String> =
            listing.files.keys().map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn manifests_of_all_folders_are_listed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("b/c")).unwrap();
        for name in ["a.yaml", "b/x.yml", "b/c/y.json", "b/readme.md", ".hidden.yaml", "z.yaml~", "yaml"] {
            fs::write(root.join(name), "").unwrap();
        }
        assert_eq!(names(root), ["a.yaml", "b/c/y.json", "b/x.yml"]);
    }

    #[test]
    fn a_mounted_config_map_has_each_file_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("..2026")).unwrap();
        fs::write(root.join("..2026/a.yaml"), "").unwrap();
        symlink("..2026", root.join("..data")).unwrap();
        symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
        let mut watched = Vec::new();
        let listing = list(root, &mut |path| watched.push(path.to_owned()));
        assert_eq!(listing.files.len(), 1);
        assert!(listing.problems.is_empty());
        assert!(watched.contains(&root.to_owned()));
    }

    #[test]
    fn loops_dangling_links_and_odd_files_are_named_and_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("sub")).unwrap();
        symlink("..", root.join("sub/up")).unwrap();
        symlink("nowhere.yaml", root.join("dangling.yaml")).unwrap();
        symlink("self.yaml", root.join("self.yaml")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket.yaml")).unwrap();
        fs::write(root.join("sub/good.yaml"), "").unwrap();
        let listing = list(root, &mut |_| {});
        assert_eq!(listing.files.len(), 1);
        let problems: Vec<String> = listing.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 4, "{problems:#?}");
        assert!(problems.iter().any(|p| p.contains("sub/up: the folder is the same as ")), "{problems:#?}");
        assert!(problems.iter().any(|p| p.contains("socket.yaml: is neither a file")), "{problems:#?}");
    }

    #[test]
    fn a_huge_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        File::create(&path).unwrap().set_len(SIZE + 1).unwrap();
        assert!(matches!(read(&path), Err(Unread::Failed(why, _)) if why.contains("more than the 64 MiB")));
        assert!(matches!(read(&folder.path().join("b.yaml")), Err(Unread::Failed(..))));
    }
}
