//! A steady load, and what became of every request.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::client::{Connection, Lost, Target};

/// Clients; half of them keep a connection for many requests, half of them open one for each.
const CLIENTS: u32 = 10;
/// Requests on a kept connection.
const KEPT: u32 = 50;
/// Failures that are told one by one.
const TOLD: usize = 5;

/// What became of the requests since the last look.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    /// Sent once more, because a kept connection ended before a byte of the answer.
    pub(crate) again: u64,
    pub(crate) slowest: Duration,
    /// The first failures.
    pub(crate) why: Vec<String>,
    backends: BTreeMap<String, u64>,
}

/// The load; ends with the value.
pub(crate) struct Load {
    seen: Arc<Mutex<Seen>>,
    _clients: JoinSet<()>,
}

impl Load {
    /// So many requests a second to this path.
    pub(crate) fn start(target: &Target, path: &str, rate: u32) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut clients = JoinSet::new();
        let pause = Duration::from_secs(1) * CLIENTS / rate.max(1);
        for number in 0..CLIENTS {
            let client = Client {
                target: target.clone(),
                path: path.to_owned(),
                requests: if number % 2 == 0 { KEPT } else { 1 },
                seen: Arc::clone(&seen),
            };
            clients.spawn(client.run(pause, pause * number / CLIENTS));
        }
        Self { seen, _clients: clients }
    }

    /// What was seen since the last time.
    pub(crate) fn take(&self) -> Seen {
        std::mem::take(&mut *lock(&self.seen))
    }

    /// How many answers each backend gave since the last look at them.
    pub(crate) fn backends(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut lock(&self.seen).backends)
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Client {
    target: Target,
    path: String,
    requests: u32,
    seen: Arc<Mutex<Seen>>,
}

impl Client {
    async fn run(self, pause: Duration, offset: Duration) {
        tokio::time::sleep(offset).await;
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut connection = None;
        loop {
            ticks.tick().await;
            let begun = Instant::now();
            let outcome = self.request(&mut connection).await;
            let mut seen = lock(&self.seen);
            seen.slowest = seen.slowest.max(begun.elapsed());
            match outcome {
                Ok(backend) => {
                    seen.answered += 1;
                    *seen.backends.entry(backend).or_default() += 1;
                }
                Err(why) => {
                    seen.failed += 1;
                    if seen.why.len() < TOLD {
                        seen.why.push(why);
                    }
                }
            }
        }
    }

    async fn request(&self, kept: &mut Option<Connection>) -> Result<String, String> {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => self.open().await?,
        };
        let answer = match connection.get(&self.path).await {
            Err(Lost::Closed) => {
                lock(&self.seen).again += 1;
                connection = self.open().await?;
                connection.get(&self.path).await
            }
            other => other,
        };
        let answer = answer.map_err(|lost| match lost {
            Lost::Closed => "the connection ended".to_owned(),
            Lost::Failed(fault) => fault.to_string(),
        })?;
        if connection.keep && connection.answered() < self.requests {
            *kept = Some(connection);
        }
        if answer.status == 200 {
            Ok(answer.body)
        } else {
            Err(format!("{}: {}", answer.status, answer.body))
        }
    }

    async fn open(&self) -> Result<Connection, String> {
        Connection::open(&self.target).await.map_err(|fault| format!("no connection: {fault}"))
    }
}
