//! Redis behind a TCPRoute and a TLSRoute, its TLS begun by the proxy.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::manifests::{listener, route, tls_listener};
use crate::{
    for_each_stack,
    support::{
        PATIENCE, Stack,
        certificates::Leaf,
        manifests, ports,
        processes::{Process, program},
        site::Site,
        within,
    },
};

for_each_stack!(redis);

/// redis-server over TLS. `None` where it is not installed, which is a failure in CI.
fn start(folder: &Path, leaf: &Leaf) -> Option<(u16, Process)> {
    let Some(binary) = program("redis-server") else {
        assert!(std::env::var_os("CI").is_none(), "CI needs redis-server: cargo xtask setup");
        eprintln!("SKIPPED: there is no redis-server here; `cargo xtask setup` installs it");
        return None;
    };
    let port = ports::free();
    let (certificate, key) = leaf.write(folder, "redis");
    let mut command = Command::new(binary);
    command.args(["--port", "0", "--tls-port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    command.args(["--tls-auth-clients", "no", "--daemonize", "no", "--dir"]).arg(folder);
    command.arg("--tls-cert-file").arg(certificate).arg("--tls-key-file").arg(key);
    // A server without verified clients needs no CA, but wants one named.
    let ca = folder.join("redis.crt");
    command.arg("--tls-ca-cert-file").arg(ca);
    let process = Process::start(command, folder, "redis");
    let listening = within(PATIENCE, || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    assert!(listening.is_some(), "{}{}", process.out(), process.err());
    Some((port, process))
}

/// What redis-cli prints.
fn cli(port: u16, flags: &[&str], words: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.args(["10", "redis-cli", "-h", "127.0.0.1", "-p", &port.to_string()]).args(flags).args(words);
    let output = command.output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
        .trim()
        .to_owned()
}

fn redis(stack: Stack) {
    let (tcp, tls) = (ports::free(), ports::free());
    let listeners = listener("raw", tcp, "TCP", "") + &tls_listener("ended", tls, "shop.test", "Terminate");
    let site = Site::with_gateway(&listeners);
    let Some((port, _redis)) = start(site.work(), &site.leaf()) else { return };
    site.write("service-redis.yaml", &manifests::service("redis", &[port], None));
    site.write("route-raw.yaml", &route("TCPRoute", "raw", "raw", None, &[("redis", 1)]));
    site.write("route-tls.yaml", &route("TLSRoute", "tls", "ended", Some("shop.test"), &[("redis", 1)]));
    site.policy("redis", "");
    let mut proxy = site.start(stack);
    proxy.wait_ready(&[tcp, tls]);
    assert_eq!(cli(tcp, &[], &["set", "greeting", "hello"]), "OK");
    assert_eq!(cli(tcp, &[], &["get", "greeting"]), "hello");
    let ca: PathBuf = site.front_ca();
    let flags = ["--tls", "--sni", "shop.test", "--cacert", ca.to_str().unwrap()];
    assert_eq!(cli(tls, &flags, &["get", "greeting"]), "hello");
    // More than any buffer holds, and many at once on one connection.
    let long = "x".repeat(100_000);
    assert_eq!(cli(tcp, &[], &["set", "long", &long]), "OK");
    assert_eq!(cli(tls, &flags, &["get", "long"]), long);
    let record = proxy.wait_access(|record| record["route"] == "TCPRoute/default/raw");
    assert_eq!((record["protocol"].as_str(), record["tls"].as_str()), (Some("TCP"), Some("1.3")), "{record}");

    // Another name: not a byte goes there.
    site.write("policy-redis.yaml", &manifests::policy("redis", "redis", "other.test", "ca", ""));
    let refused = within(PATIENCE, || (cli(tcp, &[], &["get", "greeting"]) != "hello").then_some(()));
    assert!(refused.is_some());
    let answer = cli(tcp, &[], &["get", "greeting"]);
    assert!(answer.to_lowercase().contains("error") || answer.contains("reset"), "{answer}");
    proxy.wait_access(|record| record["reason"] == "NameMismatch");
}
