//! The loop: what changed at the source goes through the translator to the dataplane, and what both say goes to the
//! status sink.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use lasthop_api_model::Change;
use lasthop_dataplane_api::{Dataplane, ListenerState, Report};
use lasthop_translator::{Output, Translator};
use tokio::sync::mpsc;

use crate::{
    metrics::Metrics,
    source::{Problem, ProblemClass, Source, SourceEvent},
    state::{Phase, State},
    status::StatusSink,
};

/// Changes that may wait while others are worked on; they are taken together then.
const WAITING: usize = 64;
/// So many problems are logged one by one.
const LOGGED: usize = 100;

/// The loop's parts.
pub struct ControlLoop<D, S> {
    /// Resources in, snapshot and status out.
    pub translator: Translator,
    /// What serves.
    pub dataplane: Arc<D>,
    /// Where statuses go.
    pub sink: S,
    /// What the admin endpoint shows.
    pub state: Arc<State>,
    /// What is counted.
    pub metrics: Metrics,
}

impl<D: Dataplane, S: StatusSink> ControlLoop<D, S> {
    /// Works until `stop` is done, or the source has no more to say.
    pub async fn run(mut self, mut source: impl Source + 'static, stop: impl Future<Output = ()>) {
        let (sender, mut events) = mpsc::channel(WAITING);
        // A task of its own, so that a source is never interrupted in the middle of a look.
        let reader = tokio::spawn(async move {
            while let Some(event) = source.next().await {
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        });
        tokio::pin!(stop);
        let dataplane = self.dataplane.clone();
        loop {
            let mut event = tokio::select! {
                () = &mut stop => break,
                report = dataplane.reported() => {
                    log(&report);
                    let reported = self.translator.reported(&report);
                    self.sink.write(reported).await;
                    continue;
                }
                event = events.recv() => match event {
                    Some(event) => event,
                    None => break,
                },
            };
            while let Ok(later) = events.try_recv() {
                event.absorb(later);
            }
            self.take(event).await;
        }
        reader.abort();
    }

    /// Takes over what changed at the source. When it returns, the change is in force.
    pub async fn take(&mut self, event: SourceEvent) {
        let began = Instant::now();
        let SourceEvent { applied, removed, problems, is_partial } = event;
        if let Some(problems) = problems {
            self.note_problems(problems);
        }
        let gone = removed.iter().map(|key| Change { key: key.clone(), old: None, new: None });
        let there =
            applied.into_iter().map(|object| Change { key: object.key(), old: None, new: Some(object) });
        let changes: Vec<Change> = gone.chain(there).collect();
        let Output { update, statuses, notices } = self.translator.apply(&changes);
        notices.iter().for_each(|notice| tracing::warn!("{notice}"));
        self.sink.forget(&removed).await;
        self.sink.write(statuses).await;
        let translated = began.elapsed();

        if is_partial {
            // Nothing to serve is in it. Not ready: what serves keeps what it has.
            return;
        }
        if !update.is_empty() {
            let update = Arc::new(update);
            let report = self.dataplane.apply(update.clone()).await;
            self.state.change_snapshot(|snapshot| snapshot.apply(&update));
            log(&report);
            let programmed = self.translator.programmed(&report);
            self.sink.write(programmed).await;
            self.metrics.applied(update.version, SystemTime::now());
            tracing::info!(
                version = update.version,
                objects = changes.len(),
                translation_ms = millis(translated),
                total_ms = millis(began.elapsed()),
                "the configuration is in force"
            );
        } else if self.state.phase() == Phase::Starting {
            // A dataplane that hands on what it is given has to know that there is nothing.
            self.dataplane.apply(Arc::new(update)).await;
        }
        self.state.set_phase(Phase::Ready);
    }

    fn note_problems(&self, problems: Vec<Problem>) {
        let mut counts = BTreeMap::new();
        problems.iter().for_each(|problem| *counts.entry(problem.class.label()).or_insert(0) += 1);
        self.metrics.set_problems(&counts, &ProblemClass::ALL.map(ProblemClass::label));
        let now: BTreeSet<Problem> = problems.iter().cloned().collect();
        let before = self.state.change_board(|board| board.set_problems(problems));
        let before: BTreeSet<Problem> = before.into_iter().collect();
        let failed = now.difference(&before).any(Problem::refuses);
        for problem in now.difference(&before).take(LOGGED) {
            if problem.refuses() {
                tracing::warn!("{problem}");
            } else {
                tracing::info!("{problem}");
            }
        }
        let more = now.difference(&before).count().saturating_sub(LOGGED);
        if more > 0 {
            tracing::warn!(more, "there are more problems; /status has them all");
        }
        for problem in before.difference(&now).filter(|problem| problem.refuses()).take(LOGGED) {
            tracing::info!(
                "{}: {}: no longer a problem: {}",
                problem.place(),
                problem.object,
                problem.message
            );
        }
        if failed {
            self.metrics.reload_failures.inc();
        }
    }
}

pub(crate) fn log(report: &Report) {
    for (listener, state) in &report.listeners {
        match state {
            ListenerState::Bound(addresses) => tracing::info!(%listener, ?addresses, "the listener serves"),
            ListenerState::Failed { reason, message } => {
                tracing::error!(%listener, %reason, "the listener does not serve: {message}");
            }
        }
    }
    for (backend, refusal) in &report.refused_backends {
        tracing::error!(%backend, reason = %refusal.reason, "requests to the backend are refused: {}", refusal.message);
    }
}

pub(crate) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests;
