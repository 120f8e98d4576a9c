//! The hop to a host outside: each mode of TLS, each kind of route, and what must not come through.

use std::io::{Read, Write};

use super::{Alias, HOST, outside, reference, route, routed, start, tls, xbackend};
use crate::{
    for_each_stack,
    support::{
        PATIENCE, Stack,
        certificates::Authority,
        client::Client,
        dns::Dns,
        manifests, peers, ports,
        server::Server,
        site::{BACKEND, Site},
        within,
    },
};

for_each_stack!(modes, refusals, kinds, grpc, first_request_waits);

fn modes(stack: Stack) {
    let site = Site::new();
    let dns = Dns::start();
    let plain = Server::plain("plain");
    let verified = Server::tls("verified", site.leaf().server(&["http/1.1"]));
    let clients = Authority::new("client CA");
    let asking = Server::tls("asking", site.leaf().server_asking(&["http/1.1"], Some(&clients)));
    site.write("client.yaml", &manifests::secret("client", &clients.leaf(&["gateway.test"])));
    dns.set(HOST, &["127.0.0.1"], 60);
    let shows = "    clientCertificateRef:\n      name: client\n";
    for (name, port, spec) in [
        ("a", plain.port, "  tls:\n    mode: None\n".to_owned()),
        ("b", verified.port, tls("ServerOnly", BACKEND, "")),
        ("shop", asking.port, tls("ClientAndServer", BACKEND, shows)),
        // The backend asks, and is shown nothing.
        ("other", asking.port, tls("ServerOnly", BACKEND, "")),
    ] {
        site.write(&format!("xbackend-{name}.yaml"), &xbackend(name, HOST, port, &spec));
        routed(&site, name);
    }
    let proxy = start(&site, stack, &dns, &[]);
    for (name, backend) in [("a", "plain"), ("b", "verified"), ("shop", "asking")] {
        let host = format!("{name}.test");
        let answer = site.get(&host, "/");
        assert_eq!((answer.status, answer.header("x-backend")), (200, Some(backend)), "{name}: {answer:?}");
        let record = proxy.record_of(&host, "/");
        assert_eq!(record["tls"].is_string(), name != "a", "{record}");
        assert!(record["endpoint"].as_str().unwrap().starts_with("127.0.0.1:"), "{record}");
    }
    // The name to verify is also the name to ask for; the one of DNS is neither.
    assert_eq!(verified.seen.server_names.lock().unwrap()[0].as_deref(), Some(BACKEND));
    let refused = site.get("other.test", "/");
    assert_eq!(refused.status, 502, "{refused:?}");
    assert_eq!(proxy.record_of("other.test", "/")["reason"], "ClientCertRefused");

    let endpoints = proxy.page("/endpoints").unwrap().1;
    assert!(endpoints.contains(&format!("127.0.0.1:{}", verified.port)), "{endpoints}");
    assert_eq!(proxy.metric("lasthop_dns_addresses", &[("name", HOST)]), 1.0);
    // Four XBackends, any number of workers: one question.
    assert_eq!(dns.asked(HOST).len(), 1);
}

/// What is not what the XBackend says gets no request.
fn refusals(stack: Stack) {
    let site = Site::new();
    let dns = Dns::start();
    let name = Server::tls("bad", site.backends.leaf(&[HOST]).server(&[]));
    let chain = Server::tls("bad", Authority::new("strange CA").leaf(&[BACKEND]).server(&[]));
    // What a web server says to a ClientHello.
    let plain = Server::scripted(|mut stream, _| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        let _ = stream.read(&mut [0; 4096]);
    });
    dns.set(HOST, &["127.0.0.1"], 60);
    let cases = [("a", &name, "NameMismatch"), ("b", &chain, "UntrustedChain"), ("shop", &plain, "NotTls")];
    for (route, server, _) in &cases {
        outside(&site, route, HOST, server.port);
    }
    let proxy = start(&site, stack, &dns, &[]);
    for (route, server, reason) in cases {
        let host = format!("{route}.test");
        let answer = site.get(&host, "/");
        assert_eq!(answer.status, 502, "{answer:?}");
        let record = proxy.record_of(&host, "/");
        assert_eq!(record["reason"], reason, "{record}");
        assert!(server.connections() > 0 && server.requests().is_empty(), "{:?}", server.requests());
    }
}

/// Behind a TCPRoute, and as a mirror.
fn kinds(stack: Stack) {
    let raw = ports::free();
    let site = Site::with_gateway(&format!("  - name: raw\n    port: {raw}\n    protocol: TCP\n"));
    let dns = Dns::start();
    let server = Server::tls("primary", site.leaf().server(&["http/1.1"]));
    let copy = Server::tls("copy", site.leaf().server(&["http/1.1"]));
    dns.set(HOST, &["127.0.0.1"], 60);
    dns.set("copy.outside.test", &["127.0.0.1"], 60);
    outside(&site, "a", HOST, server.port);
    site.write(
        "xbackend-copy.yaml",
        &xbackend("copy", "copy.outside.test", copy.port, &tls("ServerOnly", BACKEND, "")),
    );
    let rule = format!("backendRefs: [{}]", reference("a"));
    site.write("route-raw.yaml", &route("TCPRoute", "raw", "", &rule));
    let rule = format!(
        "backendRefs: [{}]\n    filters:\n    - type: RequestMirror\n      requestMirror: {{backendRef: {}}}",
        reference("a"),
        reference("copy")
    );
    site.write("route-shop.yaml", &route("HTTPRoute", "shop", "  hostnames: [shop.test]\n", &rule));
    let mut proxy = start(&site, stack, &dns, &[]);
    proxy.wait_ready(&[raw]);

    let answer = Client::plain(raw).unwrap().get("shop.test", "/raw").unwrap();
    assert_eq!((answer.status, answer.header("x-backend")), (200, Some("primary")));
    let record = proxy.wait_access(|record| record["route"] == "TCPRoute/default/raw");
    assert_eq!(record["tls"], "1.3", "{record}");

    assert_eq!(site.get("shop.test", "/both").status, 200);
    let mirrored =
        within(PATIENCE, || copy.requests().iter().any(|head| head.contains("/both")).then_some(()));
    assert!(mirrored.is_some(), "{}", proxy.log());

    // A name that is gone closes connections, and says why.
    dns.remove("gone.outside.test");
    outside(&site, "a", "gone.outside.test", server.port);
    let refused = within(PATIENCE, || {
        let mut client = Client::plain(raw).ok()?;
        client.get("shop.test", "/").is_err().then_some(())
    });
    assert!(refused.is_some());
    proxy.wait_access(|record| {
        record["route"] == "TCPRoute/default/raw" && record["reason"] == "NameNotResolved"
    });
}

fn grpc(stack: Stack) {
    let site = Site::new();
    let dns = Dns::start();
    let Some(peer) = peers::grpc_interop(site.work(), Some(&site.leaf())) else { return };
    dns.set(HOST, &["127.0.0.1"], 60);
    let spec = format!("  protocol: GRPC\n{}", tls("ServerOnly", BACKEND, ""));
    site.write("xbackend.yaml", &xbackend("peer", HOST, peer.port, &spec));
    let rule = format!("backendRefs: [{}]", reference("peer"));
    site.write("route.yaml", &route("GRPCRoute", "peer", "", &rule));
    let proxy = start(&site, stack, &dns, &[]);
    let message = site.work().join("empty-message");
    std::fs::write(&message, [0; 5]).unwrap();
    let data = format!("@{}", message.display());
    let flags = ["--http2", "-XPOST", "-H", "content-type: application/grpc", "-H", "te: trailers"];
    let flags = [&flags[..], &["--data-binary", &data]].concat();
    let path = "/grpc.testing.TestService/EmptyCall";
    let answer = site.curl("peer.test", path, &flags);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc")), "{answer:?}");
    assert_ne!(answer.header("grpc-status"), Some("14"));
    let record = proxy.record_of("peer.test", path);
    assert!(record["reason"].is_null() && record["tls"] == "1.3", "{record}");
}

/// A resolver that takes its time: the requests that come first wait, and none fails.
fn first_request_waits(stack: Stack) {
    let site = Site::new();
    let dns = Dns::start();
    dns.mood(crate::support::dns::Mood::Slow(1200));
    let server = Server::tls("late", site.leaf().server(&["http/1.1"]));
    let alias = Alias::new("127.0.0.2", server.port);
    dns.set(HOST, &["127.0.0.2"], 60);
    let proxy = start(&site, stack, &dns, &[]);
    // Added while it serves, so that the request comes before the answer.
    outside(&site, "shop", HOST, server.port);
    let programmed = within(PATIENCE, || proxy.page("/snapshot")?.1.contains(HOST).then_some(()));
    assert!(programmed.is_some());
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (https, config) = (site.https, site.client_config());
            std::thread::spawn(move || Client::tls(https, "shop.test", &config)?.get("shop.test", "/"))
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap().unwrap().status, 200, "{}", proxy.log());
    }
    assert!(alias.connections() > 0);
}
