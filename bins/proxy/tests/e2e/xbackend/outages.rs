//! Resolvers that do not answer.

use std::time::{Duration, Instant};

use super::{Alias, HOST, answers::answers_soon, outside, start};
use crate::{
    for_each_stack,
    support::{
        PATIENCE, Stack,
        dns::{Dns, Mood},
        load::Load,
        server::Server,
        site::Site,
        within,
    },
};

for_each_stack!(stale_answers_serve, never_answered, half_an_answer);

/// The last answer serves while nobody answers, but not for ever.
fn stale_answers_serve(stack: Stack) {
    let site = Site::new();
    let dns = Dns::start();
    let server = Server::tls("here", site.leaf().server(&["http/1.1"]));
    dns.set(HOST, &["127.0.0.1"], 1);
    outside(&site, "shop", HOST, server.port);
    let proxy = start(&site, stack, &dns, &["--resolver-max-stale", "6s"]);
    assert_eq!(site.get("shop.test", "/").status, 200);
    dns.mood(Mood::Fails);
    proxy.wait_log(&[HOST, "cannot be resolved", "last addresses serve"]);
    let load = Load::start(&site, "shop.test");
    std::thread::sleep(Duration::from_secs(2));
    let outcome = load.stop();
    assert!(outcome.faults.is_empty() && outcome.sent > 50, "{outcome:?}");
    answers_soon(&site, "shop.test", 503, &proxy);
    assert!(proxy.metric("lasthop_dns_lookups_total", &[("outcome", "failed")]) >= 1.0);
    proxy.wait_access(|record| record["reason"] == "NameNotResolved");
    dns.mood(Mood::Answers);
    answers_soon(&site, "shop.test", 200, &proxy);
    proxy.wait_log(&[HOST, "can be resolved again"]);
}

/// Nobody ever answers: the first request waits no longer than for a connection.
fn never_answered(stack: Stack) {
    let site = Site::new();
    let dns = Dns::start();
    dns.mood(Mood::Silent);
    let server = Server::tls("here", site.leaf().server(&["http/1.1"]));
    outside(&site, "shop", HOST, server.port);
    site.plain_backend("a", Server::plain("beside").port);
    let proxy = start(&site, stack, &dns, &[]);
    // Everybody else is served meanwhile.
    assert_eq!(site.get("a.test", "/").status, 200);
    let begun = Instant::now();
    let answer = site.get("shop.test", "/");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    assert_eq!(proxy.record_of("shop.test", "/")["reason"], "NameNotResolved");
    dns.set(HOST, &["127.0.0.1"], 60);
    dns.mood(Mood::Answers);
    answers_soon(&site, "shop.test", 200, &proxy);
}

/// Questions for IPv6 addresses are dropped, as some resolvers do: the other half serves at once, goes on, and its
/// changes do not wait.
fn half_an_answer(stack: Stack) {
    let site = Site::new();
    let dns = Dns::start();
    dns.mood(Mood::SilentOnV6);
    let server = Server::tls("here", site.leaf().server(&["http/1.1"]));
    dns.set(HOST, &["127.0.0.1"], 1);
    let proxy = start(&site, stack, &dns, &["--resolver-max-stale", "3s"]);
    outside(&site, "shop", HOST, server.port);
    proxy.wait_log(&[HOST, "has been resolved"]);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(12) {
        assert_eq!(site.get("shop.test", "/").status, 200, "after {:?}: {}", begun.elapsed(), proxy.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(proxy.metric("lasthop_dns_lookups_total", &[("outcome", "partial")]) >= 1.0);
    proxy.wait_log(&[HOST, "of one family cannot be resolved"]);
    let moved = Alias::new("127.0.0.2", server.port);
    dns.set(HOST, &["127.0.0.2"], 1);
    let found = within(PATIENCE, || {
        (site.get("shop.test", "/").status == 200 && moved.connections() > 0).then_some(())
    });
    assert!(found.is_some(), "{}", proxy.log());
}
