//! The proxy's own process.

use std::{
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use serde_json::Value;

use super::{PATIENCE, Stack, client::Client, ports, processes::Process, within};

/// The program under test: what cargo built for this test, or another build, such as an optimised one, that `E2E_PROXY`
/// names.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("E2E_PROXY").map_or_else(|| env!("CARGO_BIN_EXE_lasthop-proxy").into(), PathBuf::from)
}

/// A running proxy.
pub(crate) struct Proxy {
    process: Process,
    /// The port of the admin endpoint.
    pub(crate) admin: u16,
    access_log: PathBuf,
}

impl Proxy {
    /// Starts it over the folder and waits until it is ready and the ports take connections.
    pub(crate) fn start(stack: Stack, manifests: &Path, work: &Path, listening: &[u16]) -> Self {
        let mut proxy = Self::start_without_waiting(stack, manifests, work, &[]);
        proxy.wait_ready(listening);
        proxy
    }

    pub(crate) fn start_without_waiting(stack: Stack, manifests: &Path, work: &Path, flags: &[&str]) -> Self {
        Self::start_logging(stack, manifests, work, "info", flags)
    }

    /// As [`Proxy::start_without_waiting`], with a log level.
    pub(crate) fn start_logging(
        stack: Stack,
        manifests: &Path,
        work: &Path,
        level: &str,
        flags: &[&str],
    ) -> Self {
        let admin = ports::free();
        let access_log = work.join(format!("access-{admin}.json"));
        let mut command = Command::new(binary());
        command.arg("run").arg("--config").arg(manifests);
        command.args(["--tls-backend", stack.name(), "--admin", &admin.to_string(), "--log-level", level]);
        command.arg("--access-log").arg(&access_log).args(["--access-log-format", "json"]).args(flags);
        let process = Process::start(command, work, &format!("proxy-{admin}"));
        Self { process, admin, access_log }
    }

    pub(crate) fn wait_ready(&mut self, listening: &[u16]) {
        let ready = within(PATIENCE, || {
            if let Some(status) = self.process.ended() {
                panic!("the proxy ended ({status}): {}", self.log());
            }
            let fine = self.page("/readyz").is_some_and(|(status, _)| status == 200)
                && listening.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok());
            fine.then_some(())
        });
        assert!(ready.is_some(), "the proxy is not ready: {}", self.log());
    }

    /// A page of the admin endpoint: status and text.
    pub(crate) fn page(&self, path: &str) -> Option<(u16, String)> {
        let response = Client::plain(self.admin).ok()?.get("localhost", path).ok()?;
        Some((response.status, response.body))
    }

    pub(crate) fn metrics(&self) -> String {
        self.page("/metrics").expect("the admin endpoint answers").1
    }

    /// What it says about itself.
    pub(crate) fn log(&self) -> String {
        format!("{}{}", self.process.out(), self.process.err())
    }

    /// Waits for a line of the log that holds all of these.
    pub(crate) fn wait_log(&self, wanted: &[&str]) -> String {
        let found = within(PATIENCE, || {
            let log = self.log();
            log.lines().find(|line| wanted.iter().all(|text| line.contains(text))).map(str::to_owned)
        });
        found.unwrap_or_else(|| panic!("no line of the log holds {wanted:?}:\n{}", self.log()))
    }

    /// All access records so far.
    pub(crate) fn access_log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.access_log).unwrap_or_default();
        // The last line may be half written.
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in access line {line}"))
            })
            .collect()
    }

    /// Waits for an access record that the function takes.
    pub(crate) fn wait_access(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = within(PATIENCE, || self.access_log().into_iter().find(|record| wanted(record)));
        found.unwrap_or_else(|| panic!("no such access record among {:#?}", self.access_log()))
    }

    /// The record of the request for this host and path.
    pub(crate) fn record_of(&self, host: &str, path: &str) -> Value {
        self.wait_access(|record| {
            let named = record["host"].as_str().unwrap_or_default();
            named.split(':').next() == Some(host) && record["path"] == path
        })
    }

    /// The sum of a metric's series that have all these labels.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        let metrics = self.metrics();
        let series = metrics.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let rest = series.strip_prefix(name)?;
            let whole = rest.is_empty() || rest.starts_with('{');
            (whole && labels.iter().all(|label| rest.contains(label))).then(|| value.parse::<f64>().ok())?
        });
        series.sum()
    }

    /// Waits until an object's condition has this status and reason; `scope` is a listener, or nothing.
    pub(crate) fn wait_condition(
        &self,
        (kind, name): (&str, &str),
        (scope, condition): (&str, &str),
        wanted: (&str, &str),
    ) {
        let mut last = Value::Null;
        let found = within(PATIENCE, || {
            let status: Value = serde_json::from_str(&self.page("/status")?.1).ok()?;
            let objects = status["objects"].as_array()?;
            let object = objects.iter().find(|object| object["kind"] == kind && object["name"] == name)?;
            last = object["conditions"].clone();
            last.as_array()?.iter().find(|found| {
                found["scope"] == scope
                    && found["type"] == condition
                    && (found["status"].as_str(), found["reason"].as_str())
                        == (Some(wanted.0), Some(wanted.1))
            })?;
            Some(())
        });
        assert!(found.is_some(), "{kind} {name} {scope:?} {condition} is not {wanted:?}: {last:#}");
    }

    /// The memory that it has of its own, in KiB: what is resident, without the files of its program.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    pub(crate) fn wait_end(&mut self, time: Duration) -> Option<ExitStatus> {
        self.process.wait(time)
    }
}
