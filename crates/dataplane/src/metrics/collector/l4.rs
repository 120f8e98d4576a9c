//! What is counted of connections that are handed on as a whole, and of UDP sessions.

use prometheus::{
    core::Desc,
    proto::{MetricFamily, MetricType},
};

use super::{NativeCollector, counter, describe, family, gauge, sum};
use crate::metrics::{Metrics, counters::L4Counters};

type About = (&'static str, &'static str);

/// The same of listeners and of backends.
struct Names {
    label: &'static str,
    open: About,
    total: About,
    bytes: About,
}

const LISTENERS: Names = Names {
    label: "listener",
    open: (
        "lasthop_l4_listener_connections",
        "Open TCP and TLS connections, and UDP sessions, of a listener.",
    ),
    total: (
        "lasthop_l4_listener_connections_total",
        "TCP and TLS connections, and UDP sessions, of a listener.",
    ),
    bytes: ("lasthop_l4_listener_bytes_total", "Bytes from (in) and to (out) clients of TCP, TLS and UDP."),
};
const BACKENDS: Names = Names {
    label: "backend",
    open: ("lasthop_l4_backend_connections", "Open TCP and TLS connections, and UDP sessions, to a backend."),
    total: (
        "lasthop_l4_backend_connections_total",
        "TCP and TLS connections, and UDP sessions, to a backend.",
    ),
    bytes: ("lasthop_l4_backend_bytes_total", "Bytes to (in) and from (out) a backend of TCP, TLS and UDP."),
};

/// One value for each set of counters.
type Read = fn(&L4Counters) -> u64;
type Sums<'a> = &'a dyn Fn(Read) -> u64;

pub(super) fn descriptions() -> impl Iterator<Item = Desc> {
    [LISTENERS, BACKENDS].into_iter().flat_map(|names| {
        let all = [
            describe(names.open, &[names.label]),
            describe(names.total, &[names.label]),
            describe(names.bytes, &[names.label, "direction"]),
        ];
        all.into_iter().flatten()
    })
}

impl NativeCollector {
    pub(super) fn l4(&self) -> Vec<MetricFamily> {
        let metrics: &Metrics = &self.metrics;
        let series = metrics.series();
        let mut listeners = Samples::new(LISTENERS);
        for (key, cells) in &series.listeners {
            listeners.add(&key.to_string(), &|read| sum(cells, |cell| read(&cell.l4)));
        }
        let mut backends = Samples::new(BACKENDS);
        for (key, cells) in &series.backends {
            backends.add(&key.to_string(), &|read| sum(cells, |cell| read(&cell.l4)));
        }
        listeners.families().into_iter().chain(backends.families()).collect()
    }
}

struct Samples {
    names: Names,
    open: Vec<prometheus::proto::Metric>,
    total: Vec<prometheus::proto::Metric>,
    bytes: Vec<prometheus::proto::Metric>,
}

impl Samples {
    fn new(names: Names) -> Self {
        Self { names, open: Vec::new(), total: Vec::new(), bytes: Vec::new() }
    }

    /// The samples of one object, if it ever had a connection.
    fn add(&mut self, name: &str, sums: Sums<'_>) {
        let total = sums(|l4| l4.total.get());
        if total == 0 {
            return;
        }
        let label = (self.names.label, name.to_owned());
        self.open.push(gauge(std::slice::from_ref(&label), sums(|l4| l4.active.get())));
        self.total.push(counter(std::slice::from_ref(&label), total));
        for (direction, read) in
            [("in", (|l4| l4.bytes_in.get()) as Read), ("out", (|l4| l4.bytes_out.get()) as Read)]
        {
            self.bytes.push(counter(&[label.clone(), ("direction", direction.to_owned())], sums(read)));
        }
    }

    fn families(self) -> [MetricFamily; 3] {
        [
            family(self.names.open, MetricType::GAUGE, self.open),
            family(self.names.total, MetricType::COUNTER, self.total),
            family(self.names.bytes, MetricType::COUNTER, self.bytes),
        ]
    }
}
