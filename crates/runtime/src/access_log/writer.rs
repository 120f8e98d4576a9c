//! The thread that writes the lines out.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use prometheus::IntCounter;

use super::lane::Lane;
use crate::settings::AccessLogOutput;

/// How long lines are gathered after the first one, so that many make one write.
const GATHER: Duration = Duration::from_millis(5);
/// A buffer that grew beyond this in a burst is given back.
const KEEP: usize = 256 * 1024;
/// A failing output is complained about this often.
const COMPLAIN: Duration = Duration::from_secs(60);

/// Where lines end up.
pub(super) enum Sink {
    Stdout,
    Stderr,
    File(PathBuf, File),
    #[cfg(test)]
    Test(Box<dyn Write + Send>),
}

impl Sink {
    pub(super) fn open(output: &AccessLogOutput) -> io::Result<Option<Self>> {
        Ok(Some(match output {
            AccessLogOutput::Off => return Ok(None),
            AccessLogOutput::Stdout => Self::Stdout,
            AccessLogOutput::Stderr => Self::Stderr,
            AccessLogOutput::File(path) => Self::File(path.clone(), append(path)?),
        }))
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Self::File(path, file) = self {
            *file = append(path)?;
        }
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(lines)?;
                out.flush()
            }
            Self::Stderr => io::stderr().lock().write_all(lines),
            Self::File(_, file) => file.write_all(lines),
            #[cfg(test)]
            Self::Test(out) => out.write_all(lines),
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// What the workers and the writer share.
pub(super) struct Shared {
    lanes: Mutex<Vec<Arc<Lane>>>,
    reopen: AtomicBool,
    ending: AtomicBool,
    dropped: IntCounter,
}

impl Shared {
    pub(super) fn new(dropped: IntCounter) -> Self {
        Self {
            lanes: Mutex::default(),
            reopen: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            dropped,
        }
    }

    pub(super) fn add_lane(&self) -> Arc<Lane> {
        let lane = Arc::new(Lane::new());
        self.lanes().push(lane.clone());
        lane
    }

    pub(super) fn ask_to_reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self, lines: u64) {
        self.dropped.inc_by(lines);
    }

    fn lanes(&self) -> MutexGuard<'_, Vec<Arc<Lane>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread.
pub(super) struct Writer {
    thread: Thread,
    shared: Arc<Shared>,
    ended: Mutex<mpsc::Receiver<()>>,
}

impl Writer {
    pub(super) fn start(sink: Sink, shared: Arc<Shared>) -> io::Result<Self> {
        // The sender is dropped when the thread ends, however it ends.
        let (alive, ended) = mpsc::channel();
        let state = State { sink, shared: shared.clone(), spare: Vec::new(), complained: None };
        let handle = thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            let _alive = alive;
            state.run();
        })?;
        Ok(Self { thread: handle.thread().clone(), shared, ended: Mutex::new(ended) })
    }

    pub(super) fn wake(&self) {
        self.thread.unpark();
    }

    pub(super) fn close(&self, limit: Duration) {
        self.shared.ending.store(true, Ordering::Release);
        self.wake();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(limit);
    }
}

struct State {
    sink: Sink,
    shared: Arc<Shared>,
    spare: Vec<u8>,
    complained: Option<Instant>,
}

impl State {
    fn run(mut self) {
        loop {
            let ending = self.shared.ending.load(Ordering::Acquire);
            if !ending {
                // A wake-up between two rounds is kept, so none is missed.
                thread::park();
                thread::sleep(GATHER);
            }
            if self.shared.reopen.swap(false, Ordering::Relaxed)
                && let Err(error) = self.sink.reopen()
            {
                tracing::error!(%error, "the access log cannot be opened anew; the old file is kept");
            }
            self.round();
            if ending {
                self.shared.lanes().iter().for_each(|lane| lane.close());
                return;
            }
        }
    }

    fn round(&mut self) {
        let lanes: Vec<Arc<Lane>> = self.shared.lanes().clone();
        for lane in &lanes {
            let count = lane.swap(&mut self.spare);
            if self.spare.is_empty() {
                continue;
            }
            if let Err(error) = self.sink.write(&self.spare) {
                self.shared.dropped(count);
                self.complain(&error);
            }
            self.spare.clear();
            self.spare.shrink_to(KEEP);
        }
        drop(lanes);
        // A lane that only this list knows belonged to a thread that has ended; it was written out just now.
        self.shared.lanes().retain(|lane| Arc::strong_count(lane) > 1 || !lane.is_empty());
    }

    fn complain(&mut self, error: &io::Error) {
        if self.complained.is_none_or(|last| last.elapsed() > COMPLAIN) {
            self.complained = Some(Instant::now());
            tracing::warn!(%error, "the access log cannot be written; its lines are dropped and counted");
        }
    }
}
