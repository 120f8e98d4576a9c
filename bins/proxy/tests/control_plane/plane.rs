//! A controller of a folder, and the proxy's process.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use lasthop_dataplane_api::ObjectName;
use lasthop_runtime::{
    control_loop::ControlLoop, metrics::Metrics, source::folder::FolderSource, state::State,
    status::LoggedStatus,
};
use lasthop_translator::{ClassPolicy, Options, Translator};
use lasthop_xds::{
    AuthenticationError, Authenticator, Authority, Server, ServerMetrics, ServerOptions, ServingTls,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::traffic::get;

const TOKEN: &str = "the token of the account";
const LONG: Duration = Duration::from_secs(60);

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is().await {
        assert!(began.elapsed() < LONG, "{what}: not within {LONG:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A port that was free just now.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Writes a Gateway on this port whose one rule leads to this Service and endpoint; all at once.
pub(crate) fn manifests(folder: &Path, port: u16, service: &str, endpoint: SocketAddr) {
    let text = format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  gatewayClassName: lasthop
  listeners: [{{name: http, protocol: HTTP, port: {port}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: shop}}
spec:
  parentRefs: [{{name: edge}}]
  rules: [{{backendRefs: [{{name: {service}, port: 80}}]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: {service}}}
spec:
  ports: [{{name: http, port: 80}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {service}, labels: {{kubernetes.io/service-name: {service}}}}}
addressType: IPv4
ports: [{{name: http, port: {backend_port}}}]
endpoints: [{{addresses: [{address}]}}]
",
        backend_port = endpoint.port(),
        address = endpoint.ip(),
    );
    let (written, named) = (folder.join(".all"), folder.join("all.yaml"));
    std::fs::write(&written, text).unwrap();
    std::fs::rename(written, named).unwrap();
}

struct OneToken;

#[async_trait]
impl Authenticator for OneToken {
    async fn authenticate(&self, token: &str) -> Result<ObjectName, AuthenticationError> {
        match token {
            TOKEN => Ok(ObjectName::new("default", "edge")),
            _ => Err(AuthenticationError::Refused("another one".to_owned())),
        }
    }
}

/// A controller.
pub(crate) struct Plane {
    state: Arc<State>,
    tasks: [JoinHandle<()>; 2],
}

impl Plane {
    pub(crate) async fn start(address: SocketAddr, authority: &Authority, folder: &Path) -> Self {
        let options = Options { class_policy: ClassPolicy::OwnAllWithoutClass, ..Options::default() };
        let capabilities = options.capabilities.clone();
        let account = |gateway: &ObjectName| gateway.clone();
        let link = ServerOptions::new(
            Arc::new(OneToken),
            Arc::new(account),
            capabilities,
            ServerMetrics::new().unwrap(),
        );
        let server = Server::new(link);
        let tls = ServingTls::new(&authority.issue(SystemTime::now()).unwrap()).unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let serving = tokio::spawn(server.clone().serve(listener, tls));
        let state = Arc::new(State::new(options.controller_name.clone()));
        let metrics = Metrics::new().unwrap();
        let control = ControlLoop {
            translator: Translator::new(options),
            dataplane: Arc::new(server),
            sink: LoggedStatus::new(state.clone(), metrics.clone()),
            state: state.clone(),
            metrics,
        };
        let source = FolderSource::open(folder, Duration::from_secs(2)).unwrap();
        let looping = tokio::spawn(control.run(source, std::future::pending()));
        Self { state, tasks: [serving, looping] }
    }

    /// Whether the Gateway's condition says so.
    pub(crate) fn is_programmed(&self) -> bool {
        let board = self.state.change_board(|board| board.to_json()).to_string();
        board.contains(r#""reason":"Programmed""#)
    }

    pub(crate) async fn stop(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }
}

/// The proxy's process.
pub(crate) struct Proxy {
    child: Child,
    admin: u16,
    _files: TempDir,
}

impl Proxy {
    pub(crate) fn start(controller: SocketAddr, authority: &Authority) -> Self {
        let files = tempfile::tempdir().unwrap();
        let (token, ca) = (files.path().join("token"), files.path().join("ca.crt"));
        std::fs::write(&token, TOKEN).unwrap();
        std::fs::write(&ca, authority.bundle()).unwrap();
        let admin = free_port();
        let child = Command::new(env!("CARGO_BIN_EXE_lasthop-proxy"))
            .args(["run", "--gateway", "default/edge", "--workers", "2", "--access-log", "off"])
            .arg("--control-plane")
            .arg(controller.to_string())
            .arg("--control-plane-ca")
            .arg(&ca)
            .arg("--control-plane-token")
            .arg(&token)
            .arg("--admin")
            .arg(admin.to_string())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, admin, _files: files }
    }

    /// The status of a page of the admin endpoint; 0 if there is none.
    pub(crate) async fn admin(&self, page: &str) -> u16 {
        get(self.admin, page).await.map_or(0, |(status, _)| status)
    }

    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = get(self.admin, "/metrics").await.ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
