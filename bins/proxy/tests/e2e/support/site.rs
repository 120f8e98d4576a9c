//! A folder of manifests with a Gateway in it, and what a client needs to speak to that Gateway.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use rustls::ClientConfig;
use tempfile::TempDir;

use super::{
    PATIENCE, Stack,
    certificates::{Authority, Leaf},
    client::Client,
    curl::{self, Curled},
    manifests, ports,
    proxy::Proxy,
    server::Server,
    within,
};

/// The name on the certificates of well-behaved backends.
pub(crate) const BACKEND: &str = "backend.test";

/// The names on the Gateway's certificate: every host that a test asks for. Clients take no wildcard below a top-level
/// domain.
pub(crate) const HOSTS: &[&str] = &[
    "shop.test",
    "a.test",
    "b.test",
    "peer.test",
    "nginx.test",
    "haproxy.test",
    "envoy.test",
    "h2c.test",
    "chat.test",
    "right.test",
    "wrong.test",
    "other.test",
    "mended.test",
    "more.test",
    "far.test",
    "nobody.test",
];

/// A folder of manifests. Its CA for backends stands in the ConfigMap `ca`.
pub(crate) struct Site {
    folder: TempDir,
    /// The port of the HTTPS listener.
    pub(crate) https: u16,
    /// The port of the HTTP listener.
    pub(crate) http: u16,
    /// Who signs the Gateway's certificate.
    pub(crate) front: Authority,
    /// Who signs the backends' certificates.
    pub(crate) backends: Authority,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with_gateway("")
    }

    /// `more` is added to the Gateway's spec.
    pub(crate) fn with_gateway(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("manifests")).unwrap();
        let site = Self {
            folder,
            https: ports::free(),
            http: ports::free(),
            front: Authority::new("front CA"),
            backends: Authority::new("backend CA"),
        };
        std::fs::write(site.front_ca(), site.front.pem()).unwrap();
        site.write("gateway.yaml", &manifests::gateway(site.https, site.http, more));
        site.write("front.yaml", &manifests::secret("front", &site.front.leaf(HOSTS)));
        site.write("ca.yaml", &manifests::config_map("ca", &site.backends.pem()));
        site
    }

    /// A site whose host `shop.test` leads to a backend that the policy accepts, which speaks HTTP/1.1.
    pub(crate) fn shop() -> (Self, Server) {
        let site = Self::new();
        let server = Server::tls("shop", site.leaf().server(&["http/1.1"]));
        site.tls_backend("shop", server.port);
        (site, server)
    }

    /// A folder for whatever is no manifest.
    pub(crate) fn work(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn manifests(&self) -> PathBuf {
        self.folder.path().join("manifests")
    }

    /// The front CA's certificate as a file, for curl.
    pub(crate) fn front_ca(&self) -> PathBuf {
        self.folder.path().join("front-ca.pem")
    }

    /// Writes a manifest at once: nobody sees half a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let new = self.folder.path().join(format!("{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.manifests().join(name)).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.manifests().join(name)).unwrap();
    }

    /// The host `NAME.test` is routed to a Service of the name with one endpoint, without TLS.
    pub(crate) fn plain_backend(&self, name: &str, port: u16) {
        self.write(&format!("route-{name}.yaml"), &manifests::route(name, &format!("{name}.test"), name, ""));
        self.write(&format!("service-{name}.yaml"), &manifests::service(name, &[port], None));
    }

    /// As [`Site::plain_backend`], with a policy: the site's CA, and [`BACKEND`] as the name.
    pub(crate) fn tls_backend(&self, name: &str, port: u16) {
        self.plain_backend(name, port);
        self.policy(name, "");
    }

    /// The policy of [`Site::tls_backend`]; `more` is added to its spec.
    pub(crate) fn policy(&self, name: &str, more: &str) {
        self.write(&format!("policy-{name}.yaml"), &manifests::policy(name, name, BACKEND, "ca", more));
    }

    /// A certificate that the policies accept.
    pub(crate) fn leaf(&self) -> Leaf {
        self.backends.leaf(&[BACKEND])
    }

    pub(crate) fn start(&self, stack: Stack) -> Proxy {
        Proxy::start(stack, &self.manifests(), self.work(), &[self.https, self.http])
    }

    /// Waits until requests to the shop have this status, and stay with it.
    pub(crate) fn becomes(&self, status: u16) {
        let became = within(PATIENCE, || (self.get("shop.test", "/").status == status).then_some(()));
        assert!(became.is_some(), "{:?} where {status} is wanted", self.get("shop.test", "/"));
        assert!((0..3).all(|_| self.get("shop.test", "/").status == status));
    }

    /// `lasthop-proxy check` on the manifests.
    pub(crate) fn check(&self, flags: &[&str]) -> Checked {
        check(&self.manifests(), flags)
    }

    /// A GET with curl through the HTTPS listener, with HTTP/1.1.
    pub(crate) fn get(&self, host: &str, path: &str) -> Curled {
        self.curl(host, path, &["--http1.1"])
    }

    pub(crate) fn curl(&self, host: &str, path: &str, flags: &[&str]) -> Curled {
        curl::https(&self.front_ca(), host, self.https, path, flags)
    }

    /// What a client of our own needs for the HTTPS listener.
    pub(crate) fn client_config(&self) -> Arc<ClientConfig> {
        self.front.client(&["http/1.1"], None)
    }

    /// A connection of our own to the HTTPS listener.
    pub(crate) fn connect(&self, host: &str) -> Client {
        Client::tls(self.https, host, &self.client_config()).unwrap()
    }
}

/// What `check` said.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn check(manifests: &Path, flags: &[&str]) -> Checked {
    let mut command = Command::new(crate::support::proxy::binary());
    let output = command.arg("check").arg("--config").arg(manifests).args(flags).output().unwrap();
    Checked {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
