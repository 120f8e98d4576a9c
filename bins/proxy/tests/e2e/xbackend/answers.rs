//! Answers that change, that are empty, too long, or not to be followed.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use super::{Alias, HOST, outside, start};
use crate::{
    for_each_stack,
    support::{PATIENCE, Stack, dns::Dns, load::Load, proxy::Proxy, server::Server, site::Site, within},
};

for_each_stack!(changed_under_load, nothing, a_thousand, short_lived, local, probed);

/// The address moves from one to another and back while requests run: none fails, and the old one is left.
fn changed_under_load(stack: Stack) {
    let site = Site::new();
    let dns = Dns::start();
    let server = Server::tls("here", site.leaf().server(&["http/1.1"]));
    let aliases = ["127.0.0.2", "127.0.0.3"].map(|address| Alias::new(address, server.port));
    dns.set(HOST, &["127.0.0.2"], 1);
    outside(&site, "shop", HOST, server.port);
    let proxy = start(&site, stack, &dns, &[]);
    assert_eq!(site.get("shop.test", "/").status, 200);
    let load = Load::start(&site, "shop.test");
    for turn in 0..6 {
        let address = ["127.0.0.3", "127.0.0.2"][turn % 2];
        let (before, sent) = (aliases[1 - turn % 2].connections(), load.sent());
        dns.set(HOST, &[address], 1);
        let moved = within(PATIENCE, || {
            let records = proxy.access_log();
            let last = records.iter().rev().take(6);
            let there = format!("{address}:{}", server.port);
            (load.sent() > sent + 20
                && last.clone().count() == 6
                && last.into_iter().all(|r| r["endpoint"] == *there))
            .then_some(())
        });
        assert!(moved.is_some(), "turn {turn}: {}", proxy.log());
        assert!(aliases[1 - turn % 2].connections() > before, "turn {turn}");
    }
    let outcome = load.stop();
    assert!(outcome.faults.is_empty() && outcome.sent > 100, "{outcome:?}");

    // A second address leaves the connections to the first one alone.
    let answer = site.get("shop.test", "/");
    assert_eq!(answer.status, 200);
    let before = aliases[0].connections() + aliases[1].connections();
    dns.set(HOST, &["127.0.0.2", "127.0.0.3"], 1);
    let both =
        within(PATIENCE, || (proxy.metric("lasthop_dns_addresses", &[("name", HOST)]) == 2.0).then_some(()));
    assert!(both.is_some());
    let requests = server.requests().len();
    for _ in 0..40 {
        assert_eq!(site.get("shop.test", "/").status, 200);
    }
    let after = aliases[0].connections() + aliases[1].connections();
    assert_eq!(server.requests().len(), requests + 40);
    // Each worker connects to the new one at most once; the old ones' connections are taken from the pool.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    assert!(after - before <= 2 * cores, "{} new connections for 40 requests", after - before);
}

/// A name that does not exist, or has no address: 503, with a reason of its own, until it has one.
fn nothing(stack: Stack) {
    let site = Site::new();
    let dns = Dns::start();
    let server = Server::tls("here", site.leaf().server(&["http/1.1"]));
    dns.set("empty.outside.test", &[], 1);
    outside(&site, "a", HOST, server.port);
    outside(&site, "b", "empty.outside.test", server.port);
    let proxy = start(&site, stack, &dns, &[]);
    for host in ["a.test", "b.test"] {
        let answer = site.get(host, "/");
        assert_eq!(answer.status, 503, "{answer:?}");
        crate::refusals::conceals(&answer, "NameNotResolved");
        assert_eq!(proxy.record_of(host, "/")["reason"], "NameNotResolved");
    }
    assert!(proxy.metric("lasthop_upstream_failures_total", &[("reason", "NameNotResolved")]) >= 2.0);
    assert!(proxy.metric("lasthop_dns_lookups_total", &[("outcome", "empty")]) >= 2.0);
    proxy.wait_log(&[HOST, "has no address"]);
    dns.set(HOST, &["127.0.0.1"], 1);
    answers_soon(&site, "a.test", 200, &proxy);
    dns.remove(HOST);
    answers_soon(&site, "a.test", 503, &proxy);
}

/// More addresses than anybody needs, over TCP: a bounded number of them counts.
fn a_thousand(stack: Stack) {
    let site = Site::new();
    let dns = Dns::start();
    let server = Server::tls("here", site.leaf().server(&["http/1.1"]));
    let _aliases: Vec<_> = (2..70).map(|n| Alias::new(&format!("127.0.0.{n}"), server.port)).collect();
    let all = |turn: u32| -> Vec<IpAddr> {
        let one = |n: u32| IpAddr::V4(Ipv4Addr::from(0x7f00_0001 + (n + turn * 300) % 1000));
        (0..1000).map(one).collect()
    };
    dns.set_all(HOST, all(0), 1);
    outside(&site, "shop", HOST, server.port);
    let proxy = start(&site, stack, &dns, &[]);
    for _ in 0..30 {
        assert_eq!(site.get("shop.test", "/").status, 200, "{}", proxy.log());
    }
    assert_eq!(proxy.metric("lasthop_dns_addresses", &[("name", HOST)]), 64.0);
    proxy.wait_log(&[HOST, "more addresses than count"]);
    // In another order they are the same: nothing moves.
    let asked = dns.asked(HOST).len();
    dns.set_all(HOST, all(1), 1);
    assert!(within(PATIENCE, || (dns.asked(HOST).len() > asked + 2).then_some(())).is_some());
    let resolved = proxy.log().lines().filter(|line| line.contains("has been resolved")).count();
    assert_eq!(resolved, 1, "{}", proxy.log());
}

/// A TTL of nothing asks once a second, not once a request.
fn short_lived(stack: Stack) {
    let site = Site::new();
    let dns = Dns::start();
    let server = Server::tls("here", site.leaf().server(&["http/1.1"]));
    dns.set(HOST, &["127.0.0.1"], 0);
    outside(&site, "shop", HOST, server.port);
    let _proxy = start(&site, stack, &dns, &[]);
    let load = Load::start(&site, "shop.test");
    std::thread::sleep(Duration::from_secs(4));
    let outcome = load.stop();
    assert!(outcome.faults.is_empty(), "{outcome:?}");
    let asked = dns.asked(HOST);
    assert!((2..=8).contains(&asked.len()), "{} questions", asked.len());
    for pair in asked.windows(2) {
        assert!(pair[1] - pair[0] > Duration::from_millis(900), "{:?}", pair[1] - pair[0]);
    }
}

/// Without the setting, a name leads neither to this machine nor to this link.
fn local(stack: Stack) {
    let site = Site::new();
    let dns = Dns::start();
    let server = Server::tls("here", site.leaf().server(&["http/1.1"]));
    dns.set(HOST, &["127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "::ffff:127.0.0.1"], 60);
    outside(&site, "shop", HOST, server.port);
    let address = dns.address.to_string();
    let mut proxy =
        Proxy::start_without_waiting(stack, &site.manifests(), site.work(), &["--resolver", &address]);
    proxy.wait_ready(&[site.https]);
    let answer = site.get("shop.test", "/");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(proxy.record_of("shop.test", "/")["reason"], "NameNotResolved");
    proxy.wait_log(&[HOST, "left out", "resolver-allow-local"]);
    assert_eq!(server.connections(), 0);
}

pub(super) fn answers_soon(site: &Site, host: &str, status: u16, proxy: &Proxy) {
    let found = within(PATIENCE, || (site.get(host, "/").status == status).then_some(()));
    assert!(found.is_some(), "{host} never answers {status}: {}", proxy.log());
}

/// `probe` asks the same resolvers, and leaves out the same addresses.
fn probed(stack: Stack) {
    let site = Site::new();
    let dns = Dns::start();
    let server = Server::tls("here", site.leaf().server(&["http/1.1"]));
    outside(&site, "shop", HOST, server.port);
    let address = dns.address.to_string();
    let probe = |flags: &[&str]| {
        let mut command = std::process::Command::new(crate::support::proxy::binary());
        command.arg("probe").arg("--config").arg(site.manifests()).args(["--tls-backend", stack.name()]);
        let output = command.args(["--resolver", &address]).args(flags).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = probe(&[]);
    assert!(code == Some(1) && said.contains("it has no address"), "{said}");
    dns.set(HOST, &["127.0.0.1", "127.0.0.2"], 60);
    let (code, said) = probe(&[]);
    assert!(code == Some(1) && said.contains("resolver-allow-local"), "{said}");
    assert_eq!(server.connections(), 0);
    dns.set(HOST, &["127.0.0.1"], 60);
    let (code, said) = probe(&["--resolver-allow-local"]);
    assert!(code == Some(0) && said.contains("1 handshake"), "{said}");
    dns.mood(crate::support::dns::Mood::Fails);
    let (code, said) = probe(&["--resolver-allow-local"]);
    assert!(code == Some(1) && said.contains("Server Failure"), "{said}");
}
