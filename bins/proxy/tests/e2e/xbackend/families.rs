//! Happy Eyeballs: one family leads nowhere, the other one serves.

use std::time::{Duration, Instant};

use super::{Alias, HOST, outside, reference, route, start};
use crate::{
    for_each_stack,
    support::{Stack, client::Client, dns::Dns, ports, server::Server, site::Site},
};

for_each_stack!(silent_v6, unreachable_v6, both);

/// IPv6 takes connections and says nothing more. No request waits for the limit on connecting.
fn silent_v6(stack: Stack) {
    let raw = ports::free();
    let site = Site::with_gateway(&format!("  - name: raw\n    port: {raw}\n    protocol: TCP\n"));
    let dns = Dns::start();
    let server = Server::tls("v4", site.leaf().server(&["http/1.1"]));
    let v6 = Alias::silent("::1", server.port);
    dns.set(HOST, &["127.0.0.1", "::1"], 60);
    outside(&site, "shop", HOST, server.port);
    let rule = format!("backendRefs: [{}]", reference("shop"));
    site.write("route-raw.yaml", &route("TCPRoute", "raw", "", &rule));
    let mut proxy = start(&site, stack, &dns, &[]);
    proxy.wait_ready(&[raw]);
    for n in 0..30 {
        let begun = Instant::now();
        let path = format!("/{n}");
        let answer = site.get("shop.test", &path);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(begun.elapsed() < Duration::from_secs(3), "request {n}: {:?}", begun.elapsed());
        let begun = Instant::now();
        let answer = Client::plain(raw).unwrap().get("shop.test", "/raw").unwrap();
        assert_eq!(answer.status, 200);
        assert!(begun.elapsed() < Duration::from_secs(3), "connection {n}: {:?}", begun.elapsed());
    }
    // The record names the endpoint that served.
    let record = proxy.record_of("shop.test", "/0");
    assert_eq!(record["endpoint"], format!("127.0.0.1:{}", server.port), "{record}");
    // It was tried, and is stepped around.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    assert!((1..=10 * cores).contains(&v6.connections()), "{} connections", v6.connections());
}

/// There is no way to the IPv6 addresses, of which there are many; one IPv4 address serves.
fn unreachable_v6(stack: Stack) {
    let site = Site::new();
    let dns = Dns::start();
    let server = Server::tls("v4", site.leaf().server(&["http/1.1"]));
    let mut addresses: Vec<String> = (1..12).map(|n| format!("2001:db8::{n}")).collect();
    addresses.push("127.0.0.1".to_owned());
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    dns.set(HOST, &addresses, 60);
    outside(&site, "shop", HOST, server.port);
    let _proxy = start(&site, stack, &dns, &[]);
    for n in 0..30 {
        let begun = Instant::now();
        let answer = site.get("shop.test", "/close");
        assert_eq!(answer.status, 200, "request {n}: {answer:?}");
        assert!(begun.elapsed() < Duration::from_secs(3), "request {n}: {:?}", begun.elapsed());
    }
}

/// Both work: both serve.
fn both(stack: Stack) {
    let site = Site::new();
    let dns = Dns::start();
    let server = Server::tls("here", site.leaf().server(&["http/1.1"]));
    let v6 = Alias::new("::1", server.port);
    dns.set(HOST, &["127.0.0.1", "::1"], 60);
    outside(&site, "shop", HOST, server.port);
    let proxy = start(&site, stack, &dns, &[]);
    for _ in 0..40 {
        assert_eq!(site.get("shop.test", "/close").status, 200, "{}", proxy.log());
    }
    let on_v6 = proxy
        .access_log()
        .iter()
        .filter(|r| r["endpoint"].as_str().is_some_and(|e| e.starts_with("[::1]")))
        .count();
    assert!((5..=35).contains(&on_v6), "{on_v6} of 40 over IPv6");
    assert!(v6.connections() >= on_v6);
}
