//! The demo's manifests: ordinary Kubernetes objects, as a user would write them.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::{backends::Backend, certificates::Certificate};

/// The files that a demo writes, and a later one may write over.
pub(crate) const FILES: [&str; 6] =
    ["gateway.yaml", "certificate.yaml", "routes.yaml", "services.yaml", "policies.yaml", "ca.crt"];

/// What stands in them.
pub(crate) struct Manifests<'a> {
    pub(crate) http_port: u16,
    pub(crate) https_port: u16,
    /// The CA that the backends' certificates and the listener's come from.
    pub(crate) ca: &'a str,
    pub(crate) listener: &'a Certificate,
    pub(crate) backends: &'a [Backend],
}

impl Manifests<'_> {
    /// Writes all files. Each appears as a whole.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        put(folder, "gateway.yaml", &self.gateway(), 0o644)?;
        put(folder, "certificate.yaml", &self.certificate(), 0o600)?;
        put(folder, "services.yaml", &self.services(), 0o644)?;
        put(folder, "policies.yaml", &self.policies(), 0o644)?;
        put(folder, "routes.yaml", &self.routes(), 0o644)?;
        put(folder, "ca.crt", self.ca, 0o644)
    }

    fn gateway(&self) -> String {
        let Self { http_port, https_port, .. } = self;
        format!(
            "\
# Where clients connect: plain HTTP, and HTTPS with the certificate of the Secret in certificate.yaml.
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: demo
  namespace: default
spec:
  gatewayClassName: lasthop
  listeners:
  - name: http
    protocol: HTTP
    port: {http_port}
  - name: https
    protocol: HTTPS
    port: {https_port}
    hostname: \"*.localhost\"
    tls:
      mode: Terminate
      certificateRefs:
      - name: demo-listener
"
        )
    }

    fn certificate(&self) -> String {
        format!(
            "\
# The listener's certificate and key, as `kubectl create secret tls` would store them.
apiVersion: v1
kind: Secret
metadata:
  name: demo-listener
  namespace: default
type: kubernetes.io/tls
stringData:
  tls.crt: |
{}  tls.key: |
{}",
            indented(&self.listener.chain),
            indented(&self.listener.key),
        )
    }

    fn services(&self) -> String {
        let mut text = "\
# One Service for each backend. On a cluster, Kubernetes keeps the EndpointSlices; here they name the loopback.
"
        .to_owned();
        for Backend { case, port, .. } in self.backends {
            let name = case.name;
            let _ = write!(
                text,
                "\
---
apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: default
spec:
  ports:
  - name: https
    port: 443
    targetPort: {port}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-1
  namespace: default
  labels:
    kubernetes.io/service-name: {name}
addressType: IPv4
ports:
- name: https
  port: {port}
endpoints:
- addresses: [\"127.0.0.1\"]
  conditions:
    ready: true
"
            );
        }
        text
    }

    fn policies(&self) -> String {
        let mut text = format!(
            "\
# The CA that the backends' certificates have to come from.
apiVersion: v1
kind: ConfigMap
metadata:
  name: demo-ca
  namespace: default
data:
  ca.crt: |
{}",
            indented(self.ca)
        );
        for Backend { case, .. } in self.backends {
            let (name, identity) = (case.name, case.identity());
            let _ = write!(
                text,
                "\
---
# This backend shows {}.
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata:
  name: {name}
  namespace: default
spec:
  targetRefs:
  - group: \"\"
    kind: Service
    name: {name}
  validation:
    hostname: {identity}
    caCertificateRefs:
    - group: \"\"
      kind: ConfigMap
      name: demo-ca
",
                case.shows.words()
            );
        }
        text
    }

    fn routes(&self) -> String {
        let mut text = "# One host for each backend.\n".to_owned();
        for Backend { case, .. } in self.backends {
            let (name, host) = (case.name, case.host());
            let _ = write!(
                text,
                "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {name}
  namespace: default
spec:
  parentRefs:
  - name: demo
  hostnames: [\"{host}\"]
  rules:
  - backendRefs:
    - name: {name}
      port: 443
"
            );
        }
        text
    }
}

fn indented(pem: &str) -> String {
    pem.lines().filter(|line| !line.is_empty()).map(|line| format!("    {line}\n")).collect()
}

fn put(folder: &Path, name: &str, text: &str, mode: u32) -> io::Result<()> {
    // The name in between begins with a dot, which the proxy passes over.
    let between = folder.join(format!(".{name}.new"));
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&between)?;
    file.write_all(text.as_bytes())?;
    fs::rename(between, folder.join(name))
}
