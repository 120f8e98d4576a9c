//! Which replica writes: the one that holds a Lease.
//!
//! The holder renews it every [`RENEW`]. Whoever has not seen it renewed for [`VALID`], by its own clock, takes it; a holder
//! that could not renew it for [`GIVE_UP`], which is less, stops writing. Clocks of different machines are not compared.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use lasthop_api_model::ObjectMeta;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout, timeout_at},
};

/// For how long nobody else takes the Lease.
const VALID: Duration = Duration::from_secs(15);
/// For how long a holder goes on without having renewed it.
const GIVE_UP: Duration = Duration::from_secs(10);
/// How often it is renewed, and looked at.
const RENEW: Duration = Duration::from_secs(2);
/// For one request.
const REQUEST: Duration = Duration::from_secs(4);

/// Whether this replica writes. Clones see the same.
#[derive(Clone, Debug)]
pub struct Leadership(watch::Receiver<bool>);

impl Leadership {
    /// Of a replica that always writes, because there is no other.
    pub fn always() -> Self {
        let (sender, receiver) = watch::channel(true);
        // The value stays as it is.
        drop(sender);
        Self(receiver)
    }

    /// Whether it does.
    pub fn holds(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it does.
    pub async fn gained(&mut self) {
        self.until(true).await;
    }

    /// Waits until it does not.
    pub async fn lost(&mut self) {
        self.until(false).await;
    }

    async fn until(&mut self, holds: bool) {
        if self.0.wait_for(|now| *now == holds).await.is_err() {
            // Nothing will ever change any more.
            std::future::pending().await
        }
    }
}

/// A Lease to be held.
pub struct Election {
    api: Api<Lease>,
    name: String,
    identity: String,
    held: watch::Sender<bool>,
    /// What was seen of the Lease last, and when it was seen first.
    seen: Option<(Seen, Instant)>,
    renewed: Instant,
    /// Whether the last look failed.
    failing: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Seen {
    holder: String,
    renewed: Option<MicroTime>,
    transitions: i32,
}

impl Election {
    /// Takes part in the election of this Lease. `identity` is this replica's alone: its pod's name.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> (Self, Leadership) {
        let (held, leadership) = watch::channel(false);
        let election = Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            held,
            seen: None,
            renewed: Instant::now(),
            failing: false,
        };
        (election, Leadership(leadership))
    }

    /// Takes part until `stop` is done, and lets go of the Lease then, so that another replica takes over at once.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            match timeout_at(self.within(REQUEST), self.turn()).await {
                Ok(Ok(held)) => {
                    self.failing = false;
                    self.say(held);
                }
                Ok(Err(kube::Error::Api(status))) => self.failed(&status.message),
                Ok(Err(error)) => self.failed(&error.to_string()),
                Err(_) => self.failed("the API server did not answer in time"),
            }
            let pause = RENEW.mul_f64(0.9 + fastrand::f64() / 5.0);
            tokio::select! {
                () = &mut stop => break,
                () = sleep_until(self.within(pause)) => {}
            }
        }
        if *self.held.borrow() {
            self.held.send_replace(false);
            let _ = timeout(REQUEST, self.release()).await;
        }
    }

    /// When this time is over; for a holder, no later than when it has to stop.
    fn within(&self, time: Duration) -> Instant {
        let end = Instant::now() + time;
        if *self.held.borrow() { end.min(self.renewed + GIVE_UP) } else { end }
    }

    fn say(&self, held: bool) {
        if self.held.send_replace(held) != held {
            match held {
                true => {
                    tracing::info!(lease = %self.name, "this replica leads: it writes statuses and places proxies")
                }
                false => tracing::warn!(lease = %self.name, "this replica leads no longer"),
            }
        }
    }

    fn failed(&mut self, why: &str) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(lease = %self.name, "the Lease cannot be read or written, it is tried again: {why}");
        }
        if *self.held.borrow() && self.renewed.elapsed() >= GIVE_UP {
            tracing::warn!(lease = %self.name, "the Lease could not be renewed: {why}");
            self.say(false);
        }
    }

    /// Looks at the Lease, and takes or renews it. Whether it is held then.
    async fn turn(&mut self) -> Result<bool, kube::Error> {
        let began = Instant::now();
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease { metadata: self.metadata(), spec: Some(self.spec(0)) };
            return match self.api.create(&PostParams::default(), &lease).await {
                Ok(_) => {
                    self.renewed = began;
                    Ok(true)
                }
                Err(error) => lost_race(error),
            };
        };
        let spec = lease.spec.unwrap_or_default();
        let seen = Seen {
            holder: spec.holder_identity.unwrap_or_default(),
            renewed: spec.renew_time,
            transitions: spec.lease_transitions.unwrap_or(0),
        };
        let since = match &self.seen {
            Some((known, since)) if *known == seen => *since,
            _ => {
                self.seen = Some((seen.clone(), began));
                began
            }
        };
        let ours = seen.holder == self.identity;
        if !ours && !seen.holder.is_empty() && since.elapsed() < VALID {
            return Ok(false);
        }
        let transitions = if ours { seen.transitions } else { seen.transitions.saturating_add(1) };
        let acquired = spec.acquire_time.filter(|_| ours);
        lease.spec =
            Some(LeaseSpec { acquire_time: acquired.or_else(|| Some(now())), ..self.spec(transitions) });
        // Under the resourceVersion that was read: of two replicas that try, one fails.
        match self.api.replace(&self.name, &PostParams::default(), &lease).await {
            Ok(_) => {
                self.renewed = began;
                Ok(true)
            }
            Err(error) => lost_race(error),
        }
    }

    async fn release(&self) -> Result<(), kube::Error> {
        let mut lease = self.api.get(&self.name).await?;
        if let Some(spec) = &mut lease.spec
            && spec.holder_identity.as_deref() == Some(&self.identity)
        {
            spec.holder_identity = None;
            spec.renew_time = Some(now());
            self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        }
        Ok(())
    }

    fn metadata(&self) -> ObjectMeta {
        ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() }
    }

    fn spec(&self, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(VALID.as_secs()).ok(),
            acquire_time: Some(now()),
            renew_time: Some(now()),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

/// Another replica was faster.
fn lost_race(error: kube::Error) -> Result<bool, kube::Error> {
    match error {
        kube::Error::Api(status) if status.code == 409 => Ok(false),
        other => Err(other),
    }
}

fn now() -> MicroTime {
    MicroTime(Timestamp::now())
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use serde_json::json;
    use tokio::time::sleep;

    use super::*;
    use crate::played;

    #[tokio::test]
    async fn a_holder_ends_before_another_may_begin_however_slow_the_answers_are() {
        // Reading and writing the Lease take almost as long as they may; after that nothing is answered.
        let asked = Arc::new(AtomicU32::new(0));
        let counted = asked.clone();
        let client = played::client(move |_| {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                match number {
                    0 => sleep(Duration::from_millis(3700)).await,
                    1 => {}
                    _ => std::future::pending().await,
                }
                played::answer(200, &json!({"metadata": {"name": "lease"}}))
            }
        });
        let (election, mut leadership) = Election::new(client, "system", "lease", "a");
        let began = Instant::now();
        let running = tokio::spawn(election.run(std::future::pending()));
        timeout(Duration::from_secs(60), leadership.gained()).await.unwrap();
        timeout(Duration::from_secs(60), leadership.lost()).await.unwrap();
        let (held, asked) = (began.elapsed(), asked.load(Ordering::SeqCst));
        assert!((GIVE_UP..VALID).contains(&held), "{held:?}, {asked} requests");
        running.abort();
    }
}
