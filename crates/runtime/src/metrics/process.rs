//! What the process uses, read from /proc when somebody asks. Elsewhere than on Linux there is nothing to read, and
//! nothing is shown.

use std::fs;

use prometheus::{
    Gauge,
    core::{Collector, Desc},
    proto::MetricFamily,
};

/// Ticks of a second in /proc/self/stat: `USER_HZ`, 100 on every Linux that has us.
const TICKS: f64 = 100.0;

/// The usual `process_…` metrics of Prometheus.
pub struct ProcessCollector {
    resident: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    cpu_seconds: Gauge,
    threads: Gauge,
}

impl ProcessCollector {
    /// A collector; reads nothing yet.
    #[expect(clippy::expect_used, reason = "names and help texts are constants, and valid")]
    pub(crate) fn new() -> Self {
        let gauge = |name: &str, help: &str| Gauge::new(name, help).expect("a valid name");
        Self {
            resident: gauge("process_resident_memory_bytes", "Resident memory size in bytes."),
            open_fds: gauge("process_open_fds", "Number of open file descriptors."),
            max_fds: gauge("process_max_fds", "Maximum number of open file descriptors."),
            cpu_seconds: gauge("process_cpu_seconds", "User and system CPU time spent in seconds."),
            threads: gauge("process_threads", "Number of threads."),
        }
    }

    fn each(&self) -> [&Gauge; 5] {
        [&self.resident, &self.open_fds, &self.max_fds, &self.cpu_seconds, &self.threads]
    }

    fn read(&self) -> Option<()> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        self.resident.set(field("VmRSS:")? * 1024.0);
        self.threads.set(field("Threads:")?);

        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The command's name may hold spaces; what follows its closing parenthesis is regular: field 3 onwards.
        let (_, fields) = stat.rsplit_once(") ")?;
        let ticks =
            fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>();
        self.cpu_seconds.set(ticks / TICKS);

        self.open_fds.set(fs::read_dir("/proc/self/fd").ok()?.count() as f64);
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        let most = line.split_whitespace().next()?;
        self.max_fds.set(most.parse().unwrap_or(f64::INFINITY));
        Some(())
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.each().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        match self.read() {
            Some(()) => self.each().into_iter().flat_map(Collector::collect).collect(),
            None => Vec::new(),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_this_process() {
        let collector = ProcessCollector::new();
        assert_eq!(collector.collect().len(), 5);
        assert!(collector.resident.get() > 500_000.0);
        assert!(collector.open_fds.get() >= 3.0);
        assert!(collector.max_fds.get() >= collector.open_fds.get());
        assert!(collector.threads.get() >= 1.0);
    }
}
