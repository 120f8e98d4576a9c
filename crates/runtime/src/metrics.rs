//! The metrics of the shell: what is configured, how reloads went, what the process uses. Those of the requests are
//! the dataplane's own.

mod process;

use std::{collections::BTreeMap, time::SystemTime};

use prometheus::{
    Encoder, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};

pub use process::ProcessCollector;

/// The registry, and the metrics that are counted here.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// Configurations that took effect.
    pub reloads: IntCounter,
    /// Looks at the source that found something wrong.
    pub reload_failures: IntCounter,
    /// The version of the snapshot in force.
    pub config_version: IntGauge,
    /// When it took effect, in seconds since the epoch.
    pub config_applied: IntGauge,
    /// Lines of the access log that were not written.
    pub access_log_dropped: IntCounter,
    problems: IntGaugeVec,
    build: IntGaugeVec,
    status_changes: IntCounterVec,
}

impl Metrics {
    /// An empty registry with these metrics and the process's in it.
    ///
    /// # Errors
    /// None but two metrics of one name, which would be a mistake here.
    pub fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self {
            registry: Registry::new(),
            reloads: IntCounter::new(
                "lasthop_config_reloads_total",
                "Configurations that took effect, the first one included.",
            )?,
            reload_failures: IntCounter::new(
                "lasthop_config_reload_failures_total",
                "Configurations of which a part was refused; what was in force before stays for that part.",
            )?,
            config_version: IntGauge::new(
                "lasthop_config_version",
                "The version of the snapshot in force; 0 before the first.",
            )?,
            config_applied: IntGauge::new(
                "lasthop_config_last_applied_timestamp_seconds",
                "When the snapshot in force took effect.",
            )?,
            access_log_dropped: IntCounter::new(
                "lasthop_access_log_dropped_lines_total",
                "Lines of the access log that were not written, because the output failed or did not keep up.",
            )?,
            problems: IntGaugeVec::new(
                Opts::new("lasthop_config_problems", "What is wrong with the configuration now, by class."),
                &["class"],
            )?,
            build: IntGaugeVec::new(
                Opts::new("lasthop_build_info", "Always 1; says what this binary is."),
                &["version", "tls_backend", "tls_backends_built_in"],
            )?,
            status_changes: IntCounterVec::new(
                Opts::new(
                    "lasthop_status_changes_total",
                    "Changed conditions of objects, by the object's kind.",
                ),
                &["kind"],
            )?,
        };
        for collector in metrics.own() {
            metrics.registry.register(collector)?;
        }
        Ok(metrics)
    }

    fn own(&self) -> [Box<dyn Collector>; 9] {
        [
            Box::new(self.reloads.clone()),
            Box::new(self.reload_failures.clone()),
            Box::new(self.config_version.clone()),
            Box::new(self.config_applied.clone()),
            Box::new(self.access_log_dropped.clone()),
            Box::new(self.problems.clone()),
            Box::new(self.build.clone()),
            Box::new(self.status_changes.clone()),
            Box::new(ProcessCollector::new()),
        ]
    }

    /// Adds the dataplane's metrics.
    ///
    /// # Errors
    /// A name that is taken.
    pub fn register(&self, collector: Box<dyn Collector>) -> Result<(), prometheus::Error> {
        self.registry.register(collector)
    }

    /// Says which stack is used and which could be.
    pub fn set_build(&self, tls_backend: &str, built_in: &str) {
        self.build.reset();
        self.build.with_label_values(&[env!("CARGO_PKG_VERSION"), tls_backend, built_in]).set(1);
    }

    /// Notes that the snapshot of this version is in force now.
    pub fn applied(&self, version: u64, now: SystemTime) {
        self.reloads.inc();
        self.config_version.set(i64::try_from(version).unwrap_or(i64::MAX));
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        self.config_applied.set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }

    /// Counts a changed condition of an object of this kind.
    pub fn status_changed(&self, kind: &str) {
        self.status_changes.with_label_values(&[kind]).inc();
    }

    /// Sets how many problems of each class there are; a class without any goes to 0.
    pub fn set_problems(&self, counts: &BTreeMap<&'static str, usize>, classes: &[&'static str]) {
        for class in classes {
            let count = counts.get(class).copied().unwrap_or(0);
            self.problems.with_label_values(&[*class]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// A metric without samples' names, which would be a mistake of a collector.
    pub fn encode(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_there_from_the_first_scrape() {
        let metrics = Metrics::new().unwrap();
        metrics.set_build("rustls", "rustls");
        metrics.set_problems(&BTreeMap::from([("yaml", 2)]), &["yaml", "duplicate"]);
        metrics.applied(3, SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(5));
        let text = String::from_utf8(metrics.encode().unwrap()).unwrap();
        for expected in [
            "lasthop_config_reloads_total 1",
            "lasthop_config_reload_failures_total 0",
            "lasthop_config_version 3",
            "lasthop_config_last_applied_timestamp_seconds 5",
            "lasthop_config_problems{class=\"yaml\"} 2",
            "lasthop_config_problems{class=\"duplicate\"} 0",
            "lasthop_access_log_dropped_lines_total 0",
            "tls_backend=\"rustls\"",
            "process_resident_memory_bytes ",
            "process_open_fds ",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }
}
