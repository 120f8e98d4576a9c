//! Names asked of dnsmasq through a UDPRoute.

use std::{net::UdpSocket, path::Path, process::Command, time::Duration};

use super::manifests::{listener, over_udp, route};
use crate::support::{
    ANY_STACK, PATIENCE, manifests, ports,
    processes::{Process, program},
    site::Site,
    within,
};

/// dnsmasq, which knows one name. `None` where it is not installed, which is a failure in CI.
fn start(folder: &Path, address: &str) -> Option<(u16, Process)> {
    let Some(binary) = program("dnsmasq") else {
        assert!(std::env::var_os("CI").is_none(), "CI needs dnsmasq: cargo xtask setup");
        eprintln!("SKIPPED: there is no dnsmasq here; `cargo xtask setup` installs it");
        return None;
    };
    let port = ports::free();
    let mut command = Command::new(binary);
    command.args([
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--bind-interfaces",
        "--conf-file=/dev/null",
    ]);
    command.args(["--listen-address=127.0.0.1", "--pid-file", &format!("--port={port}")]);
    command.arg(format!("--address=/shop.test/{address}")).args(["--user=", "--log-facility=-"]);
    let process = Process::start(command, folder, &format!("dnsmasq-{port}"));
    assert!(
        within(PATIENCE, || ask(port, "shop.test").is_some().then_some(())).is_some(),
        "{}",
        process.err()
    );
    Some((port, process))
}

/// The address of a name (RFC 1035 §4), if an answer comes within a second.
fn ask(port: u16, name: &str) -> Option<[u8; 4]> {
    ask_from(&UdpSocket::bind("127.0.0.1:0").unwrap(), port, name)
}

fn ask_from(socket: &UdpSocket, port: u16, name: &str) -> Option<[u8; 4]> {
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(label.len() as u8);
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, 1, 0, 1]);
    socket.connect(("127.0.0.1", port)).ok()?;
    socket.send(&question).ok()?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).ok()?;
    // One answer; its last four bytes are the address.
    (answer[..2] == question[..2] && answer[7] == 1).then(|| answer[length - 4..length].try_into().unwrap())
}

#[test]
fn dnsmasq() {
    let _turn = crate::support::turn::shared();
    let port = ports::free();
    let site = Site::with_gateway(&listener("names", port, "UDP", ""));
    let Some((one, _one)) = start(site.work(), "192.0.2.1") else { return };
    let Some((two, _two)) = start(site.work(), "192.0.2.2") else { return };
    let service = |port| over_udp(&manifests::service("names", &[port], None));
    site.write("service-names.yaml", &service(one));
    site.write("route-names.yaml", &route("UDPRoute", "names", "names", None, &[("names", 1)]));
    let proxy = site.start(ANY_STACK);
    let answers = |wanted| within(PATIENCE, || (ask(port, "shop.test") == Some(wanted)).then_some(()));
    assert!(answers([192, 0, 2, 1]).is_some(), "{}", proxy.log());
    for _ in 0..200 {
        assert_eq!(ask(port, "shop.test"), Some([192, 0, 2, 1]));
    }
    site.write("service-names.yaml", &service(two));
    assert!(answers([192, 0, 2, 2]).is_some(), "{}", proxy.log());
    let sessions =
        proxy.metric("lasthop_l4_listener_connections_total", &[("listener", "default/front/names")]);
    assert!(sessions >= 201.0, "{sessions}");
    // A policy for a port of UDP: nothing goes there in plaintext.
    site.policy("names", "");
    let silent = within(PATIENCE, || ask(port, "shop.test").is_none().then_some(()));
    assert!(silent.is_some());
    assert_eq!(ask(port, "shop.test"), None);
    assert!(proxy.metric("lasthop_upstream_failures_total", &[("reason", "PolicyRefused")]) >= 1.0);
    proxy.wait_access(|record| record["protocol"] == "UDP" && record["reason"] == "PolicyRefused");
}

/// Thousands of clients that ask once and never come back.
#[test]
fn flood() {
    let _turn = crate::support::turn::alone();
    let port = ports::free();
    let site = Site::with_gateway(&listener("names", port, "UDP", ""));
    let Some((dns, _dns)) = start(site.work(), "192.0.2.1") else { return };
    site.write("service-names.yaml", &over_udp(&manifests::service("names", &[dns], None)));
    site.write("route-names.yaml", &route("UDPRoute", "names", "names", None, &[("names", 1)]));
    let proxy = site.start(ANY_STACK);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let regular = || ask_from(&socket, port, "shop.test") == Some([192, 0, 2, 1]);
    assert!(within(PATIENCE, || regular().then_some(())).is_some(), "{}", proxy.log());
    let before = proxy.memory();
    for number in 0..8_000_u32 {
        let source = std::net::Ipv4Addr::from(u32::from_be_bytes([127, 1, 0, 1]) + number);
        let socket = UdpSocket::bind((source, 0)).unwrap();
        socket.send_to(b"flood", ("127.0.0.1", port)).unwrap();
        if number % 1_000 == 0 {
            assert!(regular(), "after {number}");
        }
    }
    let sessions = proxy.metric("lasthop_l4_listener_connections", &[]);
    let grown = proxy.memory().saturating_sub(before);
    eprintln!("{sessions} sessions, {grown} KiB");
    assert!(sessions > 500.0 && grown < 64 * 1024, "{sessions} sessions, {grown} KiB");
    assert!(regular());
}
