//! One name, followed as long as a backend has it.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::task::JoinSet;

use super::{
    Publisher,
    addresses::{Chosen, MOST_ADDRESSES, choose},
    ask::{Asker, Said},
};
use crate::metrics::LookupOutcome;

/// No name is asked for more often, whatever its TTL.
const FLOOR: Duration = Duration::from_secs(1);
/// An answer is asked for again after this time at the latest, whatever its TTL.
const CEILING: Duration = Duration::from_secs(300);
/// The same for an answer without addresses.
const NOTHING_CEILING: Duration = Duration::from_secs(30);
/// How long an answer without addresses holds that does not say how long.
const NOTHING: Duration = Duration::from_secs(5);
/// The longest time between two questions while nobody answers.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// How long the other family is waited for once one is there (RFC 8305 §3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// How the names are followed.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    pub(super) allow_local: bool,
    pub(super) max_stale: Duration,
}

/// A name's addresses of one family as they were last said.
#[derive(Default)]
struct Family {
    addresses: Vec<IpAddr>,
    /// Until when they hold if nobody answers.
    until: Option<Instant>,
}

/// What came of asking for both families.
struct Round {
    outcome: LookupOutcome,
    /// How long until the next one.
    pause: Duration,
    failure: Option<Arc<str>>,
}

/// A name and what is known of it.
struct Followed {
    host: Arc<str>,
    manner: Manner,
    publisher: Publisher,
    v4: Family,
    v6: Family,
    /// What the workers were told.
    told: Option<Chosen>,
    /// Rounds in which nobody answered, since somebody did.
    failures: u32,
}

/// Asks for the name again and again, and tells the workers what changes.
pub(super) async fn follow(host: Arc<str>, asker: Arc<Asker>, manner: Manner, publisher: Publisher) {
    let mut name = Followed {
        host,
        manner,
        publisher,
        v4: Family::default(),
        v6: Family::default(),
        told: None,
        failures: 0,
    };
    // Fully qualified: no search list makes another name of it.
    let Ok(query) = Name::from_ascii(format!("{}.", name.host)) else {
        tracing::error!(name = %name.host, "not a name that DNS could hold; correct spec.externalHostname.hostname");
        name.publisher.count(LookupOutcome::Failed);
        return name.tell();
    };
    loop {
        let round = name.round(&query, &asker).await;
        name.publisher.count(round.outcome);
        match round.failure {
            Some(error) => {
                asker.renew();
                name.warn(&error, round.outcome);
            }
            None if name.failures > 0 => {
                tracing::info!(name = %name.host, "the name can be resolved again");
                name.failures = 0;
            }
            None => {}
        }
        if round.outcome != LookupOutcome::Failed {
            name.publisher.confirm(&name.host);
        }
        name.tell();
        tokio::time::sleep(round.pause).await;
    }
}

impl Followed {
    async fn round(&mut self, query: &Name, asker: &Arc<Asker>) -> Round {
        let mut asking = JoinSet::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            let (asker, query) = (asker.clone(), query.clone());
            asking.spawn(async move { (kind, asker.ask(query, kind).await) });
        }
        let mut shortest: Option<Duration> = None;
        let mut failure = None;
        let mut waited = false;
        loop {
            let one = match asking.len() == 1 && !waited && self.has_any() {
                true => match tokio::time::timeout(RESOLUTION_DELAY, asking.join_next()).await {
                    Ok(one) => one,
                    Err(_) => {
                        // Requests may wait for the first answer, and no change waits for a resolver that is silent
                        // about one family.
                        waited = true;
                        self.tell();
                        continue;
                    }
                },
                false => asking.join_next().await,
            };
            let (kind, said) = match one {
                Some(Ok(said)) => said,
                Some(Err(_)) => continue,
                None => break,
            };
            let family = if kind == RecordType::A { &mut self.v4 } else { &mut self.v6 };
            let holds = match said {
                Said::Addresses(addresses, ttl) => {
                    let until = Instant::now().checked_add(self.manner.max_stale);
                    *family = Family { addresses, until };
                    Some(ttl.clamp(FLOOR, CEILING))
                }
                Said::Nothing(ttl) => {
                    *family = Family::default();
                    ttl.map(|ttl| ttl.clamp(FLOOR, CEILING))
                }
                Said::Failed(error) => {
                    family.forget_stale();
                    failure = Some(error);
                    None
                }
            };
            shortest = [shortest, holds].into_iter().flatten().min();
        }
        let nothing = !self.has_any();
        match failure {
            Some(error) => {
                self.failures = self.failures.saturating_add(1);
                let backoff =
                    FLOOR.saturating_mul(1 << self.failures.saturating_sub(1).min(5)).min(LONGEST_BACKOFF);
                // One family was answered: the other one may have no resolver that answers for it, ever.
                let outcome = if shortest.is_some() { LookupOutcome::Partial } else { LookupOutcome::Failed };
                Round { outcome, pause: backoff.min(shortest.unwrap_or(backoff)), failure: Some(error) }
            }
            None if nothing => {
                let pause = shortest.unwrap_or(NOTHING).min(NOTHING_CEILING);
                Round { outcome: LookupOutcome::Empty, pause, failure: None }
            }
            None => {
                let ttl = shortest.unwrap_or(FLOOR);
                // Before it ends, so that the next answer is there in time.
                let pause = ttl.saturating_sub((ttl / 10).min(FLOOR * 5)).max(FLOOR);
                Round { outcome: LookupOutcome::Answered, pause, failure: None }
            }
        }
    }

    fn has_any(&self) -> bool {
        !self.v4.addresses.is_empty() || !self.v6.addresses.is_empty()
    }

    /// Tells the workers, if it is anything new.
    fn tell(&mut self) {
        let answer = self.v4.addresses.iter().chain(&self.v6.addresses).copied();
        let chosen = choose(answer, self.manner.allow_local);
        let told = self.told.as_ref();
        let name = &self.host;
        if told.is_some_and(|told| *told == chosen) {
            return;
        }
        if chosen.local > told.map_or(0, |told| told.local) {
            tracing::warn!(%name, addresses = chosen.local,
                "addresses of this machine or this link are left out of the answer; \
                 resolver-allow-local = true lets them count");
        }
        if chosen.over > 0 && told.is_none_or(|told| told.over == 0) {
            tracing::warn!(%name, left_out = chosen.over, most = MOST_ADDRESSES,
                "the name has more addresses than count; the first ones by number serve");
        }
        if told.is_none_or(|told| told.addresses != chosen.addresses) {
            match chosen.addresses.len() {
                0 => tracing::warn!(%name, "the name has no address; requests to it get 503"),
                addresses => tracing::info!(%name, addresses, "the name has been resolved"),
            }
            self.publisher.publish(name, Some(chosen.addresses.clone()));
        }
        self.told = Some(chosen);
    }

    /// Says once why there is no answer, and again when that has consequences.
    fn warn(&self, error: &str, outcome: LookupOutcome) {
        if self.failures == 1 {
            let stale = self.manner.max_stale.as_secs();
            match self.has_any() {
                _ if outcome == LookupOutcome::Partial => tracing::warn!(name = %self.host, error,
                    "the name's addresses of one family cannot be resolved; those of the other one serve"),
                true => tracing::warn!(name = %self.host, error, stale_s = stale,
                    "the name cannot be resolved; its last addresses serve until they are too old"),
                false => tracing::warn!(name = %self.host, error, "the name cannot be resolved"),
            }
        }
    }
}

impl Family {
    /// Nobody answered: what is too old goes.
    fn forget_stale(&mut self) {
        if self.until.is_some_and(|until| until <= Instant::now()) {
            *self = Self::default();
        }
    }
}
