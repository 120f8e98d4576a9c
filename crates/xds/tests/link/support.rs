//! A controller and proxies without dataplanes.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use lasthop_dataplane_api::{
    AppProtocol, Attachment, Backend, BackendKey, BackendTarget, BackendTls, Dataplane, Endpoint,
    EndpointSet, EndpointsKey, HttpMatch, HttpRule, Listener, ListenerKey, ListenerProtocol, ListenerState,
    ListenerTls, ObjectName, PathMatch, PlaintextReason, Report, RouteKey, RouteKind, RuleKey, Snapshot, Sni,
    Timeouts, TlsCapabilities, TlsStack, Update, UpdateSource, UpstreamTlsPolicy, UpstreamTlsSettings,
    WeightedBackend,
};
use lasthop_tls_verify::{CertifiedKey, Identity, PeerRequirements, TrustAnchors};
use lasthop_xds::{
    AuthenticationError, Authenticator, Authority, Client, ClientMetrics, ClientOptions, Server,
    ServerMetrics, ServerOptions, ServingTls,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// Everything that is waited for comes within this.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < LONG, "{what}: not within {LONG:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The token is the account's name, as `namespace/name`.
pub(crate) struct ByName;

#[async_trait]
impl Authenticator for ByName {
    async fn authenticate(&self, token: &str) -> Result<ObjectName, AuthenticationError> {
        match token {
            "later" => Err(AuthenticationError::Unavailable("no API server".to_owned())),
            _ => token.parse().map_err(|_| AuthenticationError::Refused("made up".to_owned())),
        }
    }
}

/// The account of a Gateway's proxies.
pub(crate) fn account(gateway: &ObjectName) -> ObjectName {
    ObjectName::new(gateway.namespace.clone(), format!("{}-proxy", gateway.name))
}

pub(crate) struct Controller {
    pub(crate) server: Server,
    pub(crate) metrics: ServerMetrics,
    pub(crate) address: SocketAddr,
    pub(crate) snapshot: Snapshot,
    pub(crate) tls: ServingTls,
    task: JoinHandle<()>,
}

impl Controller {
    pub(crate) async fn start(authority: &Authority) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), authority, |options| options).await
    }

    pub(crate) async fn at(
        address: SocketAddr,
        authority: &Authority,
        change: impl FnOnce(ServerOptions) -> ServerOptions,
    ) -> Self {
        let capabilities = TlsCapabilities {
            stack: TlsStack::Rustls,
            versions: Vec::new(),
            cipher_suites: Vec::new(),
            tls13_suite_choice: false,
            groups: Vec::new(),
        };
        let metrics = ServerMetrics::new().unwrap();
        let options = ServerOptions::new(Arc::new(ByName), Arc::new(account), capabilities, metrics.clone());
        let server = Server::new(change(options));
        let tls = ServingTls::new(&authority.issue(SystemTime::now()).unwrap()).unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(server.clone().serve(listener, tls.clone()));
        Self { server, metrics, address, snapshot: Snapshot::default(), tls, task }
    }

    /// Goes from what is to what shall be.
    pub(crate) async fn set(&mut self, change: impl FnOnce(&mut Snapshot)) {
        let mut new = self.snapshot.clone();
        change(&mut new);
        new.version += 1;
        let update = self.snapshot.update_to(&new);
        self.snapshot = new;
        let report = self.server.apply(Arc::new(update)).await;
        assert_eq!(report, Report::default(), "nothing is said before the proxies said it");
    }

    /// Waits for the next word of the proxies.
    pub(crate) async fn word(&self) -> Report {
        tokio::time::timeout(LONG, self.server.reported()).await.unwrap()
    }

    /// Nothing is said for a while.
    pub(crate) async fn is_silent(&self) {
        let word = tokio::time::timeout(Duration::from_millis(300), self.server.reported()).await;
        assert!(word.is_err(), "{word:?}");
    }

    pub(crate) async fn stop(self) -> Snapshot {
        self.task.abort();
        let _ = self.task.await;
        self.snapshot
    }
}

/// How a fake dataplane answers.
pub(crate) type Answers = Arc<dyn Fn(&Update) -> Report + Send + Sync>;

/// All listeners serve.
pub(crate) fn bound() -> Answers {
    Arc::new(|update| Report {
        version: update.version,
        listeners: update
            .listeners
            .0
            .iter()
            .filter(|(_, listener)| listener.is_some())
            .map(|(key, _)| (key.clone(), ListenerState::Bound(vec!["127.0.0.1:1".parse().unwrap()])))
            .collect(),
        refused_backends: Vec::new(),
    })
}

/// What a proxy has in force.
pub(crate) type InForce = watch::Receiver<(Snapshot, usize)>;

pub(crate) struct Proxy {
    pub(crate) in_force: InForce,
    pub(crate) metrics: ClientMetrics,
    pub(crate) updates: Arc<Mutex<Vec<Arc<Update>>>>,
    pub(crate) files: TempDir,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) fn start(controller: SocketAddr, authority: &Authority, gateway: &ObjectName) -> Self {
        let token = account(gateway).to_string();
        Self::with(controller, authority, gateway, &token, bound(), Duration::ZERO)
    }

    pub(crate) fn with(
        controller: SocketAddr,
        authority: &Authority,
        gateway: &ObjectName,
        token: &str,
        answers: Answers,
        takes: Duration,
    ) -> Self {
        Self::of_many(&controller.to_string(), authority, gateway, token, answers, takes)
    }

    /// `controllers` are addresses with commas between them.
    pub(crate) fn of_many(
        controllers: &str,
        authority: &Authority,
        gateway: &ObjectName,
        token: &str,
        answers: Answers,
        takes: Duration,
    ) -> Self {
        let files = tempfile::tempdir().unwrap();
        let (token_file, ca_file): (PathBuf, PathBuf) =
            (files.path().join("token"), files.path().join("ca.crt"));
        std::fs::write(&token_file, format!("{token}\n")).unwrap();
        std::fs::write(&ca_file, authority.bundle()).unwrap();
        let metrics = ClientMetrics::new().unwrap();
        let address = controllers.parse().unwrap();
        let mut options = ClientOptions::new(address, gateway.clone(), "pod-1", token_file, ca_file);
        options.backoff = (Duration::from_millis(20), Duration::from_millis(200));
        let mut client = Client::start(options, metrics.clone());
        let (sender, in_force) = watch::channel((Snapshot::default(), 0));
        let updates = Arc::new(Mutex::new(Vec::new()));
        let seen = updates.clone();
        let task = tokio::spawn(async move {
            while let Some(update) = client.next().await {
                tokio::time::sleep(takes).await;
                seen.lock().unwrap().push(update.clone());
                sender.send_modify(|(snapshot, count)| {
                    snapshot.apply(&update);
                    *count += 1;
                });
                client.reported(answers(&update));
            }
        });
        Self { in_force, metrics, updates, files, task }
    }

    /// Waits until this is in force.
    pub(crate) async fn has(&mut self, expected: &Snapshot) {
        let same = |(snapshot, _): &(Snapshot, usize)| same(snapshot, expected);
        let waited =
            tokio::time::timeout(LONG, self.in_force.wait_for(same)).await.map(|found| found.is_ok());
        if waited != Ok(true) {
            panic!("expected {expected:?}\nfound {:?}", self.in_force.borrow().0);
        }
    }

    pub(crate) fn applied(&self) -> usize {
        self.in_force.borrow().1
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether they serve the same.
pub(crate) fn same(a: &Snapshot, b: &Snapshot) -> bool {
    let (a, b) = (Snapshot { version: 0, ..a.clone() }, Snapshot { version: 0, ..b.clone() });
    a == b
}

/// The part of a snapshot that belongs to a Gateway.
pub(crate) fn part(snapshot: &Snapshot, gateway: &ObjectName) -> Snapshot {
    let mut part = snapshot.clone();
    part.listeners.retain(|key, _| key.gateway == *gateway);
    part.http_rules.retain(|key, _| key.gateway == *gateway);
    part.l4_rules.retain(|key, _| key.gateway == *gateway);
    part.backends.retain(|key, _| key.gateway == *gateway);
    let Snapshot { backends, endpoints, .. } = &mut part;
    endpoints.retain(|key, _| backends.keys().any(|backend| backend.endpoints == *key));
    part
}

pub(crate) fn gateway(name: &str) -> ObjectName {
    ObjectName::new("edge", name)
}

/// A certificate with its key, and the bundle that trusts it.
pub(crate) fn certificate(name: &str) -> (Arc<CertifiedKey>, Arc<TrustAnchors>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let certified =
        CertifiedKey::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    let (anchors, _) = TrustAnchors::from_pem(certificate.pem().as_bytes()).unwrap();
    (Arc::new(certified), Arc::new(anchors))
}

pub(crate) fn listener_key(gateway: &ObjectName) -> ListenerKey {
    ListenerKey { gateway: gateway.clone(), set: None, name: "https".into() }
}

pub(crate) fn listener(gateway: &ObjectName, certificate: &Arc<CertifiedKey>) -> Arc<Listener> {
    Arc::new(Listener {
        key: listener_key(gateway),
        port: 8443,
        addresses: Vec::new(),
        protocol: ListenerProtocol::HTTPS,
        hostname: Some("*.example.com".parse().unwrap()),
        tls: Some(ListenerTls { certificates: vec![certificate.clone()], client_validation: None }),
        proxy_protocol: false,
    })
}

pub(crate) fn rule(gateway: &ObjectName, name: &str, service: &str) -> Arc<HttpRule> {
    let route = RouteKey { kind: RouteKind::HTTPRoute, object: ObjectName::new("apps", name) };
    let backend = backend_key(gateway, service);
    let matching =
        HttpMatch { path: Some(PathMatch::Prefix(format!("/{name}").into())), ..HttpMatch::default() };
    Arc::new(HttpRule {
        key: RuleKey { route, gateway: gateway.clone(), index: 0 },
        name: None,
        created: 1,
        attachments: vec![Attachment { listener: listener_key(gateway), hosts: Vec::new() }],
        matches: vec![matching],
        filters: Vec::new(),
        backends: vec![WeightedBackend {
            weight: 1,
            target: BackendTarget::Backend(backend),
            filters: Vec::new(),
        }],
        timeouts: Timeouts::default(),
        retry: None,
        persistence: None,
    })
}

pub(crate) fn backend_key(gateway: &ObjectName, service: &str) -> BackendKey {
    let endpoints = EndpointsKey::service(ObjectName::new("apps", service), 443);
    BackendKey { gateway: gateway.clone(), endpoints }
}

pub(crate) fn backend(
    gateway: &ObjectName,
    service: &str,
    anchors: Option<&Arc<TrustAnchors>>,
) -> Arc<Backend> {
    let tls = match anchors {
        None => BackendTls::Plaintext(PlaintextReason::NoPolicy),
        Some(anchors) => {
            let identity = Identity::dns("backend.example").unwrap();
            let peer = PeerRequirements::new(anchors.clone(), vec![identity]);
            let settings = UpstreamTlsSettings::new(peer, Sni::Name("backend.example".parse().unwrap()));
            BackendTls::Policy(Arc::new(UpstreamTlsPolicy::new("apps/policy", settings)))
        }
    };
    let protocol = AppProtocol::Unspecified;
    Arc::new(Backend { key: backend_key(gateway, service), protocol, tls, proxy_protocol: false })
}

pub(crate) fn endpoints(service: &str, last: u8) -> Arc<EndpointSet> {
    let key = EndpointsKey::service(ObjectName::new("apps", service), 443);
    let endpoint = Endpoint { address: SocketAddr::from(([10, 0, 0, last], 8443)) };
    Arc::new(EndpointSet { key, endpoints: vec![endpoint], hostname: None })
}

/// Puts a listener there, and a route with a backend and its endpoints.
pub(crate) fn furnish(
    snapshot: &mut Snapshot,
    gateway: &ObjectName,
    shown: &Arc<CertifiedKey>,
    trusted: &Arc<TrustAnchors>,
) {
    let listener = listener(gateway, shown);
    snapshot.listeners.insert(listener.key.clone(), listener);
    add(snapshot, gateway, "shop", Some(trusted));
}

/// A controller with such a Gateway, `a`, and the anchors that its backend is trusted by.
pub(crate) async fn furnished() -> (Authority, Controller, ObjectName, Arc<TrustAnchors>) {
    let authority = authority();
    let mut controller = Controller::start(&authority).await;
    let a = gateway("a");
    let (key, anchors) = certificate("a.example.com");
    controller.set(|snapshot| furnish(snapshot, &a, &key, &anchors)).await;
    (authority, controller, a, anchors)
}

/// Puts a route there with a backend of its name and the backend's endpoints.
pub(crate) fn add(
    snapshot: &mut Snapshot,
    gateway: &ObjectName,
    name: &str,
    trusted: Option<&Arc<TrustAnchors>>,
) {
    let rule = rule(gateway, name, name);
    snapshot.http_rules.insert(rule.key.clone(), rule);
    let backend = backend(gateway, name, trusted);
    snapshot.backends.insert(backend.key.clone(), backend);
    let endpoints = endpoints(name, 1);
    snapshot.endpoints.insert(endpoints.key.clone(), endpoints);
}

pub(crate) fn authority() -> Authority {
    Authority::new(SystemTime::now()).unwrap()
}
