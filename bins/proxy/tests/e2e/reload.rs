//! Changes to the folder while requests run: nothing fails, and what was changed holds at once.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    for_each_stack,
    support::{
        PATIENCE, Stack,
        certificates::Authority,
        manifests,
        server::Server,
        site::{HOSTS, Site},
        within,
    },
};

for_each_stack!(alone: under_load, within_100_ms);

mod beside {
    use super::{
        broken_file_leaves_the_last_good_state, endpoints_move, renewed_certificate_is_shown,
        requests_under_way_finish, route_removed, trust_that_shrinks_holds_at_once,
    };
    use crate::for_each_stack;

    for_each_stack!(
        requests_under_way_finish,
        broken_file_leaves_the_last_good_state,
        route_removed,
        endpoints_move,
        renewed_certificate_is_shown,
        trust_that_shrinks_holds_at_once,
    );
}

const REQUESTS: usize = 10_000;
const ROUTE_CHANGES: usize = 50;
const CERTIFICATE_CHANGES: usize = 20;

fn under_load(stack: Stack) {
    let site = Arc::new(Site::new());
    let servers = ["a", "b"].map(|name| Server::tls(name, site.leaf().server(&["http/1.1"])));
    site.tls_backend("a", servers[0].port);
    site.tls_backend("b", servers[1].port);
    site.write("route-shop.yaml", &manifests::route("shop", "shop.test", "a", ""));
    let proxy = site.start(stack);

    let load = Arc::new(Load::default());
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (site, load) = (Arc::clone(&site), Arc::clone(&load));
            std::thread::spawn(move || {
                if let Err(fault) = load.run(&site) {
                    load.faults.lock().unwrap().push(fault);
                }
            })
        })
        .collect();

    let changes = ROUTE_CHANGES + CERTIFICATE_CHANGES;
    let (mut routes, mut certificates) = (0, 0);
    for change in 0..changes {
        std::thread::sleep(Duration::from_millis(50));
        // Seven changes: five of routes, two of certificates.
        match change % 7 {
            3 => {
                certificates += 1;
                site.write("front.yaml", &manifests::secret("front", &site.front.leaf(HOSTS)));
            }
            6 => {
                certificates += 1;
                // The backends renew, and the policies' bundle grows by another CA: a new TLS policy.
                let bundle = format!("{}{}", site.backends.pem(), Authority::new("next CA").pem());
                site.write("ca.yaml", &manifests::config_map("ca", &bundle));
                servers.iter().for_each(|server| server.set_tls(site.leaf().server(&["http/1.1"])));
            }
            _ => {
                routes += 1;
                let to = if routes % 2 == 0 { "a" } else { "b" };
                site.write("route-shop.yaml", &manifests::route("shop", "shop.test", to, ""));
            }
        }
    }
    let enough = within(Duration::from_secs(60), || {
        (load.sent.load(Ordering::SeqCst) >= REQUESTS || !load.faults.lock().unwrap().is_empty())
            .then_some(())
    });
    load.stop.store(true, Ordering::SeqCst);
    clients.into_iter().for_each(|client| client.join().unwrap());
    let sent = load.sent.load(Ordering::SeqCst);
    assert!(enough.is_some(), "only {sent} requests");
    let faults = load.faults.lock().unwrap();
    assert!(faults.is_empty(), "{} clients failed, of {sent} requests: {faults:#?}", faults.len());
    assert_eq!((routes, certificates), (ROUTE_CHANGES, CERTIFICATE_CHANGES));
    // Both backends had work, so changes took effect while requests ran; changes that come faster than they can be
    // applied are applied together.
    let shares = servers.each_ref().map(|server| server.requests().len());
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
    let metrics = proxy.metrics();
    let reloads = metrics.lines().find_map(|line| line.strip_prefix("lasthop_config_reloads_total "));
    let reloads: usize = reloads.and_then(|text| text.parse().ok()).unwrap();
    eprintln!("{reloads} reloads for {changes} changes; {sent} requests, by backend: {shares:?}");
    assert!(reloads >= changes / 2, "{reloads} reloads for {changes} changes");
    assert!(proxy.access_log().iter().all(|record| record["reason"].is_null()));
}

/// What the clients do together.
#[derive(Default)]
struct Load {
    sent: AtomicUsize,
    stop: AtomicBool,
    faults: Mutex<Vec<String>>,
}

impl Load {
    /// One client: requests on a kept connection, a new one now and then, until it is told to stop.
    fn run(&self, site: &Site) -> Result<(), String> {
        let mut client = site.connect("shop.test");
        let mut since = 0;
        while !self.stop.load(Ordering::SeqCst) {
            let answer = client.get("shop.test", "/").map_err(|error| format!("request {since}: {error}"))?;
            if answer.status != 200 || !matches!(answer.header("x-backend"), Some("a" | "b")) {
                return Err(format!("request {since}: {answer:?}"));
            }
            self.sent.fetch_add(1, Ordering::SeqCst);
            since += 1;
            if since % 200 == 0 || answer.header("connection") == Some("close") {
                client = site.connect("shop.test");
            }
        }
        Ok(())
    }
}

fn within_100_ms(stack: Stack) {
    let site = Site::new();
    let servers = ["a", "b"].map(Server::plain);
    site.plain_backend("a", servers[0].port);
    site.plain_backend("b", servers[1].port);
    site.write("route-shop.yaml", &manifests::route("shop", "shop.test", "a", ""));
    let _proxy = site.start(stack);
    let mut client = site.connect("shop.test");
    assert_eq!(client.get("shop.test", "/").unwrap().header("x-backend"), Some("a"));
    let mut times = Vec::new();
    for turn in 0..9 {
        let to = if turn % 2 == 0 { "b" } else { "a" };
        let text = manifests::route("shop", "shop.test", to, "");
        let begun = Instant::now();
        site.write("route-shop.yaml", &text);
        let changed = within(Duration::from_secs(3), || {
            let answer = client.get("shop.test", "/").unwrap();
            if answer.header("connection") == Some("close") {
                client = site.connect("shop.test");
            }
            (answer.header("x-backend") == Some(to)).then(|| begun.elapsed())
        });
        times.push(changed.expect("the change never took effect"));
        std::thread::sleep(Duration::from_millis(50));
    }
    times.sort();
    // One slow turn of nine is forgiven: the machine may have been away.
    assert!(times[7] <= Duration::from_millis(100), "{times:?}");
}

fn requests_under_way_finish(stack: Stack) {
    let (site, server) = Site::shop();
    let _proxy = site.start(stack);
    let mut client = site.connect("shop.test");
    client.send(b"GET /slow?1500 HTTP/1.1\r\nhost: shop.test\r\n\r\n").unwrap();
    within(PATIENCE, || (!server.requests().is_empty()).then_some(())).unwrap();
    for file in ["route-shop.yaml", "service-shop.yaml", "policy-shop.yaml"] {
        site.remove(file);
    }
    site.becomes(404);
    let answer = client.read_response().unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "slow"));
}

fn broken_file_leaves_the_last_good_state(stack: Stack) {
    let (site, _server) = Site::shop();
    let proxy = site.start(stack);
    assert_eq!(site.get("shop.test", "/").status, 200);
    site.write("route-shop.yaml", "kind: [HTTPRoute\n");
    proxy.wait_log(&["route-shop.yaml:"]);
    assert_eq!(site.get("shop.test", "/").status, 200);
    // The same for an object that breaks a rule, and for its file's other objects.
    let wrong = manifests::route("shop", "shop.test", "shop", "").replace("port: 443", "port: 99443");
    let other = manifests::route("other", "other.test", "shop", "");
    site.write("route-shop.yaml", &format!("{wrong}---\n{other}"));
    let took = within(PATIENCE, || (site.get("other.test", "/").status == 200).then_some(()));
    assert!(took.is_some(), "the good object beside the bad one is not in force");
    assert_eq!(site.get("shop.test", "/").status, 200);
    // Mended, it holds again.
    site.write("route-shop.yaml", &manifests::route("shop", "mended.test", "shop", ""));
    let mended = within(PATIENCE, || (site.get("mended.test", "/").status == 200).then_some(()));
    assert!(mended.is_some());
    assert_eq!(site.get("shop.test", "/").status, 404);
}

fn route_removed(stack: Stack) {
    let (site, _server) = Site::shop();
    let _proxy = site.start(stack);
    assert_eq!(site.get("shop.test", "/").status, 200);
    site.remove("route-shop.yaml");
    site.becomes(404);
}

fn endpoints_move(stack: Stack) {
    let (site, first) = Site::shop();
    let _proxy = site.start(stack);
    assert_eq!(site.get("shop.test", "/").header("x-backend"), Some("shop"));
    let second = Server::tls("second", site.leaf().server(&[]));
    site.write("service-shop.yaml", &manifests::service("shop", &[second.port], None));
    let moved =
        within(PATIENCE, || (site.get("shop.test", "/").header("x-backend") == Some("second")).then_some(()));
    assert!(moved.is_some());
    let before = first.requests().len();
    assert!((0..5).all(|_| site.get("shop.test", "/").header("x-backend") == Some("second")));
    assert_eq!(first.requests().len(), before);
}

fn renewed_certificate_is_shown(stack: Stack) {
    let (site, _server) = Site::shop();
    let _proxy = site.start(stack);
    let serial = || {
        let answer = site.curl("shop.test", "/", &["-v"]);
        let complaint = answer.complaint.clone();
        complaint
            .lines()
            .find(|line| line.contains("expire date") || line.contains("subject:"))
            .map(str::to_owned)
    };
    assert!(serial().is_some_and(|line| !line.contains("renewed")));
    let renewed = site.front.leaf_with_common_name("renewed", HOSTS);
    site.write("front.yaml", &manifests::secret("front", &renewed));
    let shown = within(PATIENCE, || serial().filter(|line| line.contains("renewed")));
    assert!(shown.is_some(), "{:?}", serial());
}

/// Once a CA is no longer trusted, no request goes over a connection or a session made under it, and the connections
/// end soon.
fn trust_that_shrinks_holds_at_once(stack: Stack) {
    let (site, server) = Site::shop();
    let proxy = site.start(stack);
    let mut client = site.connect("shop.test");
    assert!((0..5).all(|_| client.get("shop.test", "/").unwrap().status == 200));
    let (requests, connections) = (server.requests().len(), server.connections());
    site.write("ca.yaml", &manifests::config_map("ca", &Authority::new("another CA").pem()));
    site.becomes(502);
    let first_refusal = server.requests().len();
    for _ in 0..5 {
        assert_eq!(site.connect("shop.test").get("shop.test", "/").unwrap().status, 502);
    }
    assert_eq!(server.requests().len(), first_refusal, "a request went over an old connection");
    assert_eq!(proxy.wait_access(|record| record["status"] == 502)["reason"], "UntrustedChain");
    let ended = within(Duration::from_secs(6), || (server.ended() >= connections).then_some(()));
    assert!(ended.is_some(), "connections made under the old trust are open");
    assert!(requests > 0);
    // And back: a policy for the old CA serves again.
    site.write("ca.yaml", &manifests::config_map("ca", &site.backends.pem()));
    site.becomes(200);
}
