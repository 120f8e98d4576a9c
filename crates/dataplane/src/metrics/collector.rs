//! The counters in the form of Prometheus.

mod l4;
mod names;

use std::{collections::BTreeMap, sync::Arc};

use prometheus::{
    core::{Collector, Desc},
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

use super::{
    Metrics, Side,
    counters::{BUCKETS, Count, Named},
    registry::Cells,
};

/// The dataplane's metrics. Labels hold names of the configuration and reasons of a closed set only; an object's
/// series go with it.
pub struct NativeCollector {
    metrics: Arc<Metrics>,
    descriptions: Vec<Desc>,
}

const REQUESTS: (&str, &str) = ("lasthop_requests_total", "Requests answered, by class of the status.");
const UPSTREAM_FAILURES: (&str, &str) =
    ("lasthop_upstream_failures_total", "Failed attempts to get an answer from a backend.");
const DOWNSTREAM_FAILURES: (&str, &str) = (
    "lasthop_downstream_failures_total",
    "Requests and connections refused or cut short for a reason that is no backend's.",
);
const DURATION: (&str, &str) =
    ("lasthop_request_duration_seconds", "From a request's header to the end of its response.");
const ACTIVE: (&str, &str) = ("lasthop_connections", "Open connections.");
const TOTAL: (&str, &str) = ("lasthop_connections_total", "Connections made since the start.");
const IDLE: (&str, &str) = ("lasthop_upstream_idle_connections", "Backend connections waiting in pools.");
const REUSED: (&str, &str) =
    ("lasthop_upstream_reused_total", "Requests that took a connection from a pool.");
const HANDSHAKES: (&str, &str) = ("lasthop_tls_handshakes_total", "TLS handshakes, by result or reason.");
const EXPIRY: (&str, &str) = (
    "lasthop_backend_certificate_expiry_seconds",
    "When the first of the certificates that a backend's endpoints presented last expires, in seconds since 1970.",
);

impl NativeCollector {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        let descriptions = [
            describe(REQUESTS, &["gateway", "listener", "route", "backend", "code"]),
            describe(UPSTREAM_FAILURES, &["backend", "reason"]),
            describe(DOWNSTREAM_FAILURES, &["listener", "reason"]),
            describe(DURATION, &["listener"]),
            describe(ACTIVE, &["side"]),
            describe(TOTAL, &["side"]),
            describe(IDLE, &[]),
            describe(REUSED, &[]),
            describe(HANDSHAKES, &["side", "result", "resumed"]),
            describe(EXPIRY, &["backend"]),
        ];
        let descriptions = descriptions.into_iter().flatten().chain(l4::descriptions());
        let descriptions = descriptions.chain(names::descriptions());
        Self { metrics, descriptions: descriptions.collect() }
    }

    fn requests(&self) -> MetricFamily {
        let mut samples = Vec::new();
        for (series, cells) in &self.metrics.series().requests {
            for (class, code) in ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().enumerate() {
                let sum = sum(cells, |cell| cell.classes.get(class).map_or(0, Count::get));
                if sum == 0 {
                    continue;
                }
                samples.push(counter(
                    &[
                        ("gateway", text(series.listener.as_ref().map(|listener| &listener.gateway))),
                        ("listener", text(series.listener.as_ref())),
                        ("route", text(series.route.as_ref())),
                        ("backend", text(series.backend.as_ref().map(|backend| &backend.endpoints))),
                        ("code", code.to_owned()),
                    ],
                    sum,
                ));
            }
        }
        family(REQUESTS, MetricType::COUNTER, samples)
    }

    fn upstream_failures(&self) -> MetricFamily {
        let mut samples = Vec::new();
        for (key, cells) in &self.metrics.series().backends {
            for (reason, n) in named(cells, |cell| &cell.failures) {
                samples.push(counter(&[("backend", key.to_string()), ("reason", reason.to_owned())], n));
            }
        }
        family(UPSTREAM_FAILURES, MetricType::COUNTER, samples)
    }

    fn downstream_failures(&self) -> MetricFamily {
        let mut samples = Vec::new();
        for (key, cells) in &self.metrics.series().listeners {
            for (reason, n) in named(cells, |cell| &cell.failures) {
                samples.push(counter(&[("listener", key.to_string()), ("reason", reason.to_owned())], n));
            }
        }
        family(DOWNSTREAM_FAILURES, MetricType::COUNTER, samples)
    }

    fn durations(&self) -> MetricFamily {
        let mut samples = Vec::new();
        for (key, cells) in &self.metrics.series().listeners {
            let mut cumulative = 0;
            let mut buckets = Vec::with_capacity(BUCKETS.len());
            for (i, bound) in BUCKETS.iter().enumerate() {
                cumulative += sum(cells, |cell| cell.durations.get(i).map_or(0, Count::get));
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(seconds(*bound));
                bucket.set_cumulative_count(cumulative);
                buckets.push(bucket);
            }
            let over = sum(cells, |cell| cell.durations.get(BUCKETS.len()).map_or(0, Count::get));
            let mut histogram = Histogram::default();
            histogram.set_bucket(buckets);
            histogram.set_sample_count(cumulative + over);
            histogram.set_sample_sum(seconds(sum(cells, |cell| cell.duration_sum.get())));
            let mut metric = Metric::from_label(labels(&[("listener", key.to_string())]));
            metric.set_histogram(histogram);
            samples.push(metric);
        }
        family(DURATION, MetricType::HISTOGRAM, samples)
    }

    fn expiries(&self) -> MetricFamily {
        let expiries = self.metrics.peers.expiries().into_iter();
        let samples = expiries.map(|(key, seconds)| gauge(&[("backend", key.to_string())], seconds));
        family(EXPIRY, MetricType::GAUGE, samples.collect())
    }

    fn connections(&self) -> Vec<MetricFamily> {
        let workers = &self.metrics.workers;
        let total = |read: fn(&super::WorkerCounters) -> u64| workers.iter().map(|worker| read(worker)).sum();
        let sides = |sample: fn(&[(&str, String)], u64) -> Metric, down: u64, up: u64| {
            vec![
                sample(&[("side", name(Side::Downstream))], down),
                sample(&[("side", name(Side::Upstream))], up),
            ]
        };
        let mut handshakes = BTreeMap::new();
        workers.iter().for_each(|worker| worker.handshakes.add_to(&mut handshakes));
        let handshakes = handshakes.into_iter().map(|((side, result, resumed), n)| {
            let labels =
                [("side", name(side)), ("result", result.to_owned()), ("resumed", resumed.to_string())];
            counter(&labels, n)
        });
        vec![
            family(
                ACTIVE,
                MetricType::GAUGE,
                sides(gauge, total(|w| w.downstream.active.get()), total(|w| w.upstream.active.get())),
            ),
            family(
                TOTAL,
                MetricType::COUNTER,
                sides(counter, total(|w| w.downstream.total.get()), total(|w| w.upstream.total.get())),
            ),
            family(IDLE, MetricType::GAUGE, vec![gauge(&[], total(|w| w.upstream_idle.get()))]),
            family(REUSED, MetricType::COUNTER, vec![counter(&[], total(|w| w.upstream_reused.get()))]),
            family(HANDSHAKES, MetricType::COUNTER, handshakes.collect()),
        ]
    }
}

impl Collector for NativeCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families =
            vec![self.requests(), self.upstream_failures(), self.downstream_failures(), self.durations()];
        families.push(self.expiries());
        families.extend(self.connections());
        families.extend(self.l4());
        families.extend(self.names());
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

fn describe((name, help): (&str, &str), labels: &[&str]) -> Option<Desc> {
    let labels = labels.iter().map(|&label| label.to_owned()).collect();
    Desc::new(name.to_owned(), help.to_owned(), labels, Default::default()).ok()
}

fn name(side: Side) -> String {
    match side {
        Side::Downstream => "downstream".to_owned(),
        Side::Upstream => "upstream".to_owned(),
    }
}

fn text(value: Option<&impl ToString>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn sum<T>(cells: &Cells<T>, read: impl Fn(&T) -> u64) -> u64 {
    cells.values().map(|cell| read(cell)).sum()
}

fn named<T>(cells: &Cells<T>, read: impl Fn(&T) -> &Named<&'static str>) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::new();
    cells.values().for_each(|cell| read(cell).add_to(&mut sums));
    sums
}

fn labels(pairs: &[(&str, String)]) -> Vec<LabelPair> {
    pairs
        .iter()
        .map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value(value.clone());
            pair
        })
        .collect()
}

fn counter(pairs: &[(&str, String)], value: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut metric = Metric::from_label(labels(pairs));
    metric.set_counter(counter);
    metric
}

fn gauge(pairs: &[(&str, String)], value: u64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value as f64);
    let mut metric = Metric::from_label(labels(pairs));
    metric.set_gauge(gauge);
    metric
}

fn family((name, help): (&str, &str), kind: MetricType, samples: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(samples);
    family
}
