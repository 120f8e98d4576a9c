//! A folder of manifests as a source: `*.yaml`, `*.yml` and `*.json`, in folders at any depth, or a single such file.
//!
//! The files that events name are read at once; now and then all are looked over, and those that changed are read. A
//! file that is broken keeps the last good state of its objects in force, and so does a folder that cannot be read. To
//! change a file at once and as a whole, write another one beside it and rename it.

mod files;
mod look;
mod objects;
mod reading;
mod watch;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{Source, SourceEvent};
use look::Look;

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
            let next = look.next(self.poll);
            let changes = look.changes();
            let told = tokio::select! {
                told = changes.next(next) => told,
                () = self.refresh.0.notified() => false,
            };
            let mut look = self.look.take()?;
            // Reading may take long, and the thread has other things to do.
            let looked = tokio::task::spawn_blocking(move || {
                let event = if told && Instant::now() < next { look.glance() } else { look.look() };
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

#[cfg(test)]
mod tests;
