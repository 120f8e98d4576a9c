//! A namespace of its own for each test, and what stands in it.

use std::{
    fmt::Write as _,
    io::Write as _,
    net::{IpAddr, TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::Value;
use tempfile::TempDir;

/// For anything to happen. Pods start and end in it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// The name on backends' certificates.
pub(crate) const BACKEND: &str = "backend.test";

static TURN: RwLock<()> = RwLock::new(());

/// Beside others, or alone, because something that all share is changed.
pub(crate) enum Turn {
    Shared(#[expect(dead_code, reason = "held")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'static, ()>),
}

/// A namespace, with the files of its backends.
pub(crate) struct Site {
    pub(crate) namespace: String,
    pub(crate) authority: CertifiedIssuer<'static, KeyPair>,
    /// Where backends listen: the node's own address.
    pub(crate) node: IpAddr,
    folder: TempDir,
    _turn: Turn,
}

/// A server that runs until the test ends.
pub(crate) struct Nginx {
    pub(crate) port: u16,
    process: Child,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What curl got.
#[derive(Debug)]
pub(crate) struct Answer {
    /// 0: nothing.
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Site {
    /// `None`, and loudly so, where there is no installation to test.
    pub(crate) fn new(name: &str) -> Option<Self> {
        Self::with(name, || Turn::Shared(TURN.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// No other test runs meanwhile.
    pub(crate) fn alone(name: &str) -> Option<Self> {
        Self::with(name, || Turn::Alone(TURN.write().unwrap_or_else(PoisonError::into_inner)))
    }

    fn with(name: &str, turn: impl FnOnce() -> Turn) -> Option<Self> {
        if std::env::var_os("LASTHOP_TEST_INSTALLED").is_none() {
            assert!(
                std::env::var_os("CI").is_none(),
                "in CI these run by `cargo xtask test --step cluster` only"
            );
            eprintln!("SKIPPED: Lasthop is installed nowhere; `cargo xtask test --step cluster` does that");
            return None;
        }
        let turn = turn();
        let namespace = format!("{name}-{}", std::process::id());
        kubectl(&["create", "namespace", &namespace]);
        let node = "jsonpath={.items[0].status.addresses[?(@.type==\"InternalIP\")].address}";
        let node = kubectl(&["get", "nodes", "--output", node]).trim().parse().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "the test's CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let site = Self { namespace, authority, node, folder: tempfile::tempdir().unwrap(), _turn: turn };
        let mut ca = String::new();
        site.authority.pem().lines().for_each(|line| writeln!(ca, "    {line}").unwrap());
        site.apply(&format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: ca}}\ndata:\n  ca.crt: |\n{ca}"
        ));
        Some(site)
    }

    /// `kubectl` in the namespace.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(&[&["--namespace", &self.namespace], arguments].concat())
    }

    /// Applies manifests to the namespace, as a user would.
    pub(crate) fn apply(&self, manifests: &str) {
        let arguments =
            ["--namespace", &self.namespace, "apply", "--server-side", "--force-conflicts", "-f", "-"];
        succeeded(&arguments, run("kubectl", &arguments, manifests));
    }

    /// An object.
    pub(crate) fn object(&self, kind: &str, name: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["get", kind, name, "--output=json"])).unwrap()
    }

    /// A Gateway with a listener for HTTP; `more` is added to its spec.
    pub(crate) fn gateway(&self, name: &str, more: &str) {
        self.apply(&format!(
            "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec:
  gatewayClassName: lasthop
  listeners:
  - {{name: http, port: 80, protocol: HTTP}}
{more}"
        ));
    }

    /// Waits until the Gateway is programmed, and gives its first address.
    pub(crate) fn programmed(&self, name: &str) -> IpAddr {
        self.condition("gateway", name, "Programmed", |found, _| found == "True/Programmed");
        self.addresses(name)[0]
    }

    /// The addresses in a Gateway's status.
    pub(crate) fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let gateway = self.object("gateway", name);
        let addresses = gateway["status"]["addresses"].as_array().cloned().unwrap_or_default();
        addresses.iter().map(|address| address["value"].as_str().unwrap().parse().unwrap()).collect()
    }

    /// Waits until a condition, as `status/reason` and message, is as wanted, and gives the message.
    pub(crate) fn condition(
        &self,
        kind: &str,
        name: &str,
        condition: &str,
        wanted: impl Fn(&str, &str) -> bool,
    ) -> String {
        let mut last = String::new();
        let found = within(|| {
            let object = self.object(kind, name);
            let (verdict, message) = find(&object["status"], condition)?;
            last = format!("{verdict}: {message}");
            wanted(&verdict, &message).then_some(message)
        });
        found.unwrap_or_else(|| panic!("{kind} {name}: {condition} stays {last:?}"))
    }

    /// A Service that leads to these ports of the node, with a policy that wants the name on their certificates.
    pub(crate) fn service(&self, name: &str, ports: &[u16], options: &str) {
        let node = self.node;
        let slice = |port: &u16| {
            format!(
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}-{port}, labels: \
                 {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\nports: [{{name: web, port: {port}}}]\n\
                 endpoints: [{{addresses: [{node}]}}]\n"
            )
        };
        let slices: String = ports.iter().map(slice).collect();
        self.apply(&format!(
            "apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{ports: [{{name: web, port: 443}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {{name: {name}}}
spec:
  targetRefs: [{{group: '', kind: Service, name: {name}}}]
  validation: {{hostname: {BACKEND}, caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}]}}
  options: {{{options}}}
{slices}"
        ));
    }

    /// A route for the host `NAME.test` to the Service of the name; `more` is added to its rule.
    pub(crate) fn route(&self, gateway: &str, name: &str, more: &str) {
        self.apply(&format!(
            "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: [{{name: {gateway}}}]
  hostnames: [{name}.test]
  rules:
  - backendRefs: [{{name: {name}, port: 443}}]
{more}"
        ));
    }

    /// A certificate of the CA for a name, and its key.
    pub(crate) fn leaf(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.authority).unwrap().pem(), key.serialize_pem())
    }

    /// nginx with a certificate for [`BACKEND`]: says its name, and shows the token that it was shown.
    pub(crate) fn nginx(&self, name: &str) -> Nginx {
        let node = self.node;
        let port = TcpListener::bind((node, 0)).unwrap().local_addr().unwrap().port();
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let (certificate, key) = self.leaf(BACKEND);
        for (file, text) in [("tls.crt", certificate), ("tls.key", key)] {
            std::fs::write(folder.join(file), text).unwrap();
        }
        let path = folder.display();
        let configuration = format!(
            "daemon off; master_process off; pid {path}/pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {path}/body; proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/fastcgi;
  uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;
  server {{
    listen {node}:{port} ssl;
    ssl_certificate {path}/tls.crt; ssl_certificate_key {path}/tls.key; ssl_protocols TLSv1.2 TLSv1.3;
    client_max_body_size 0;
    location / {{
      add_header x-backend {name}; add_header x-tls \"$ssl_protocol $ssl_server_name\";
      add_header x-token $http_authorization;
      return 200 \"{name}\\n\";
    }}
  }}
}}
"
        );
        std::fs::write(folder.join("nginx.conf"), configuration).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&folder).arg("-c").arg(folder.join("nginx.conf")).args(["-e", "stderr"]);
        let process = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("nginx is installed");
        let nginx = Nginx { port, process };
        within(|| TcpStream::connect((node, port)).ok()).expect("nginx listens");
        nginx
    }

    /// A folder for whatever a test writes.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what stood in {}:", self.namespace);
            let kinds = "gateways,httproutes,backendtlspolicies,lasthopparameters,pods,services,deployments";
            let output = run("kubectl", &["--namespace", &self.namespace, "get", kinds, "--output=wide"], "");
            eprintln!("{}", String::from_utf8_lossy(&output.stdout));
            let log = [
                "--namespace=lasthop-system",
                "logs",
                "--tail=40",
                "--selector=app.kubernetes.io/name=lasthop-controller",
            ];
            eprintln!("{}", String::from_utf8_lossy(&run("kubectl", &log, "").stdout));
        }
        run("kubectl", &["delete", "namespace", &self.namespace, "--wait=false"], "");
    }
}

/// A condition of a status, or of its first parent's or ancestor's: `status/reason`, and the message.
pub(crate) fn find(status: &Value, condition: &str) -> Option<(String, String)> {
    let of = |status: &Value| status["conditions"].as_array().cloned();
    let all = of(status).or_else(|| of(&status["parents"][0])).or_else(|| of(&status["ancestors"][0]))?;
    let found = all.iter().find(|found| found["type"] == condition)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some((format!("{}/{}", text("status"), text("reason")), text("message")))
}

/// Asks until there is an answer, for [`PATIENCE`].
pub(crate) fn within<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() > end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// `kubectl`, which must succeed.
pub(crate) fn kubectl(arguments: &[&str]) -> String {
    succeeded(arguments, run("kubectl", arguments, ""))
}

fn succeeded(arguments: &[&str], output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubectl {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn run(program: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    process.wait_with_output().unwrap()
}

/// One request on a connection of its own.
pub(crate) fn curl(address: IpAddr, host: &str, flags: &[&str]) -> Answer {
    let url = format!("http://{host}/");
    let resolve = format!("{host}:80:{address}");
    let common = ["--silent", "--include", "--max-time", "10", "--resolve", &resolve];
    let output = run("curl", &[&common[..], flags, &[&url]].concat(), "");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// Asks until the answer has this status.
pub(crate) fn becomes(address: IpAddr, host: &str, status: u16) -> Answer {
    let mut last = None;
    let found = within(|| {
        let answer = curl(address, host, &[]);
        let right = answer.status == status;
        last = Some(answer);
        right.then_some(())
    });
    assert!(found.is_some(), "{host} at {address} never answers {status} but {last:?}");
    last.unwrap()
}
