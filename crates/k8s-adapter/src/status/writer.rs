//! Writing statuses to the API server.

use std::{sync::Arc, time::Duration};

use k8s_openapi::jiff::Timestamp;
use kube::{Client, api::PostParams};
use lasthop_api_model::ResourceKey;
use lasthop_translator::Status;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, Interval, MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    Queue,
    failing::Failing,
    hearing::Hearing,
    merge::{self, Writing},
};
use crate::{
    infrastructure::Observed,
    leader::Leadership,
    source::{api, resource},
};

/// So many objects at once.
const AT_ONCE: usize = 8;
/// The shortest time between the beginnings of two writes: 500 a second at most.
const PACE: Duration = Duration::from_millis(2);
/// For one write with its read.
const REQUEST: Duration = Duration::from_secs(10);
/// So often a conflict is tried again at once; then it waits like every failure.
const CONFLICTS: usize = 5;
/// After a failure; see [`Failing`].
const AGAIN: Duration = Duration::from_secs(1);
/// After a failure that only somebody else can mend.
const LATER: Duration = Duration::from_secs(30);

/// Writes what is in a queue while this replica leads.
pub struct Writer {
    client: Client,
    controller: Arc<str>,
    queue: Arc<Queue>,
    observed: Arc<Observed>,
    leadership: Leadership,
    hearing: Hearing,
    failing: Arc<Failing>,
}

/// What came of a write.
enum Outcome {
    /// It is there, or there is nothing to write.
    Done,
    /// It is to be tried again after this time.
    Again(Duration, String),
}

impl Writer {
    /// Writes what is in this queue, as this controller. `hearing` tells since when proxies can be heard.
    pub fn new(
        client: Client,
        controller: &str,
        queue: Arc<Queue>,
        observed: Arc<Observed>,
        leadership: Leadership,
        hearing: Hearing,
    ) -> Self {
        let controller = controller.into();
        Self { client, controller, queue, observed, leadership, hearing, failing: Arc::default() }
    }

    /// Works until the task ends.
    pub async fn run(mut self) {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.leadership.gained().await;
            self.failing.forget_all();
            self.queue.put_all();
            let mut lost = self.leadership.clone();
            // What is being written ends with the leadership: whoever leads then writes it anew.
            let mut work = JoinSet::new();
            tokio::select! {
                () = lost.lost() => {}
                () = self.write(&mut pace, &mut work) => {}
                () = self.write_anew_once_settled() => {}
            }
            work.shutdown().await;
        }
    }

    /// What others heard of proxies is left for a while, and then no longer.
    async fn write_anew_once_settled(&self) {
        self.hearing.settled().await;
        self.queue.put_all();
        std::future::pending().await
    }

    async fn write(&self, pace: &mut Interval, work: &mut JoinSet<()>) {
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let (key, status) = self.queue.next().await;
            // At once: from here on this may end at any time, with the leadership.
            let busy = Busy { queue: self.queue.clone(), key };
            pace.tick().await;
            while work.try_join_next().is_some() {}
            let (client, controller) = (self.client.clone(), self.controller.clone());
            let (queue, observed) = (self.queue.clone(), self.observed.clone());
            let (failing, hearing) = (self.failing.clone(), self.hearing.clone());
            work.spawn(async move {
                let key = busy.key.clone();
                let writing =
                    Writing { controller: &controller, now: Timestamp::now(), is_new: !hearing.is_settled() };
                let outcome = match timeout(REQUEST, write(&client, &observed, &writing, &key, &status)).await
                {
                    Ok(outcome) => outcome,
                    Err(_) => Outcome::Again(AGAIN, "the API server did not answer in time".to_owned()),
                };
                drop(busy);
                drop(slot);
                match outcome {
                    Outcome::Done => failing.mended(&key),
                    Outcome::Again(after, why) => {
                        if let Some(after) = failing.failed(&key, after, &why) {
                            sleep(after).await;
                            failing.waited(&key);
                            queue.again(key);
                        }
                    }
                }
            });
        }
    }
}

/// An object whose status is being written, or about to be.
struct Busy {
    queue: Arc<Queue>,
    key: ResourceKey,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.queue.done(&self.key);
    }
}

/// Reads the object, puts our words between those of others, and writes it under the version that was read.
async fn write(
    client: &Client,
    observed: &Observed,
    writing: &Writing<'_>,
    key: &ResourceKey,
    status: &Status,
) -> Outcome {
    let began = Instant::now();
    let api = api(client, &resource(key.kind, observed.version(key.kind)), &key.namespace);
    for _ in 0..CONFLICTS {
        let mut object = match api.get_opt(&key.name).await {
            Ok(Some(object)) => object,
            Ok(None) => return Outcome::Done,
            Err(error) => return failed(&error),
        };
        let old = object.data.get("status");
        let Some(merged) = merge::merge(old, status, writing) else { return Outcome::Done };
        let Some(data) = object.data.as_object_mut() else { return Outcome::Done };
        data.insert("status".to_owned(), merged);
        match api.replace_status(&key.name, &PostParams::default(), &object).await {
            Ok(_) => {
                tracing::debug!(object = %key, ms = began.elapsed().as_millis(), "the status is written");
                return Outcome::Done;
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return failed(&error),
        }
    }
    Outcome::Again(AGAIN, "others write to the object all the time".to_owned())
}

fn failed(error: &kube::Error) -> Outcome {
    match error {
        kube::Error::Api(status) if status.code == 404 => Outcome::Done,
        kube::Error::Api(status) if status.code == 403 => Outcome::Again(
            LATER,
            format!("{}; allow get of the kind and update of its status", status.message),
        ),
        kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429 => {
            Outcome::Again(LATER, status.message.clone())
        }
        other => Outcome::Again(AGAIN, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use lasthop_api_model::{ResourceKind, RouteStatus};

    use super::*;
    use crate::played;

    const ROUND: Duration = Duration::from_secs(60);

    fn writer() -> Writer {
        let client = played::client(|_| pending());
        let (queue, observed) = (Queue::new(), Observed::new());
        Writer::new(client, "example.com/us", queue, observed, Leadership::always(), Hearing::default())
    }

    /// Writes for a moment, until what is begun waits for something.
    async fn write_and_stop(writer: &Writer, pace: &mut Interval) {
        let key = ResourceKey::new(ResourceKind::HttpRoute, "shop", "a");
        writer.queue.put(key, Status::Route(RouteStatus::default()));
        let mut work = JoinSet::new();
        tokio::select! {
            biased;
            () = writer.write(pace, &mut work) => {}
            () = std::future::ready(()) => {}
        }
        assert!(writer.queue.is_empty(), "it was taken");
        work.shutdown().await;
    }

    async fn is_written_later(writer: &Writer) {
        writer.queue.put_all();
        let next = timeout(Duration::from_secs(5), writer.queue.next()).await;
        assert!(next.is_ok(), "nobody writes it any more");
    }

    #[tokio::test]
    async fn what_waits_for_its_turn_when_leadership_is_lost_is_written_later() {
        let writer = writer();
        let mut pace = interval(ROUND);
        pace.tick().await;
        write_and_stop(&writer, &mut pace).await;
        is_written_later(&writer).await;
    }

    #[tokio::test]
    async fn what_is_not_yet_begun_when_leadership_is_lost_is_written_later() {
        let writer = writer();
        // The first turn comes at once.
        write_and_stop(&writer, &mut interval(ROUND)).await;
        is_written_later(&writer).await;
    }
}
