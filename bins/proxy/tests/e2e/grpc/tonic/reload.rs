//! Calls and streams that go on while routes, policies and trust anchors change: tonic, the proxy, grpc-go's servers.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, client::Grpc, transport::Channel};

use super::{
    cases::{self, Client},
    messages::{Empty, length},
    route, tls_service,
};
use crate::{
    for_each_stack,
    support::{
        PATIENCE, Stack,
        certificates::Authority,
        manifests,
        peers::{self, Peer},
        proxy::Proxy,
        site::{BACKEND, Site},
        within,
    },
};

for_each_stack!(alone: nothing_fails);

/// Another name on the backends' certificates.
const ALIAS: &str = "alias.test";
/// The messages of a stream, and how long the server takes for each: a quarter of a second together.
const MESSAGES: usize = 10;
const PAUSE: Duration = Duration::from_millis(25);

fn nothing_fails(stack: Stack) {
    let site = Site::new();
    let first = site.backends.leaf(&[BACKEND, ALIAS]);
    let Some(peer) = peers::grpc_interop(site.work(), Some(&first)) else { return };
    let Some(other) = peers::grpc_interop(site.work(), Some(&first)) else { return };
    tls_service(&site, "peer", peer.port);
    tls_service(&site, "other", other.port);
    site.write("route.yaml", &route("all", &rule("first", [3, 1])));
    let proxy = site.start(stack);
    let load = Load::start(&site);
    load.goes_on();
    // Servers stay to the end: what had begun with them may end with them.
    let mut servers: Vec<Peer> = vec![peer, other];
    let mut trusted = site.backends.pem();
    for turn in 0..3 {
        // The route: another rule, and other weights.
        for (name, weights) in [("odd", [1, 3]), ("even", [3, 1])] {
            let rules = rule(&format!("{name}-{turn}"), weights);
            change(&proxy, &load, || site.write("route.yaml", &route("all", &rules)));
        }
        // The policy asks for another name that the servers have, and for the first again.
        for hostname in [ALIAS, BACKEND] {
            for service in ["peer", "other"] {
                let policy = manifests::policy(service, service, hostname, "ca", "");
                change(&proxy, &load, || site.write(&format!("policy-{service}.yaml"), &policy));
            }
        }
        // The trust anchors: both CAs, servers with certificates of the new one, then it alone.
        let next = Authority::new(&format!("backend CA {turn}"));
        let both = format!("{trusted}{}", next.pem());
        change(&proxy, &load, || site.write("ca.yaml", &manifests::config_map("ca", &both)));
        for service in ["peer", "other"] {
            let leaf = next.leaf(&[BACKEND, ALIAS]);
            let server = peers::grpc_interop(site.work(), Some(&leaf)).unwrap();
            let text = manifests::service(service, &[server.port], None);
            change(&proxy, &load, || site.write(&format!("service-{service}.yaml"), &text));
            servers.push(server);
        }
        trusted = next.pem();
        change(&proxy, &load, || site.write("ca.yaml", &manifests::config_map("ca", &trusted)));
    }
    // Connections of before go within the time they have.
    std::thread::sleep(Duration::from_secs(5));
    let (calls, streams, faults) = load.stop();
    eprintln!("{calls} calls and {streams} streams over {} servers", servers.len());
    assert!(faults.is_empty(), "{} of {}: {faults:#?}", faults.len(), calls + streams);
    assert!(calls > 1_000 && streams > 100, "{calls} calls, {streams} streams");
    let records = proxy.access_log();
    let failed: Vec<_> = records.iter().filter(|record| !record["reason"].is_null()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    // Each change was met by calls: every server had some.
    for server in &servers {
        let endpoint = format!("127.0.0.1:{}", server.port);
        let served = records.iter().filter(|record| record["endpoint"] == endpoint.as_str()).count();
        assert!(served > 0, "{endpoint} was never asked");
    }
    // The load would have told: a name that the servers do not have.
    let load = Load::start(&site);
    load.goes_on();
    site.write("policy-peer.yaml", &manifests::policy("peer", "peer", "else.test", "ca", ""));
    let told = within(PATIENCE, || (!load.shared.faults.lock().unwrap().is_empty()).then_some(()));
    assert!(told.is_some(), "calls go to a server that is not who it should be");
    load.stop();
    proxy.wait_access(|record| record["reason"] == "NameMismatch");
}

/// A rule to both Services.
fn rule(name: &str, [peer, other]: [u32; 2]) -> String {
    format!(
        "  - name: {name}\n    backendRefs:\n    - {{name: peer, port: 443, weight: {peer}}}\n    - {{name: other, port: \
         443, weight: {other}}}\n"
    )
}

/// Makes a change, waits until it is in force, and lets the load meet it.
fn change(proxy: &Proxy, load: &Load, make: impl FnOnce()) {
    let reloads = || proxy.metric("lasthop_config_reloads_total", &[]);
    let before = reloads();
    make();
    let done = within(PATIENCE, || (reloads() > before).then_some(()));
    assert!(done.is_some(), "the change is never taken up: {}", proxy.log());
    load.goes_on();
}

/// Clients that call and stream until they are told to stop.
struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
    runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
struct Shared {
    calls: AtomicUsize,
    streams: AtomicUsize,
    stop: AtomicBool,
    faults: Mutex<Vec<String>>,
}

impl Load {
    /// Over TLS and in plaintext, three clients that call and three that stream.
    fn start(site: &Site) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared = Arc::<Shared>::default();
        let channels: [Channel; 2] =
            runtime.block_on(async { [cases::encrypted(site).await, cases::in_plaintext(site).await] });
        let mut clients = Vec::new();
        for channel in channels {
            for _ in 0..3 {
                clients.push(runtime.spawn(shared.clone().call(Grpc::new(channel.clone()))));
                clients.push(runtime.spawn(shared.clone().stream(Grpc::new(channel.clone()))));
            }
        }
        Self { shared, clients, runtime }
    }

    /// Waits for some more calls and streams.
    fn goes_on(&self) {
        let count = || (self.shared.calls.load(Ordering::SeqCst), self.shared.streams.load(Ordering::SeqCst));
        let (calls, streams) = count();
        let more = within(PATIENCE, || {
            let now = count();
            (now.0 >= calls + 30 && now.1 >= streams + 6).then_some(())
        });
        assert!(more.is_some(), "{:#?}", self.shared.faults.lock().unwrap());
    }

    /// How many calls and streams there were, and what went wrong.
    fn stop(self) -> (usize, usize, Vec<String>) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.runtime.block_on(async {
            for client in self.clients {
                client.await.unwrap();
            }
        });
        let faults = self.shared.faults.lock().unwrap().clone();
        (self.shared.calls.load(Ordering::SeqCst), self.shared.streams.load(Ordering::SeqCst), faults)
    }
}

impl Shared {
    async fn call(self: Arc<Self>, mut client: Client) {
        while !self.stop.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(8)).await;
            match cases::empty(&mut client, cases::path("EmptyCall")).await {
                Ok(response) => assert_eq!(response.into_inner(), Empty {}),
                Err(status) => self.fault(&format!("a call: {status:?}")),
            }
            self.calls.fetch_add(1, Ordering::SeqCst);
        }
    }

    async fn stream(self: Arc<Self>, mut client: Client) {
        while !self.stop.load(Ordering::SeqCst) {
            if let Err(fault) = ping_pong(&mut client).await {
                self.fault(&format!("a stream: {fault}"));
            }
            self.streams.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn fault(&self, what: &str) {
        self.faults.lock().unwrap().push(what.to_owned());
    }
}

/// A stream to its proper end; each request is sent after the response to the one before.
async fn ping_pong(client: &mut Client) -> Result<(), String> {
    let (sender, requests) = mpsc::channel(1);
    let ask = async |size| sender.send(cases::asking(10, size, PAUSE)).await.map_err(|_| "nobody reads");
    ask(1).await?;
    let responses = cases::duplex(client, Request::new(ReceiverStream::new(requests))).await;
    let mut responses = responses.map_err(|status| format!("{status:?}"))?.into_inner();
    for size in 1..=MESSAGES {
        match responses.message().await {
            Ok(Some(response)) if length(response.payload.as_ref()) == size => {}
            other => return Err(format!("message {size}: {other:?}")),
        }
        if size < MESSAGES {
            ask(size + 1).await?;
        }
    }
    drop(sender);
    match responses.message().await {
        Ok(None) => Ok(()),
        other => Err(format!("the end: {other:?}")),
    }
}
