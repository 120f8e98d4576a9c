//! Session persistence through the proxy's own process, also of several replicas and over TLS.

use std::{collections::BTreeSet, path::Path};

use crate::{
    for_each_stack,
    support::{Stack, client::Response, manifests, proxy::Proxy, server::Server, site::Site},
};

for_each_stack!(cookies_over_https, headers, replicas_share_a_key, short_key);

const NAMES: [&str; 4] = ["one", "two", "three", "four"];

/// A Service with four endpoints that verify, and a rule with this persistence.
fn site(persistence: &str) -> (Site, Vec<Server>) {
    let site = Site::new();
    let servers: Vec<_> =
        NAMES.iter().map(|name| Server::tls(name, site.leaf().server(&["http/1.1"]))).collect();
    let ports: Vec<_> = servers.iter().map(|server| server.port).collect();
    site.write("service.yaml", &manifests::service("shop", &ports, None));
    site.write(
        "route.yaml",
        &manifests::route("shop", "shop.test", "shop", &format!("    sessionPersistence: {persistence}\n")),
    );
    site.policy("shop", "");
    (site, servers)
}

fn ask(site: &Site, field: &str) -> Response {
    let mut client = site.connect("shop.test");
    client.exchange(format!("GET / HTTP/1.1\r\nhost: shop.test\r\n{field}\r\n").as_bytes()).unwrap()
}

fn cookie(answer: &Response) -> Option<String> {
    Some(answer.header("set-cookie")?.split(';').next()?.to_owned())
}

fn cookies_over_https(stack: Stack) {
    let (site, _servers) = site("{cookie: {name: stay, lifetimeType: Permanent}, absoluteTimeout: 1h}");
    let proxy = site.start(stack);
    let mut seen = BTreeSet::new();
    for _ in 0..40 {
        let first = ask(&site, "");
        let name = first.header("x-backend").unwrap().to_owned();
        let set = first.header("set-cookie").unwrap();
        assert!(
            set.starts_with("stay=")
                && set.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=3600"),
            "{set}"
        );
        assert!(!set.contains("127.0.0.1"));
        let again = ask(&site, &format!("cookie: theme=dark; {}\r\n", cookie(&first).unwrap()));
        assert_eq!((again.header("x-backend"), cookie(&again)), (Some(&*name), None));
        seen.insert(name);
    }
    assert_eq!(seen.len(), NAMES.len());
    for forged in ["stay=", "stay=x", "stay=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "stay=%00", "stay"] {
        let answer = ask(&site, &format!("cookie: {forged}\r\n"));
        assert!(answer.status == 200 && cookie(&answer).is_some(), "{forged}: {answer:?}");
    }
    assert!(!format!("{:?}", proxy.access_log()).contains("stay="));
}

fn headers(stack: Stack) {
    let (site, _servers) = site("{type: Header, header: {name: x-session}}");
    let _proxy = site.start(stack);
    let first = ask(&site, "");
    let session = first.header("x-session").unwrap().to_owned();
    for _ in 0..10 {
        let again = ask(&site, &format!("x-session: {session}\r\n"));
        assert_eq!(again.header("x-backend"), first.header("x-backend"));
        assert_eq!(again.header("x-session"), Some(&*session));
    }
}

fn start(stack: Stack, site: &Site, key: &Path) -> Proxy {
    let key = key.display().to_string();
    let flags = ["--session-key-file", &key];
    let mut proxy = Proxy::start_without_waiting(stack, &site.manifests(), site.work(), &flags);
    proxy.wait_ready(&[site.https]);
    proxy
}

/// A proxy that starts later, with the same key, knows the sessions of the one before; with another key it does not.
fn replicas_share_a_key(stack: Stack) {
    let (site, _servers) = site("{cookie: {name: stay}}");
    let (key, other) = (site.work().join("key"), site.work().join("other"));
    std::fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    std::fs::write(&other, "fedcba9876543210fedcba9876543210\n").unwrap();
    let first = {
        let _proxy = start(stack, &site, &key);
        ask(&site, "")
    };
    let field = format!("cookie: {}\r\n", cookie(&first).unwrap());
    {
        let _proxy = start(stack, &site, &key);
        let again = ask(&site, &field);
        assert_eq!((again.header("x-backend"), cookie(&again)), (first.header("x-backend"), None));
    }
    let _proxy = start(stack, &site, &other);
    assert!(cookie(&ask(&site, &field)).is_some());
}

fn short_key(stack: Stack) {
    let (site, _servers) = site("{cookie: {name: stay}}");
    let key = site.work().join("key");
    std::fs::write(&key, "short\n").unwrap();
    let flags = ["--session-key-file", &key.display().to_string()];
    let mut proxy = Proxy::start_without_waiting(stack, &site.manifests(), site.work(), &flags);
    let ended = proxy.wait_end(crate::support::PATIENCE).expect("it does not start");
    assert_eq!(ended.code(), Some(2));
    assert!(proxy.log().contains("32 bytes"), "{}", proxy.log());
}
