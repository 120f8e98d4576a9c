//! Several listeners on one port: which of them takes a request, and what the others' hosts get.

use crate::{
    for_each_stack,
    support::{Stack, curl, manifests, server::Server, site::Site},
};

for_each_stack!(misdirected_requests, isolated_listeners);

/// A listener for a host, with the Gateway's certificate if it is HTTPS.
fn listener(name: &str, port: u16, protocol: &str, hostname: &str) -> String {
    let tls = if protocol == "HTTPS" { "    tls: {certificateRefs: [{name: front}]}\n" } else { "" };
    format!(
        "  - name: {name}\n    port: {port}\n    protocol: {protocol}\n    hostname: \"{hostname}\"\n{tls}"
    )
}

/// A route of one listener to the backend that says its name.
fn route(site: &Site, listener: &str, path: &str, hostnames: &str) -> Server {
    let server = Server::plain(listener);
    site.write(&format!("service-{listener}.yaml"), &manifests::service(listener, &[server.port], None));
    let text = manifests::route(listener, "any.test", listener, "")
        .replace("  - name: front\n", &format!("  - name: front\n    sectionName: {listener}\n"))
        .replace("  hostnames:\n  - any.test\n", hostnames)
        .replace(
            "  - backendRefs:",
            &format!("  - matches: [{{path: {{value: {path}}}}}]\n    backendRefs:"),
        );
    site.write(&format!("route-{listener}.yaml"), &text);
    server
}

/// Whoever shook hands for one listener is not served by another: 421, and the client comes again.
fn misdirected_requests(stack: Stack) {
    let site = Site::new();
    let gateway = manifests::gateway(site.https, site.http, "")
        + &listener("second", site.https, "HTTPS", "second-example.org")
        + &listener("wild", site.https, "HTTPS", "*.wildcard.org")
        + &listener("fourth", site.https, "HTTPS", "fourth-example.wildcard.org");
    site.write("gateway.yaml", &gateway);
    let _servers = [
        route(&site, "https", "/", "  hostnames: [example.org]\n"),
        route(&site, "second", "/", ""),
        route(&site, "wild", "/", ""),
        route(&site, "fourth", "/", ""),
    ];
    let _proxy = site.start(stack);
    for (server_name, host, expected) in [
        ("example.org", "example.org", "https"),
        ("example.org", "second-example.org", "421"),
        ("example.org", "unknown-example.org", "404"),
        ("second-example.org", "second-example.org", "second"),
        ("second-example.org", "example.org", "421"),
        ("second-example.org", "unknown-example.org", "421"),
        ("third-example.wildcard.org", "third-example.wildcard.org", "wild"),
        ("third-example.wildcard.org", "fifth-example.wildcard.org", "wild"),
        ("third-example.wildcard.org", "fourth-example.wildcard.org", "421"),
        ("third-example.wildcard.org", "second-example.org", "421"),
        ("third-example.wildcard.org", "unknown-example.org", "421"),
        ("fourth-example.wildcard.org", "fourth-example.wildcard.org", "fourth"),
        ("fourth-example.wildcard.org", "fifth-example.wildcard.org", "421"),
        ("unknown-example.org", "example.org", "https"),
        ("unknown-example.org", "unknown-example.org", "404"),
    ] {
        for version in ["--http2", "--http1.1"] {
            let field = format!("host: {host}");
            let flags = [version, "-k", "-H", &field];
            let answer = curl::https(&site.front_ca(), server_name, site.https, "/", &flags);
            let told = answer.header("x-backend").map_or_else(|| answer.status.to_string(), str::to_owned);
            assert_eq!(told, expected, "{server_name} asks for {host}, {version}: {answer:?}");
        }
    }
}

/// A request belongs to the most specific listener alone, also where another one has a route for its path.
fn isolated_listeners(stack: Stack) {
    let site = Site::new();
    let gateway = manifests::gateway(site.https, site.http, "")
        + &listener("wide", site.http, "HTTP", "*.example.com")
        + &listener("narrow", site.http, "HTTP", "*.foo.example.com")
        + &listener("exact", site.http, "HTTP", "abc.foo.example.com");
    site.write("gateway.yaml", &gateway);
    let names = ["http", "wide", "narrow", "exact"];
    let _servers = names.map(|name| route(&site, name, &format!("/{name}"), ""));
    let _proxy = site.start(stack);
    for (host, owner) in [
        ("bar.com", "http"),
        ("example.com", "http"),
        ("bar.example.com", "wide"),
        ("foo.example.com", "wide"),
        ("bar.foo.example.com", "narrow"),
        ("a.b.foo.example.com", "narrow"),
        ("abc.foo.example.com", "exact"),
    ] {
        for name in names {
            let answer = curl::http(host, site.http, &format!("/{name}"), &[]);
            let expected = if name == owner { 200 } else { 404 };
            assert_eq!(answer.status, expected, "{host}/{name}: {answer:?}");
        }
    }
}
