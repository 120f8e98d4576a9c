//! What both sides count.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use prometheus::{
    Gauge, IntCounter, IntCounterVec, IntGauge, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

/// The server's.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    /// Proxies that are connected.
    pub proxies: IntGauge,
    /// Proxies that were turned away, by reason.
    pub denied: IntCounterVec,
    /// Updates that were sent.
    pub updates: IntCounter,
    /// Updates that a proxy refused.
    pub refused: IntCounter,
}

impl ServerMetrics {
    /// All at nought.
    ///
    /// # Errors
    /// None but a name that is none, which would be a mistake here.
    pub fn new() -> Result<Self, prometheus::Error> {
        let denied = Opts::new("lasthop_link_denied_total", "Proxies that were turned away, by reason.");
        let metrics = Self {
            proxies: IntGauge::new("lasthop_link_proxies", "Proxies that are connected.")?,
            denied: IntCounterVec::new(denied, &["reason"])?,
            updates: IntCounter::new("lasthop_link_updates_total", "Updates sent to proxies.")?,
            refused: IntCounter::new("lasthop_link_refused_updates_total", "Updates that a proxy refused.")?,
        };
        for reason in Denial::ALL {
            metrics.denied.with_label_values(&[reason.label()]);
        }
        Ok(metrics)
    }

    pub(crate) fn deny(&self, reason: Denial) {
        self.denied.with_label_values(&[reason.label()]).inc();
    }

    /// For a registry.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.proxies.clone()),
            Box::new(self.denied.clone()),
            Box::new(self.updates.clone()),
            Box::new(self.refused.clone()),
        ]
    }
}

/// Why a proxy is turned away.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Denial {
    NoToken,
    Token,
    Account,
    Unavailable,
}

impl Denial {
    const ALL: [Self; 4] = [Self::NoToken, Self::Token, Self::Account, Self::Unavailable];

    fn label(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::Token => "token_refused",
            Self::Account => "other_account",
            Self::Unavailable => "review_unavailable",
        }
    }
}

/// The proxy's.
#[derive(Clone, Debug)]
pub struct ClientMetrics {
    connected: IntGauge,
    /// Connections that were made.
    pub connects: IntCounter,
    /// Updates that were refused here.
    pub refused: IntCounter,
    seconds: Gauge,
    since: Arc<Mutex<Instant>>,
}

impl ClientMetrics {
    /// Not connected, since now.
    ///
    /// # Errors
    /// None but a name that is none, which would be a mistake here.
    pub fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            connected: IntGauge::new(
                "lasthop_control_plane_connected",
                "Whether a controller is connected and has told what is to be served.",
            )?,
            connects: IntCounter::new(
                "lasthop_control_plane_connects_total",
                "Connections that were made to a controller.",
            )?,
            refused: IntCounter::new(
                "lasthop_control_plane_refused_updates_total",
                "Updates of the controller that this proxy could not read and refused.",
            )?,
            seconds: Gauge::new(
                "lasthop_control_plane_state_seconds",
                "For how long a controller has been connected, or has not been.",
            )?,
            since: Arc::new(Mutex::new(Instant::now())),
        })
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        let now = i64::from(connected);
        if self.connected.get() != now {
            self.connected.set(now);
            *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }

    /// Whether a controller is connected.
    pub fn is_connected(&self) -> bool {
        self.connected.get() == 1
    }
}

impl Collector for ClientMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let counters = self.connected.desc().into_iter().chain(self.connects.desc());
        counters.chain(self.refused.desc()).chain(self.seconds.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        self.seconds.set(since.elapsed().as_secs_f64());
        let counters = self.connected.collect().into_iter().chain(self.connects.collect());
        counters.chain(self.refused.collect()).chain(self.seconds.collect()).collect()
    }
}
