//! What the rules of a route do to requests, seen from both ends.

use crate::{
    for_each_stack,
    support::{
        PATIENCE, Stack, certificates::Authority, client::Client, curl, manifests, peers, ports,
        server::Server, site::Site, within,
    },
};

for_each_stack!(
    matches,
    header_filters,
    redirect,
    rewrite,
    mirror,
    weights,
    timeouts,
    dead_endpoint_is_stepped_around,
    http2_without_tls_to_the_backend,
    client_certificates,
);

/// The rules of a route to `shop.test`, written by the test.
fn with_rules(rules: &str) -> String {
    let head = manifests::route("shop", "shop.test", "a", "");
    let (head, _) = head.split_once("  rules:\n").unwrap();
    format!("{head}  rules:\n{rules}")
}

fn two_shops() -> (Site, [Server; 2]) {
    let site = Site::new();
    let servers = ["a", "b"].map(|name| Server::tls(name, site.leaf().server(&["http/1.1"])));
    site.tls_backend("a", servers[0].port);
    site.tls_backend("b", servers[1].port);
    (site, servers)
}

fn matches(stack: Stack) {
    let (site, _servers) = two_shops();
    site.write(
        "route-shop.yaml",
        &with_rules(
            "  - matches:
    - path: {type: PathPrefix, value: /a}
    backendRefs: [{name: a, port: 443}]
  - matches:
    - path: {type: Exact, value: /a/b}
    - headers: [{name: x-to, value: b}]
    - method: DELETE
    - queryParams: [{name: to, value: b}]
    backendRefs: [{name: b, port: 443}]
",
        ),
    );
    let _proxy = site.start(stack);
    for (path, flags, wanted) in [
        ("/a", &[][..], Some("a")),
        ("/a/c", &[], Some("a")),
        ("/a/b", &[], Some("b")),
        ("/ab", &[], None),
        ("/", &[], None),
        ("/", &["-H", "x-to: b"], Some("b")),
        ("/", &["-X", "DELETE"], Some("b")),
        ("/?to=b", &[], Some("b")),
        ("/?to=a", &[], None),
    ] {
        for version in ["--http1.1", "--http2"] {
            let answer = site.curl("shop.test", path, &[&[version], flags].concat());
            assert_eq!(answer.header("x-backend"), wanted, "{path} {flags:?}: {answer:?}");
            assert_eq!(answer.status, if wanted.is_some() { 200 } else { 404 }, "{path} {flags:?}");
        }
    }
}

fn header_filters(stack: Stack) {
    let (site, _servers) = two_shops();
    site.write(
        "route-shop.yaml",
        &with_rules(
            "  - filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: x-set, value: ours}], add: [{name: x-add, value: more}], remove: [x-gone]}
    - type: ResponseHeaderModifier
      responseHeaderModifier: {set: [{name: x-backend, value: hidden}]}
    backendRefs: [{name: a, port: 443}]
",
        ),
    );
    let _proxy = site.start(stack);
    let answer = site.curl(
        "shop.test",
        "/head",
        &["-H", "x-set: theirs", "-H", "x-gone: 1", "-H", "x-add: first", "-H", "x-kept: 1"],
    );
    let head = answer.body.to_ascii_lowercase();
    assert!(head.contains("x-set: ours") && !head.contains("theirs"), "{head}");
    assert!(head.contains("first") && head.contains("more") && head.contains("x-kept: 1"), "{head}");
    assert!(!head.contains("x-gone"), "{head}");
    assert_eq!(answer.header("x-backend"), Some("hidden"));
}

fn redirect(stack: Stack) {
    let (site, servers) = two_shops();
    site.write(
        "route-shop.yaml",
        &with_rules(
            "  - filters:
    - type: RequestRedirect
      requestRedirect: {scheme: https, hostname: new.test, port: 8443, statusCode: 301}
",
        ),
    );
    let _proxy = site.start(stack);
    let answer = site.get("shop.test", "/path?query=1");
    assert_eq!(answer.status, 301, "{answer:?}");
    assert_eq!(answer.header("location"), Some("https://new.test:8443/path?query=1"));
    assert!(servers.iter().all(|server| server.connections() == 0));
}

fn rewrite(stack: Stack) {
    let (site, servers) = two_shops();
    site.write(
        "route-shop.yaml",
        &with_rules(
            "  - matches:
    - path: {type: PathPrefix, value: /old}
    filters:
    - type: URLRewrite
      urlRewrite: {hostname: inner.test, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}
    backendRefs: [{name: a, port: 443}]
",
        ),
    );
    let _proxy = site.start(stack);
    assert_eq!(site.get("shop.test", "/old/x?y=%20z").status, 200);
    let head = servers[0].requests()[0].clone();
    assert!(head.starts_with("GET /new/x?y=%20z HTTP/1.1\r\n"), "{head}");
    assert!(head.to_ascii_lowercase().contains("\r\nhost: inner.test"), "{head}");
}

/// The mirror is a backend like any other: verified.
fn mirror(stack: Stack) {
    let (site, servers) = two_shops();
    let bad = Server::tls("bad", site.backends.leaf(&["other.test"]).server(&[]));
    site.tls_backend("bad", bad.port);
    site.write(
        "route-shop.yaml",
        &with_rules(
            "  - filters:
    - type: RequestMirror
      requestMirror: {backendRef: {name: b, port: 443}}
    - type: RequestMirror
      requestMirror: {backendRef: {name: bad, port: 443}}
    backendRefs: [{name: a, port: 443}]
",
        ),
    );
    let _proxy = site.start(stack);
    for _ in 0..5 {
        let answer = site.curl("shop.test", "/echo", &["--data", "copied"]);
        assert_eq!(
            (answer.status, answer.header("x-backend"), answer.body.as_str()),
            (200, Some("a"), "copied")
        );
    }
    let mirrored = within(PATIENCE, || (servers[1].requests().len() == 5).then_some(()));
    assert!(mirrored.is_some(), "{:?}", servers[1].requests());
    assert_eq!(bad.requests(), Vec::<String>::new());
}

fn weights(stack: Stack) {
    let (site, servers) = two_shops();
    site.write(
        "route-shop.yaml",
        &with_rules("  - backendRefs: [{name: a, port: 443, weight: 3}, {name: b, port: 443, weight: 1}]\n"),
    );
    let _proxy = site.start(stack);
    let mut client = site.connect("shop.test");
    for _ in 0..400 {
        assert_eq!(client.get("shop.test", "/").unwrap().status, 200);
    }
    let a = servers[0].requests().len();
    // 300 are expected; four standard deviations are 35.
    assert!((260..=340).contains(&a), "{a} of 400 went to a");
}

fn timeouts(stack: Stack) {
    let (site, _servers) = two_shops();
    site.write(
        "route-shop.yaml",
        &with_rules("  - timeouts: {request: 300ms}\n    backendRefs: [{name: a, port: 443}]\n"),
    );
    let proxy = site.start(stack);
    assert_eq!(site.get("shop.test", "/").status, 200);
    let answer = site.get("shop.test", "/slow?3000");
    assert_eq!(answer.status, 504, "{answer:?}");
    assert_eq!(proxy.record_of("shop.test", "/slow")["reason"], "RequestTimeout");
}

fn dead_endpoint_is_stepped_around(stack: Stack) {
    let (site, servers) = two_shops();
    site.write(
        "service-a.yaml",
        &manifests::service("a", &[ports::free(), servers[0].port, ports::free()], None),
    );
    site.write("route-shop.yaml", &with_rules("  - backendRefs: [{name: a, port: 443}]\n"));
    let _proxy = site.start(stack);
    let mut client = site.connect("shop.test");
    for number in 0..50 {
        let answer = client.get("shop.test", "/").unwrap();
        assert_eq!(answer.status, 200, "request {number}: {answer:?}");
    }
}

fn http2_without_tls_to_the_backend(stack: Stack) {
    let site = Site::new();
    let nginx = peers::nginx_h2c(site.work());
    site.plain_backend("h2c", nginx.port);
    site.write("service-h2c.yaml", &manifests::service("h2c", &[nginx.port], Some("kubernetes.io/h2c")));
    let _proxy = site.start(stack);
    for version in ["--http1.1", "--http2"] {
        let answer = site.curl("h2c.test", "/", &[version]);
        assert_eq!((answer.status, answer.body.as_str()), (200, "nginx HTTP/2.0"), "{answer:?}");
    }
    let answer = curl::http("h2c.test", site.http, "/", &["--http2-prior-knowledge"]);
    assert_eq!((answer.status, answer.body.as_str()), (200, "nginx HTTP/2.0"), "{answer:?}");
}

/// A Gateway that demands client certificates: none, a stranger's and the right one.
fn client_certificates(stack: Stack) {
    let more = "  tls:
    frontend:
      default:
        validation:
          caCertificateRefs:
          - group: \"\"
            kind: ConfigMap
            name: clients
";
    let site = Site::with_gateway(more);
    let clients = Authority::new("clients CA");
    site.write("clients.yaml", &manifests::config_map("clients", &clients.pem()));
    let server = Server::tls("shop", site.leaf().server(&["http/1.1"]));
    site.tls_backend("shop", server.port);
    let _proxy = site.start(stack);
    let stranger = Authority::new("clients CA").leaf(&["client.test"]);
    for certificate in [None, Some(&stranger)] {
        let config = site.front.client(&["http/1.1"], certificate);
        // In TLS 1.3 the refusal may arrive after the client's handshake.
        let answer =
            Client::tls(site.https, "shop.test", &config).and_then(|mut client| client.get("shop.test", "/"));
        assert!(answer.is_err(), "{answer:?}");
    }
    assert_eq!(server.connections(), 0);
    let config = site.front.client(&["http/1.1"], Some(&clients.leaf(&["client.test"])));
    let answer = Client::tls(site.https, "shop.test", &config).unwrap().get("shop.test", "/").unwrap();
    assert_eq!(answer.status, 200);
}
