//! Names asked of dnsmasq and CoreDNS through a UDPRoute, and through a TCPRoute what is too long for that.

use std::{
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
    path::Path,
    process::Command,
    time::Duration,
};

use super::manifests::{listener, over_udp, route};
use crate::support::{
    ANY_STACK, PATIENCE, manifests, peers, ports,
    processes::{Process, program},
    site::Site,
    within,
};

/// So many addresses do not fit into an answer over UDP.
const MANY: u16 = 100;

/// dnsmasq, which knows one name, and another that has [`MANY`] addresses. `None` where it is not installed, which is a
/// failure in CI.
fn start(folder: &Path, address: &str) -> Option<(u16, Process)> {
    let Some(binary) = program("dnsmasq") else {
        assert!(std::env::var_os("CI").is_none(), "CI needs dnsmasq: cargo xtask setup");
        eprintln!("SKIPPED: there is no dnsmasq here; `cargo xtask setup` installs it");
        return None;
    };
    let port = ports::free();
    let hosts = folder.join(format!("hosts-{port}"));
    std::fs::write(&hosts, (1..=MANY).map(|last| format!("192.0.2.{last} many.test\n")).collect::<String>())
        .unwrap();
    let mut command = Command::new(binary);
    command.arg("--addn-hosts").arg(hosts);
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
    let answer = exchange(socket, port, name)?;
    // One answer; its last four bytes are the address.
    (answers(&answer) == 1).then(|| answer[answer.len() - 4..].try_into().unwrap())
}

/// What is answered within a second.
fn exchange(socket: &UdpSocket, port: u16, name: &str) -> Option<Vec<u8>> {
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let question = question(name);
    socket.connect(("127.0.0.1", port)).ok()?;
    socket.send(&question).ok()?;
    let mut answer = vec![0; 512];
    let length = socket.recv(&mut answer).ok()?;
    answer.truncate(length);
    (answer[..2] == question[..2]).then_some(answer)
}

/// The same over TCP, where a length comes first.
fn exchange_over_tcp(port: u16, name: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let question = question(name);
    stream.write_all(&[&(question.len() as u16).to_be_bytes()[..], &question].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// The question for a name's IPv4 addresses.
fn question(name: &str) -> Vec<u8> {
    let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(label.len() as u8);
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, 1, 0, 1]);
    question
}

/// How many answers there are.
fn answers(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[6], message[7]])
}

/// CoreDNS, which asks another server. `None` where it is not built, which is a failure in CI.
fn start_coredns(folder: &Path, upstream: u16) -> Option<(u16, Process)> {
    let binary = peers::go_program("coredns")?;
    let port = ports::free();
    let corefile = folder.join(format!("Corefile-{port}"));
    let text = format!(".:{port} {{\n  bind 127.0.0.1\n  errors\n  forward . 127.0.0.1:{upstream}\n}}\n");
    std::fs::write(&corefile, text).unwrap();
    let mut command = Command::new(binary);
    command.arg("-conf").arg(corefile);
    let process = Process::start(command, folder, &format!("coredns-{port}"));
    assert!(
        within(PATIENCE, || ask(port, "shop.test").is_some().then_some(())).is_some(),
        "{}{}",
        process.out(),
        process.err()
    );
    Some((port, process))
}

/// As a cluster's DNS stands behind one address: UDP and TCP on one port, and what UDP cannot carry is asked for anew.
#[test]
fn coredns() {
    let _turn = crate::support::turn::shared();
    let port = ports::free();
    let listeners = listener("names", port, "UDP", "") + &listener("long", port, "TCP", "");
    let site = Site::with_gateway(&listeners);
    let Some((upstream, _upstream)) = start(site.work(), "192.0.2.1") else { return };
    let Some((dns, _dns)) = start_coredns(site.work(), upstream) else { return };
    site.write("service-names.yaml", &over_udp(&manifests::service("names", &[dns], None)));
    site.write("service-long.yaml", &manifests::service("long", &[dns], None));
    site.write("route-names.yaml", &route("UDPRoute", "names", "names", None, &[("names", 1)]));
    site.write("route-long.yaml", &route("TCPRoute", "long", "long", None, &[("long", 1)]));
    let proxy = site.start(ANY_STACK);
    let answered = within(PATIENCE, || (ask(port, "shop.test") == Some([192, 0, 2, 1])).then_some(()));
    assert!(answered.is_some(), "{}", proxy.log());
    for turn in 0..200 {
        assert_eq!(ask(port, "shop.test"), Some([192, 0, 2, 1]), "question {turn}");
    }
    let unknown = exchange(&UdpSocket::bind("127.0.0.1:0").unwrap(), port, "nobody.test").unwrap();
    assert_eq!(answers(&unknown), 0, "{unknown:?}");

    let short = exchange(&UdpSocket::bind("127.0.0.1:0").unwrap(), port, "many.test").unwrap();
    assert!(short[2] & 2 != 0 && answers(&short) < MANY, "{short:?}");
    for turn in 0..50 {
        let whole = exchange_over_tcp(port, "many.test").unwrap();
        assert_eq!((whole[2] & 2, answers(&whole)), (0, MANY), "question {turn}: {whole:?}");
        assert!(whole.len() > 16 * usize::from(MANY), "{} bytes", whole.len());
    }
    let connections =
        |listener: &str| proxy.metric("lasthop_l4_listener_connections_total", &[("listener", listener)]);
    let (udp, tcp) = (connections("default/front/names"), connections("default/front/long"));
    assert!(udp >= 200.0 && tcp >= 50.0, "{udp} and {tcp}");
    let record = proxy.wait_access(|record| record["protocol"] == "TCP" && record["bytes_out"] != 0);
    assert_eq!(record["route"], "TCPRoute/default/long", "{record}");
    assert_eq!(record["endpoint"], format!("127.0.0.1:{dns}"), "{record}");
    assert!(record["reason"].is_null(), "{record}");
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
