//! TLS by server name: passed through, and ended and begun anew.

use std::{
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::manifests::{route, tls_listener};
use crate::{
    for_each_stack,
    support::{
        PATIENCE, Stack,
        certificates::{Authority, Leaf, Validity},
        client::Client,
        curl, manifests, openssl,
        peers::{self, Identity},
        ports,
        proxy::Proxy,
        server::Server,
        site::{BACKEND, Site},
        within,
    },
};

for_each_stack!(
    passed_through_to_nginx_and_haproxy,
    ended_and_begun_anew,
    every_mode_on_one_port,
    what_each_backend_gets,
    nothing_fails_while_the_folder_changes,
);

/// A site with TLS listeners on one port: name, host and mode of each.
fn site(port: u16, listeners: &[(&str, &str, &str)]) -> Site {
    let listeners: String =
        listeners.iter().map(|(name, host, mode)| tls_listener(name, port, host, mode)).collect();
    Site::with_gateway(&listeners)
}

/// A Service of the name, and a TLSRoute to it.
fn tls_route(site: &Site, name: &str, listener: &str, host: &str, port: u16) {
    site.write(&format!("route-{name}.yaml"), &route("TLSRoute", name, listener, Some(host), &[(name, 1)]));
    site.write(&format!("service-{name}.yaml"), &manifests::service(name, &[port], None));
}

fn passed_through_to_nginx_and_haproxy(stack: Stack) {
    let port = ports::free();
    let site = site(port, &[("pass", "'*.test'", "Passthrough")]);
    let leaf = site.backends.leaf(&["nginx.test", "haproxy.test"]);
    let identity = Identity { leaf: &leaf, clients: None };
    let (nginx, haproxy) = (peers::nginx(site.work(), &identity), peers::haproxy(site.work(), &identity));
    tls_route(&site, "nginx", "pass", "nginx.test", nginx.port);
    tls_route(&site, "haproxy", "pass", "haproxy.test", haproxy.port);
    let mut proxy = site.start(stack);
    proxy.wait_ready(&[port]);
    let ca = site.work().join("backends.pem");
    std::fs::write(&ca, site.backends.pem()).unwrap();
    for version in ["--http1.1", "--http2"] {
        let answer = curl::https(&ca, "nginx.test", port, "/", &[version]);
        assert!(answer.body.contains("nginx HTTP/") && answer.body.contains("nginx.test []"), "{answer:?}");
        let answer = curl::https(&ca, "haproxy.test", port, "/", &[version]);
        assert!(answer.body.contains("haproxy HTTP/") && answer.body.contains("haproxy.test"), "{answer:?}");
    }
    let record = proxy.wait_access(|record| record["host"] == "nginx.test");
    assert_eq!(record["protocol"], "TLS");
    assert_eq!(record["route"], "TLSRoute/default/nginx");
    assert!(record["tls"].is_null() && record["status"].is_null() && record["reason"].is_null(), "{record}");
    assert!(record["bytes_in"].as_u64() > Some(500) && record["bytes_out"].as_u64() > Some(1000), "{record}");

    // A host without a route, a host of no listener, and no host at all.
    for (host, reason) in
        [("other.test", "NoRoute"), ("example.com", "UnrecognizedName"), ("", "UnrecognizedName")]
    {
        let said = openssl::client(port, host, &[]);
        assert_eq!((said.resumed(), said.subject()), (None, None), "{host:?}: {said:?}");
        let record = proxy.wait_access(|record| {
            record["reason"] == reason && record["host"].as_str().unwrap_or_default() == host
        });
        assert!(record["endpoint"].is_null(), "{record}");
    }
    assert_eq!(proxy.metric("lasthop_downstream_failures_total", &[("reason", "UnrecognizedName")]), 2.0);
    let total = proxy.metric(
        "lasthop_l4_backend_connections_total",
        &[("backend", "default/nginx:443 via default/front")],
    );
    assert_eq!(total, 2.0);
}

fn ended_and_begun_anew(stack: Stack) {
    let port = ports::free();
    let site = site(port, &[("ended", "peer.test", "Terminate")]);
    let leaf = site.leaf();
    let clients = Authority::new("clients CA");
    let nginx = peers::nginx(site.work(), &Identity { leaf: &leaf, clients: Some(&clients) });
    tls_route(&site, "peer", "ended", "peer.test", nginx.port);
    site.policy("peer", "");
    let mut proxy = site.start(stack);
    proxy.wait_ready(&[port]);
    // curl's HTTP/1.1 is nobody's business but nginx's, which wants a certificate and says so in HTTP.
    let answer = curl::https(&site.front_ca(), "peer.test", port, "/", &[]);
    assert_eq!((answer.status, answer.version.as_str()), (400, "1.1"), "{answer:?}");
    let gateway = site.manifests().join("gateway.yaml");
    let text = std::fs::read_to_string(gateway).unwrap();
    site.write("ours.yaml", &manifests::secret("ours", &clients.leaf(&["gateway.test"])));
    site.write(
        "gateway.yaml",
        &format!("{text}  tls:\n    backend:\n      clientCertificateRef:\n        name: ours\n"),
    );
    let told = format!("nginx HTTP/1.1 TLSv1.3 {BACKEND} [CN=lasthop test leaf]");
    let answered = within(PATIENCE, || {
        let answer = curl::https(&site.front_ca(), "peer.test", port, "/", &[]);
        answer.body.starts_with(&told).then_some(())
    });
    assert!(answered.is_some(), "{told:?} never came");
    let record = proxy.wait_access(|record| record["host"] == "peer.test" && record["reason"].is_null());
    assert_eq!((record["protocol"].as_str(), record["tls"].as_str()), (Some("TLS"), Some("1.3")));
}

fn every_mode_on_one_port(stack: Stack) {
    // The site's own HTTPS listener takes every host; these are more precise.
    let https = ports::free();
    let more = [
        tls_listener("pass", https, "nginx.test", "Passthrough"),
        tls_listener("ended", https, "haproxy.test", "Terminate"),
    ];
    let site = Site::with_gateway(&more.concat());
    let gateway = std::fs::read_to_string(site.manifests().join("gateway.yaml")).unwrap();
    site.write(
        "gateway.yaml",
        &gateway.replace(&format!("port: {}\n", site.https), &format!("port: {https}\n")),
    );
    let leaf = site.backends.leaf(&["nginx.test", BACKEND]);
    let identity = Identity { leaf: &leaf, clients: None };
    let (nginx, haproxy) = (peers::nginx(site.work(), &identity), peers::haproxy(site.work(), &identity));
    tls_route(&site, "nginx", "pass", "nginx.test", nginx.port);
    tls_route(&site, "haproxy", "ended", "haproxy.test", haproxy.port);
    site.policy("haproxy", "");
    let shop = Server::tls("shop", site.leaf().server(&["http/1.1"]));
    site.tls_backend("shop", shop.port);
    let _proxy = Proxy::start(stack, &site.manifests(), site.work(), &[https, site.http]);
    let ca = site.work().join("backends.pem");
    std::fs::write(&ca, site.backends.pem()).unwrap();
    for _ in 0..3 {
        let answer = curl::https(&ca, "nginx.test", https, "/", &["--http2"]);
        assert!(answer.body.contains("nginx HTTP/2.0"), "{answer:?}");
        let answer = curl::https(&site.front_ca(), "haproxy.test", https, "/", &[]);
        assert!(answer.body.contains("haproxy HTTP/1.1"), "{answer:?}");
        let answer = curl::https(&site.front_ca(), "shop.test", https, "/", &["--http2"]);
        assert_eq!((answer.status, answer.header("x-backend")), (200, Some("shop")), "{answer:?}");
    }
    // A request for a host that another listener has.
    let mut client = Client::tls(https, "shop.test", &site.client_config()).unwrap();
    assert_eq!(client.get("nginx.test", "/").unwrap().status, 421);
    // Without a name the listener for every host serves.
    assert_eq!(openssl::client(https, "", &[]).subject(), Some("CN = lasthop test leaf"));
}

/// A table of what the client saw and what reached the backend, behind a TLSRoute and behind a TCPRoute.
fn what_each_backend_gets(stack: Stack) {
    let (tls, tcp) = (ports::free(), ports::free());
    let listeners = tls_listener("ended", tls, "shop.test", "Terminate")
        + &super::manifests::listener("raw", tcp, "TCP", "");
    let site = Site::with_gateway(&listeners);
    let clients = Authority::new("clients CA");
    let names = &[BACKEND];
    let cases: [(&str, Option<Leaf>, bool, Option<&str>); 6] = [
        ("right", Some(site.leaf()), false, None),
        ("wrong name", Some(site.backends.leaf(&["other.test"])), false, Some("NameMismatch")),
        ("unknown CA", Some(Authority::new("nobody's CA").leaf(names)), false, Some("UntrustedChain")),
        ("expired", Some(site.backends.leaf_valid(names, Validity::Over)), false, Some("Expired")),
        ("plaintext", None, false, Some("NotTls")),
        ("no client certificate", Some(site.leaf()), true, Some("ClientCertRefused")),
    ];
    tls_route(&site, "shop", "ended", "shop.test", 1);
    site.write("route-raw.yaml", &route("TCPRoute", "raw", "raw", None, &[("shop", 1)]));
    site.policy("shop", "");
    let mut proxy = site.start(stack);
    proxy.wait_ready(&[tls, tcp]);
    let mut served = 0;
    for (case, leaf, asks, reason) in cases {
        let asked = asks.then_some(&clients);
        let server = match leaf {
            Some(leaf) => Server::tls("shop", leaf.server_asking(&[], asked)),
            // It does not wait for the end of what it does not understand.
            None => Server::scripted(|mut stream, _| {
                let _ = stream.read(&mut [0; 512]);
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
            }),
        };
        site.write("service-shop.yaml", &manifests::service("shop", &[server.port], None));
        for kind in ["TLSRoute", "TCPRoute"] {
            // The change takes effect in a moment; then the endpoint is this one.
            let endpoint = format!("127.0.0.1:{}", server.port);
            let record = within(PATIENCE, || {
                let connected = match kind {
                    "TLSRoute" => Client::tls(tls, "shop.test", &site.client_config()),
                    _ => Client::plain(tcp),
                };
                let answer = connected.and_then(|mut client| client.get("shop.test", "/"));
                let done = |record: &&serde_json::Value| {
                    record["endpoint"] == endpoint.as_str()
                        && record["route"].as_str().is_some_and(|it| it.starts_with(kind))
                };
                let records = proxy.access_log();
                let record = records.iter().find(done)?.clone();
                assert_eq!(answer.is_ok(), reason.is_none(), "{case} {kind}: {answer:?}");
                Some(record)
            });
            let record = record.unwrap_or_else(|| panic!("{case}, {kind}: no record"));
            // The client closes without close_notify.
            let told = record["reason"].as_str().filter(|told| *told != "Truncated");
            assert_eq!(told, reason, "{case}, {kind}: {record}");
            eprintln!(
                "{case:22} {kind:9} client: {:28} backend: {} requests",
                reason.map_or("an answer".to_owned(), |reason| format!("reset ({reason})")),
                server.requests().len()
            );
        }
        match reason {
            None => served += server.requests().len(),
            Some(_) => assert_eq!(server.requests(), Vec::<String>::new(), "{case}"),
        }
    }
    assert!(served >= 2, "{served}");
}

fn nothing_fails_while_the_folder_changes(stack: Stack) {
    let (tls, tcp) = (ports::free(), ports::free());
    let listeners = tls_listener("ended", tls, "shop.test", "Terminate")
        + &super::manifests::listener("raw", tcp, "TCP", "");
    let site = Arc::new(Site::with_gateway(&listeners));
    let servers = ["a", "b"].map(|name| Server::tls(name, site.leaf().server(&[])));
    tls_route(&site, "shop", "ended", "shop.test", servers[0].port);
    site.write("route-raw.yaml", &route("TCPRoute", "raw", "raw", None, &[("shop", 1)]));
    site.policy("shop", "");
    let mut proxy = site.start(stack);
    proxy.wait_ready(&[tls, tcp]);
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (site, stop, sent) = (site.clone(), stop.clone(), sent.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let mut client = match number % 2 {
                        0 => Client::tls(tls, "shop.test", &site.client_config()).unwrap(),
                        _ => Client::plain(tcp).unwrap(),
                    };
                    for _ in 0..3 {
                        assert_eq!(client.get("shop.test", "/").unwrap().status, 200);
                    }
                    sent.fetch_add(3, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for change in 0..30_usize {
        std::thread::sleep(std::time::Duration::from_millis(60));
        match change % 3 {
            0 => site
                .write("service-shop.yaml", &manifests::service("shop", &[servers[change % 2].port], None)),
            1 => {
                let bundle = format!("{}{}", site.backends.pem(), Authority::new("next CA").pem());
                site.write("ca.yaml", &manifests::config_map("ca", &bundle));
            }
            _ => {
                let weight = change as u32 + 1;
                site.write("route-raw.yaml", &route("TCPRoute", "raw", "raw", None, &[("shop", weight)]));
            }
        }
    }
    stop.store(true, Ordering::SeqCst);
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(sent.load(Ordering::SeqCst) > 100, "{sent:?}");
    assert!(servers.iter().all(|server| !server.requests().is_empty()));
    // A client that closes without close_notify is told of; it is no failure of ours.
    let failed: Vec<_> = proxy
        .access_log()
        .into_iter()
        .filter(|record| !record["reason"].is_null() && record["reason"] != "Truncated")
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
