//! Start, health, draining, and what is never told.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::{
    for_each_stack,
    support::{
        PATIENCE, Stack, manifests,
        proxy::Proxy,
        server::Server,
        site::{HOSTS, Site},
        within,
    },
};

for_each_stack!(
    sigterm_drains,
    drain_has_an_end,
    pages,
    no_secret_is_told,
    log_as_json,
    gateway_that_comes_later,
    listener_that_goes,
);

fn sigterm_drains(stack: Stack) {
    let (site, server) = Site::shop();
    let mut proxy = site.start(stack);
    let mut idle = site.connect("shop.test");
    assert_eq!(idle.get("shop.test", "/").unwrap().status, 200);
    let mut busy = site.connect("shop.test");
    busy.send(b"GET /slow?1500 HTTP/1.1\r\nhost: shop.test\r\n\r\n").unwrap();
    within(PATIENCE, || (server.requests().len() >= 2).then_some(())).unwrap();
    let begun = Instant::now();
    proxy.signal("TERM");
    let refused = within(Duration::from_secs(5), || TcpStream::connect(("127.0.0.1", site.https)).err());
    assert!(refused.is_some(), "new connections are taken while draining");
    let answer = busy.read_response().unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "slow"));
    let status = proxy.wait_end(Duration::from_secs(10)).expect("the proxy ends once nothing is under way");
    assert!(status.success(), "{status}");
    // An idle connection does not hold it up.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

fn drain_has_an_end(stack: Stack) {
    let (site, server) = Site::shop();
    let mut proxy =
        Proxy::start_without_waiting(stack, &site.manifests(), site.work(), &["--drain-timeout", "1s"]);
    proxy.wait_ready(&[site.https]);
    let mut busy = site.connect("shop.test");
    busy.send(b"GET /slow?15000 HTTP/1.1\r\nhost: shop.test\r\n\r\n").unwrap();
    within(PATIENCE, || (!server.requests().is_empty()).then_some(())).unwrap();
    let begun = Instant::now();
    proxy.signal("TERM");
    assert!(proxy.wait_end(Duration::from_secs(8)).is_some(), "the drain never ends");
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
}

fn pages(stack: Stack) {
    let (site, _server) = Site::shop();
    let proxy = site.start(stack);
    assert_eq!(site.get("shop.test", "/").status, 200);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(proxy.page(path).unwrap().0, 200);
    }
    let metrics = proxy.metrics();
    assert!(metrics.contains("lasthop_config_reloads_total 1"), "{metrics}");
    let requests =
        metrics.lines().find(|line| line.contains("requests_total{") && line.contains("default/shop"));
    assert!(requests.is_some_and(|line| line.ends_with(" 1")), "{requests:?}\n{metrics}");
    for path in ["/snapshot", "/status"] {
        let (status, text) = proxy.page(path).unwrap();
        assert_eq!(status, 200);
        let _: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(text.contains("shop"), "{text}");
    }
    assert_eq!(proxy.page("/nothing").unwrap().0, 404);
}

fn no_secret_is_told(stack: Stack) {
    let site = Site::new();
    let leaf = site.front.leaf(HOSTS);
    site.write("front.yaml", &manifests::secret("front", &leaf));
    let server = Server::tls("shop", site.leaf().server(&[]));
    site.tls_backend("shop", server.port);
    let proxy = Proxy::start_without_waiting(stack, &site.manifests(), site.work(), &[]);
    let mut proxy = proxy;
    proxy.wait_ready(&[site.https]);
    assert_eq!(site.get("shop.test", "/").status, 200);
    let checked = site.check(&["--output", "json"]);
    let told = [
        proxy.log(),
        proxy.metrics(),
        proxy.page("/snapshot").unwrap().1,
        proxy.page("/status").unwrap().1,
        checked.out,
        checked.err,
    ];
    // The middle of the key, in any of the forms it has in the manifest.
    let key = leaf.key_pem.lines().nth(1).unwrap();
    for text in &told {
        assert!(!text.contains("PRIVATE KEY"), "{text}");
        assert!(!text.contains(&key[8..40]), "{text}");
    }
}

fn log_as_json(stack: Stack) {
    let (site, _server) = Site::shop();
    let mut proxy =
        Proxy::start_without_waiting(stack, &site.manifests(), site.work(), &["--log-format", "json"]);
    proxy.wait_ready(&[site.https]);
    site.write("broken.yaml", "kind: [x\n");
    proxy.wait_log(&["broken.yaml"]);
    for line in proxy.log().lines() {
        let _: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

fn gateway_that_comes_later(stack: Stack) {
    let (site, _server) = Site::shop();
    let _proxy = site.start(stack);
    let port = crate::support::ports::free();
    let listener = format!("  - name: later\n    port: {port}\n    protocol: HTTP\n");
    site.write("gateway.yaml", &manifests::gateway(site.https, site.http, &listener));
    let open = within(PATIENCE, || TcpStream::connect(("127.0.0.1", port)).ok());
    assert!(open.is_some(), "the new listener does not listen");
    let answer = crate::support::curl::http("shop.test", port, "/", &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn listener_that_goes(stack: Stack) {
    let (site, _server) = Site::shop();
    let _proxy = site.start(stack);
    let http = format!("  - name: http\n    port: {}\n    protocol: HTTP\n", site.http);
    site.write("gateway.yaml", &manifests::gateway(site.https, site.http, "").replace(&http, ""));
    let closed = within(PATIENCE, || TcpStream::connect(("127.0.0.1", site.http)).err());
    assert!(closed.is_some(), "the removed listener listens on");
    assert_eq!(site.get("shop.test", "/").status, 200);
}
