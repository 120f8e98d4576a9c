//! The PROXY protocol from curl, and to HAProxy.

use std::process::Command;

use super::manifests::{listener, route};
use crate::{
    for_each_stack,
    support::{
        PATIENCE, Stack, curl, manifests, ports,
        processes::{Process, program},
        server::Server,
        site::Site,
        within,
    },
};

for_each_stack!(from_curl, to_haproxy);

fn annotated(manifest: &str, value: &str) -> String {
    let annotation =
        format!("  namespace: default\n  annotations:\n    lasthop.dev/proxy-protocol: {value}\n");
    manifest.replacen("  namespace: default\n", &annotation, 1)
}

fn from_curl(stack: Stack) {
    let site = Site::new();
    let gateway = std::fs::read_to_string(site.manifests().join("gateway.yaml")).unwrap();
    site.write("gateway.yaml", &annotated(&gateway, "http, https"));
    let shop = Server::plain("shop");
    site.plain_backend("shop", shop.port);
    let proxy = site.start(stack);
    let flags = ["--http1.1", "--haproxy-protocol", "--haproxy-clientip", "192.0.2.7"];
    let newer = ["--http1.1", "--haproxy-protocol"];
    // Older curls speak for themselves only.
    let known = curl::http("shop.test", site.http, "/", &flags);
    let (flags, address): (&[&str], _) = match known.status {
        200 => (&flags, "192.0.2.7"),
        _ => (&newer, "127.0.0.1"),
    };
    for answer in [
        curl::http("shop.test", site.http, "/", flags),
        curl::https(&site.front_ca(), "shop.test", site.https, "/", flags),
    ] {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let seen = shop.requests();
    assert!(
        seen.iter().all(|head| head.to_lowercase().contains(&format!("x-forwarded-for: {address}"))),
        "{seen:?}"
    );
    let bare = curl::http("shop.test", site.http, "/", &[]);
    assert_eq!(bare.status, 0, "{bare:?}");
    let record = proxy.wait_access(|record| record["reason"] == "ProxyProtocol");
    assert_eq!(record["listener"], "default/front/http");
}

/// HAProxy on two ports, each of which takes connections only with a header: raw, and HTTP. They say the client's address.
fn to_haproxy(stack: Stack) {
    let tcp = ports::free();
    let site = Site::with_gateway(&listener("raw", tcp, "TCP", ""));
    let port = ports::free();
    let configuration = format!(
        "global
  nbthread 1
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 5s
frontend front
  bind 127.0.0.1:{port} accept-proxy
  http-request return status 200 content-type text/plain lf-string \"from %ci to port %fp\"
"
    );
    let path = site.work().join("haproxy.cfg");
    std::fs::write(&path, configuration).unwrap();
    let mut command = Command::new(program("haproxy").expect("haproxy is needed: cargo xtask setup"));
    command.args(["-db", "-f"]).arg(&path);
    let _haproxy = Process::start(command, site.work(), "haproxy");
    site.write("service-shop.yaml", &annotated(&manifests::service("shop", &[port], None), "v2"));
    site.write("route-raw.yaml", &route("TCPRoute", "raw", "raw", None, &[("shop", 1)]));
    site.write("route-shop.yaml", &manifests::route("shop", "shop.test", "shop", ""));
    let mut proxy = site.start(stack);
    proxy.wait_ready(&[tcp]);
    let listening = within(PATIENCE, || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    assert!(listening.is_some());
    // From an address of its own, so that it cannot be taken for the proxy's.
    let flags = ["--interface", "127.0.0.9"];
    let answer = curl::http("shop.test", tcp, "/", &flags);
    assert_eq!(answer.body, format!("from 127.0.0.9 to port {tcp}"), "{answer:?}");
    for client in ["127.0.0.9", "127.0.0.8", "127.0.0.9"] {
        let answer = curl::https(&site.front_ca(), "shop.test", site.https, "/", &["--interface", client]);
        assert_eq!(answer.body, format!("from {client} to port {}", site.https), "{answer:?}");
    }
}
