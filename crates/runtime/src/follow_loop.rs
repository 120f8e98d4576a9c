//! The loop of a proxy whose control plane translates elsewhere: ready-made updates go to the dataplane, and what it says
//! goes back.

use std::{
    future::Future,
    sync::Arc,
    time::{Instant, SystemTime},
};

use lasthop_dataplane_api::{Dataplane, UpdateSource};

use crate::{
    control_loop::{log, millis},
    metrics::Metrics,
    state::{Phase, State},
};

/// The loop's parts.
pub struct FollowLoop<D> {
    /// What serves.
    pub dataplane: Arc<D>,
    /// What the admin endpoint shows.
    pub state: Arc<State>,
    /// What is counted.
    pub metrics: Metrics,
}

impl<D: Dataplane> FollowLoop<D> {
    /// Works until `stop` is done, or the source has no more to say. Until the first update is in force the process is
    /// not ready.
    pub async fn run(self, mut source: impl UpdateSource, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let update = tokio::select! {
                () = &mut stop => return,
                report = self.dataplane.reported() => {
                    log(&report);
                    source.reported(report);
                    continue;
                }
                update = source.next() => match update {
                    Some(update) => update,
                    None => return,
                },
            };
            let began = Instant::now();
            let report = self.dataplane.apply(update.clone()).await;
            self.state.change_snapshot(|snapshot| snapshot.apply(&update));
            log(&report);
            source.reported(report);
            self.metrics.applied(update.version, SystemTime::now());
            self.state.set_phase(Phase::Ready);
            tracing::info!(
                version = update.version,
                total_ms = millis(began.elapsed()),
                "the configuration is in force"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, time::Duration};

    use async_trait::async_trait;
    use lasthop_dataplane_api::{ListenerKey, ListenerState, ObjectName, Report, TlsCapabilities, Update};
    use tokio::sync::mpsc;

    use super::*;

    /// Says something by itself when it is told to.
    struct Fake(tokio::sync::Mutex<mpsc::UnboundedReceiver<Report>>);

    #[async_trait]
    impl Dataplane for Fake {
        fn tls_capabilities(&self) -> TlsCapabilities {
            lasthop_translator::Options::default().capabilities
        }

        async fn apply(&self, update: Arc<Update>) -> Report {
            Report { version: update.version, ..Report::default() }
        }

        async fn reported(&self) -> Report {
            match self.0.lock().await.recv().await {
                Some(report) => report,
                None => std::future::pending().await,
            }
        }

        async fn drain(&self, _: Duration) {}
    }

    struct Script {
        updates: mpsc::UnboundedReceiver<Arc<Update>>,
        reports: Arc<Mutex<Vec<Report>>>,
    }

    #[async_trait]
    impl UpdateSource for Script {
        async fn next(&mut self) -> Option<Arc<Update>> {
            self.updates.recv().await
        }

        fn reported(&mut self, report: Report) {
            self.reports.lock().unwrap().push(report);
        }
    }

    #[tokio::test]
    async fn every_update_is_answered_and_the_first_makes_ready() {
        let (say, said) = mpsc::unbounded_channel();
        let (send, updates) = mpsc::unbounded_channel();
        let reports = Arc::new(Mutex::new(Vec::new()));
        let state = Arc::new(State::new("us"));
        let metrics = Metrics::new().unwrap();
        let follow = FollowLoop {
            dataplane: Arc::new(Fake(tokio::sync::Mutex::new(said))),
            state: state.clone(),
            metrics: metrics.clone(),
        };
        let source = Script { updates, reports: reports.clone() };
        let running = tokio::spawn(follow.run(source, std::future::pending()));
        tokio::task::yield_now().await;
        assert_eq!(state.phase(), Phase::Starting);
        // One that changes nothing: a Gateway without anything that can be served is a configuration, too.
        send.send(Arc::new(Update { version: 1, ..Update::default() })).unwrap();
        state.ready().await;
        send.send(Arc::new(Update { version: 2, ..Update::default() })).unwrap();
        let listener = ListenerKey { gateway: ObjectName::new("n", "g"), set: None, name: "l".into() };
        let by_itself = Report {
            version: 2,
            listeners: vec![(listener, ListenerState::Bound(Vec::new()))],
            ..Report::default()
        };
        while reports.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        say.send(by_itself.clone()).unwrap();
        while reports.lock().unwrap().len() < 3 {
            tokio::task::yield_now().await;
        }
        drop(send);
        running.await.unwrap();
        let reports = reports.lock().unwrap().clone();
        assert_eq!((reports[0].version, reports[1].version, &reports[2]), (1, 2, &by_itself));
        assert_eq!((state.snapshot().version, metrics.reloads.get()), (2, 2));
    }
}
