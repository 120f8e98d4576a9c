//! A dataplane with a snapshot to change, backends in this process, and clients.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail this way")]

pub mod backend;
pub mod client;
pub mod pki;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use lasthop_dataplane::{Limits, NativeDataplane, NativeOptions, ResolverOptions};
use lasthop_dataplane_api::*;

/// What the tests look at of an access record.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub method: String,
    pub path: String,
    pub client: Option<SocketAddr>,
    pub protocol: &'static str,
    pub host: String,
    pub status: u16,
    pub rule: Option<String>,
    pub backend: Option<String>,
    pub endpoint: Option<SocketAddr>,
    pub attempts: u32,
    pub tls: Option<&'static str>,
    pub resumed: bool,
    pub reused: bool,
    pub reason: Option<&'static str>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub listener: Option<String>,
}

#[derive(Default)]
pub struct Log(pub Mutex<Vec<Record>>);

impl AccessLog for Log {
    fn record(&self, record: &AccessRecord<'_>) {
        self.0.lock().unwrap().push(Record {
            method: record.method.to_owned(),
            path: record.path.to_owned(),
            client: Some(record.client),
            protocol: record.protocol,
            host: record.host.to_owned(),
            status: record.status,
            rule: record.rule.map(ToString::to_string),
            backend: record.backend.map(ToString::to_string),
            endpoint: record.endpoint,
            attempts: record.attempts,
            tls: record.upstream_tls,
            resumed: record.upstream_resumed,
            reused: record.upstream_reused,
            reason: record.reason.map(FailureReason::name),
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            listener: record.listener.map(|key| key.name.to_string()),
        });
    }
}

pub struct Proxy {
    pub dataplane: Arc<NativeDataplane>,
    pub snapshot: Snapshot,
    pub log: Arc<Log>,
    pub port: u16,
}

impl Proxy {
    /// A proxy with one HTTP listener for all hosts, one worker.
    pub async fn start(change: impl FnOnce(&mut Snapshot)) -> Self {
        Self::with(1, Limits::default(), change).await
    }

    pub async fn with(workers: usize, limits: Limits, change: impl FnOnce(&mut Snapshot)) -> Self {
        let port = free_port();
        let mut proxy = Self::empty(workers, limits);
        proxy.port = port;
        let report = proxy
            .change(|snapshot| {
                put_listener(snapshot, listener("http", port, None));
                change(snapshot);
            })
            .await;
        let state = report.listeners.iter().find(|(key, _)| &*key.name == "http").unwrap();
        assert!(matches!(&state.1, ListenerState::Bound(at) if at[0].port() == port), "{report:?}");
        proxy
    }

    pub fn empty(workers: usize, limits: Limits) -> Self {
        let log = Arc::new(Log::default());
        let options = NativeOptions {
            workers,
            tls_stack: stack(),
            access_log: log.clone(),
            limits,
            session_key: None,
            bearer_tokens: None,
            resolver: ResolverOptions::default(),
        };
        let dataplane = Arc::new(NativeDataplane::new(options).unwrap());
        Self { dataplane, snapshot: Snapshot::default(), log, port: 0 }
    }

    pub async fn change(&mut self, change: impl FnOnce(&mut Snapshot)) -> Report {
        let mut new = self.snapshot.clone();
        new.version += 1;
        change(&mut new);
        let update = Arc::new(self.snapshot.update_to(&new));
        self.snapshot = new;
        self.dataplane.apply(update).await
    }

    pub fn records(&self) -> Vec<Record> {
        self.log.0.lock().unwrap().clone()
    }

    /// The first `n` records, once they are there.
    pub async fn wait_records(&self, n: usize) -> Vec<Record> {
        for _ in 0..200 {
            let records = self.records();
            if records.len() >= n {
                return records;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{n} records expected, there are {:?}", self.records());
    }

    /// The metrics in the text form.
    pub fn metrics(&self) -> String {
        let registry = prometheus::Registry::new();
        registry.register(Box::new(self.dataplane.collector())).unwrap();
        prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    /// One metric's value; 0 where there is none.
    pub fn metric(&self, start: &str) -> f64 {
        let text = self.metrics();
        let line = text.lines().find(|line| line.starts_with(start));
        line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }
}

/// The stack that this test binary is about.
pub fn stack() -> TlsStack {
    match env!("CARGO_CRATE_NAME").ends_with("boringssl") {
        true => TlsStack::Boringssl,
        false => TlsStack::Rustls,
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn gateway() -> ObjectName {
    ObjectName::new("default", "gw")
}

pub fn listener_key(name: &str) -> ListenerKey {
    ListenerKey { gateway: gateway(), set: None, name: name.into() }
}

pub fn listener(name: &str, port: u16, hostname: Option<&str>) -> Listener {
    Listener {
        key: listener_key(name),
        port,
        addresses: Vec::new(),
        protocol: ListenerProtocol::HTTP,
        hostname: hostname.map(|host| host.parse().unwrap()),
        tls: None,
        proxy_protocol: false,
    }
}

pub fn put_listener(snapshot: &mut Snapshot, listener: Listener) {
    snapshot.listeners.insert(listener.key.clone(), Arc::new(listener));
}

pub fn service(name: &str) -> EndpointsKey {
    EndpointsKey::service(ObjectName::new("default", name), 80)
}

pub fn backend_key(name: &str) -> BackendKey {
    BackendKey { gateway: gateway(), endpoints: service(name) }
}

/// A plaintext backend with endpoints.
pub fn put_backend(snapshot: &mut Snapshot, name: &str, addresses: &[SocketAddr]) {
    put_backend_with(
        snapshot,
        name,
        AppProtocol::Unspecified,
        BackendTls::Plaintext(PlaintextReason::NoPolicy),
        addresses,
    );
}

pub fn put_backend_with(
    snapshot: &mut Snapshot,
    name: &str,
    protocol: AppProtocol,
    tls: BackendTls,
    addresses: &[SocketAddr],
) {
    let key = backend_key(name);
    snapshot.backends.insert(key.clone(), Arc::new(Backend { key, protocol, tls, proxy_protocol: false }));
    let mut endpoints: Vec<_> = addresses.iter().map(|&address| Endpoint { address }).collect();
    endpoints.sort();
    let key = service(name);
    snapshot.endpoints.insert(key.clone(), Arc::new(EndpointSet { key, endpoints, hostname: None }));
}

/// A rule for all paths below `prefix` on listener `http`.
pub fn rule(name: &str, prefix: &str, backends: &[&str]) -> HttpRule {
    HttpRule {
        key: RuleKey {
            route: RouteKey { kind: RouteKind::HTTPRoute, object: ObjectName::new("default", name) },
            gateway: listener_key("http").gateway,
            index: 0,
        },
        name: None,
        created: 0,
        attachments: vec![Attachment { listener: listener_key("http"), hosts: Vec::new() }],
        matches: vec![HttpMatch { path: Some(PathMatch::Prefix(prefix.into())), ..HttpMatch::default() }],
        filters: Vec::new(),
        backends: backends
            .iter()
            .map(|name| WeightedBackend {
                weight: 1,
                target: BackendTarget::Backend(backend_key(name)),
                filters: Vec::new(),
            })
            .collect(),
        timeouts: Timeouts::default(),
        retry: None,
        persistence: None,
    }
}

pub fn put_rule(snapshot: &mut Snapshot, rule: HttpRule) {
    snapshot.http_rules.insert(rule.key.clone(), Arc::new(rule));
}
