//! XBackends by host name: a DNS server that says what a test wants, backends at several loopback addresses.

mod answers;
mod families;
mod hops;
mod outages;

use std::{
    io::{Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::support::{Stack, dns::Dns, proxy::Proxy, site::Site};

/// The host that XBackends name.
const HOST: &str = "api.outside.test";

/// An XBackend; `more` is added to its spec.
fn xbackend(name: &str, host: &str, port: u16, more: &str) -> String {
    format!(
        "apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata:
  name: {name}
  namespace: default
spec:
  type: ExternalHostname
  externalHostname:
    hostname: {host}
  port:
    number: {port}
{more}"
    )
}

/// TLS that is verified: the site's CA, and this name; `more` is added to it.
fn tls(mode: &str, name: &str, more: &str) -> String {
    format!(
        "  tls:
    mode: {mode}
    validation:
      hostname: {name}
      caCertificateRefs:
      - group: \"\"
        kind: ConfigMap
        name: ca
{more}"
    )
}

/// A reference to an XBackend.
fn reference(name: &str) -> String {
    format!("{{group: gateway.networking.x-k8s.io, kind: XBackend, name: {name}}}")
}

/// A route of this kind to XBackends; `more` is added to its spec before the rule.
fn route(kind: &str, name: &str, more: &str, rule: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata:
  name: {name}
  namespace: default
spec:
  parentRefs:
  - name: front
{more}  rules:
  - {rule}
"
    )
}

/// The host `NAME.test` leads to the XBackend of the name.
fn routed(site: &Site, name: &str) {
    let rule = format!("backendRefs: [{}]", reference(name));
    let host = format!("  hostnames: [{name}.test]\n");
    site.write(&format!("route-{name}.yaml"), &route("HTTPRoute", name, &host, &rule));
}

/// As [`routed`], with the XBackend, which has verified TLS.
fn outside(site: &Site, name: &str, host: &str, port: u16) {
    routed(site, name);
    let spec = tls("ServerOnly", crate::support::site::BACKEND, "");
    site.write(&format!("xbackend-{name}.yaml"), &xbackend(name, host, port, &spec));
}

/// The proxy, asking this server for names.
fn start(site: &Site, stack: Stack, dns: &Dns, flags: &[&str]) -> Proxy {
    let address = dns.address.to_string();
    let flags = [&["--resolver", &address, "--resolver-allow-local"], flags].concat();
    let mut proxy = Proxy::start_without_waiting(stack, &site.manifests(), site.work(), &flags);
    proxy.wait_ready(&[site.https, site.http]);
    proxy
}

/// Another address of a backend: what comes there goes to the port of 127.0.0.1.
struct Alias {
    connections: Arc<AtomicUsize>,
}

impl Alias {
    fn new(address: &str, port: u16) -> Self {
        let address: IpAddr = address.parse().unwrap();
        let listener = TcpListener::bind(SocketAddr::new(address, port)).unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let Ok(to) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let (back_from, back_to) = (to.try_clone().unwrap(), stream.try_clone().unwrap());
                std::thread::spawn(move || copy(stream, to));
                std::thread::spawn(move || copy(back_from, back_to));
            }
        });
        Self { connections }
    }

    /// Takes connections and never says anything.
    fn silent(address: &str, port: u16) -> Self {
        let address: IpAddr = address.parse().unwrap();
        let listener = TcpListener::bind(SocketAddr::new(address, port)).unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                held.push(stream);
            }
        });
        Self { connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
