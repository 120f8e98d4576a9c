//! gRPC through the proxy's own process: grpc-go's interoperability cases, verified hops, errors, long streams.

mod grpcurl;
mod interop;
mod streams;
mod tonic;
mod wire;

use crate::{
    for_each_stack,
    support::{
        Stack,
        certificates::{Authority, Leaf, Validity},
        curl::Curled,
        manifests, peers,
        server::Server,
        site::{BACKEND, Site},
    },
};

for_each_stack!(
    unverified_backends_get_no_byte,
    backend_without_http2,
    errors_of_http_routes_are_grpcs_too,
    mirrors_are_verified,
    methods_headers_and_weights,
);

/// A GRPCRoute for every host, with these rules.
fn route(name: &str, rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata:
  name: {name}
  namespace: default
spec:
  parentRefs:
  - name: front
  rules:
{rules}"
    )
}

/// A rule to the Service, for every method.
fn to(service: &str) -> String {
    format!("  - backendRefs:\n    - {{name: {service}, port: 443}}\n")
}

/// A Service whose backend has this certificate and the site's policy.
fn tls_service(site: &Site, name: &str, port: u16) {
    site.write(&format!("service-{name}.yaml"), &manifests::service(name, &[port], None));
    site.policy(name, "");
}

fn plain_service(site: &Site, name: &str, port: u16) {
    site.write(
        &format!("service-{name}.yaml"),
        &manifests::service(name, &[port], Some("kubernetes.io/h2c")),
    );
}

/// A call with an empty message; curl shows the head.
fn call(site: &Site, host: &str, path: &str) -> Curled {
    let message = site.work().join("empty-message");
    std::fs::write(&message, [0; 5]).unwrap();
    ask(site, host, path, &["--data-binary", &format!("@{}", message.display())])
}

/// The head of a call. With a message on its way, curl takes an early answer for a broken one.
fn ask(site: &Site, host: &str, path: &str, flags: &[&str]) -> Curled {
    let head = ["--http2", "-XPOST", "-H", "content-type: application/grpc", "-H", "te: trailers"];
    site.curl(host, path, &[&head, flags].concat())
}

const EMPTY_CALL: &str = "/grpc.testing.TestService/EmptyCall";

/// Wrong name, unknown CA, expired, plaintext, a client certificate asked for that there is not: `grpc-status` 14, the
/// reason in the log, and no byte of HTTP.
fn unverified_backends_get_no_byte(stack: Stack) {
    let site = Site::new();
    let clients = Authority::new("clients CA");
    let cases: [(&str, Option<Leaf>, &str); 5] = [
        ("wrong", Some(site.backends.leaf(&["else.test"])), "NameMismatch"),
        ("other", Some(Leaf::self_signed(&[BACKEND])), "UntrustedChain"),
        ("far", Some(site.backends.leaf_valid(&[BACKEND], Validity::Over)), "Expired"),
        ("nobody", None, ""),
        ("strict", Some(site.leaf()), "ClientCertRefused"),
    ];
    let mut servers = Vec::new();
    let mut rules = String::new();
    for (name, leaf, _) in &cases {
        let server = match leaf {
            Some(leaf) => {
                let asked = (*name == "strict").then_some(&clients);
                Server::tls(name, leaf.server_asking(&["h2"], asked))
            }
            None => Server::plain(name),
        };
        tls_service(&site, name, server.port);
        rules += &format!(
            "  - matches:\n    - method: {{service: {name}}}\n    backendRefs:\n    - {{name: {name}, port: 443}}\n"
        );
        servers.push(server);
    }
    site.write("route.yaml", &route("all", &rules));
    let proxy = site.start(stack);
    for ((name, leaf, reason), server) in cases.iter().zip(&servers) {
        let path = format!("/{name}/Do");
        let answer = ask(&site, "peer.test", &path, &[]);
        assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("14")), "{name}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/grpc"));
        let record = proxy.record_of("peer.test", &path);
        assert!(record["reason"].as_str().is_some_and(|said| said.starts_with(reason)), "{name}: {record}");
        assert!(server.connections() > 0, "{name}");
        assert!(server.requests().is_empty(), "{name}: {:?}", server.requests());
        if leaf.is_none() {
            // The ClientHello and nothing else.
            assert!(server.bytes() < 4096, "{name}: {} bytes", server.bytes());
        }
    }
}

/// The backend is who it should be, and speaks HTTP/1.1 only.
fn backend_without_http2(stack: Stack) {
    let site = Site::new();
    // A server with a list of its own ends the handshake itself, with or without a word; one without chooses nothing.
    let cases: [(&str, &[&str], &[&str]); 2] =
        [("a", &["http/1.1"], &["PeerAlert", "Truncated", "Io"]), ("b", &[], &["AlpnMismatch"])];
    for (name, alpn, reasons) in cases {
        let server = Server::tls(name, site.leaf().server(alpn));
        tls_service(&site, name, server.port);
        site.write(&format!("route-{name}.yaml"), &route(name, &to(name)));
        let proxy = site.start(stack);
        let answer = ask(&site, "peer.test", EMPTY_CALL, &[]);
        assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("14")), "{alpn:?}: {answer:?}");
        assert!(server.requests().is_empty(), "{alpn:?}: {:?}", server.requests());
        let record = proxy.record_of("peer.test", EMPTY_CALL);
        assert!(reasons.contains(&record["reason"].as_str().unwrap_or_default()), "{alpn:?}: {record}");
        drop(proxy);
        site.remove(&format!("route-{name}.yaml"));
    }
}

fn errors_of_http_routes_are_grpcs_too(stack: Stack) {
    let site = Site::new();
    site.tls_backend("shop", crate::support::ports::free());
    let proxy = site.start(stack);
    for (path, host, code) in [(EMPTY_CALL, "shop.test", "14"), ("/none/Do", "nobody.test", "12")] {
        let answer = ask(&site, host, path, &[]);
        assert_eq!((answer.status, answer.header("grpc-status")), (200, Some(code)), "{answer:?}");
    }
    assert_eq!(proxy.record_of("shop.test", EMPTY_CALL)["reason"], "ConnectFailed");
    assert_eq!(site.get("shop.test", "/").status, 502);
}

/// Copies go to a mirror that proves itself, and not one byte to one that does not.
fn mirrors_are_verified(stack: Stack) {
    let site = Site::new();
    let Some(primary) = peers::grpc_interop(site.work(), Some(&site.leaf())) else { return };
    let Some(mirror) = peers::grpc_interop(site.work(), Some(&site.leaf())) else { return };
    let wrong = Server::tls("wrong", site.backends.leaf(&["else.test"]).server(&["h2"]));
    tls_service(&site, "primary", primary.port);
    tls_service(&site, "mirror", mirror.port);
    tls_service(&site, "wrong", wrong.port);
    let filter = |name: &str| {
        format!(
            "    - type: RequestMirror\n      requestMirror: {{backendRef: {{name: {name}, port: 443}}}}\n"
        )
    };
    let rule = format!("{}    filters:\n{}{}", to("primary"), filter("mirror"), filter("wrong"));
    site.write("route.yaml", &route("all", &rule));
    let proxy = site.start(stack);
    for _ in 0..5 {
        let answer = call(&site, "peer.test", EMPTY_CALL);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(
            answer.head.contains("grpc-status: 0") || answer.body.contains("grpc-status: 0"),
            "{answer:?}"
        );
    }
    let met = crate::support::within(crate::support::PATIENCE, || {
        let refused = proxy.metric("lasthop_upstream_failures_total", &[("reason", "NameMismatch")]);
        (refused >= 1.0).then_some(())
    });
    assert!(met.is_some(), "{}", proxy.metrics());
    assert!(wrong.requests().is_empty() && wrong.connections() > 0);
    // The other one was met over TLS and answered.
    let endpoint = format!("127.0.0.1:{}", mirror.port);
    let told = proxy.page("/snapshot").unwrap().1;
    assert!(told.contains(&endpoint), "{told}");
}

/// Which rule serves a call, told by a field that the rule adds.
fn methods_headers_and_weights(stack: Stack) {
    let site = Site::new();
    let Some(peer) = peers::grpc_interop(site.work(), Some(&site.leaf())) else { return };
    tls_service(&site, "peer", peer.port);
    let rule = |told: &str, matches: &str| {
        format!(
            "  - matches:\n{matches}    filters:\n    - type: ResponseHeaderModifier\n      responseHeaderModifier: {{set: \
             [{{name: x-rule, value: {told}}}]}}\n    backendRefs:\n    - {{name: peer, port: 443}}\n"
        )
    };
    let service = "grpc.testing.TestService";
    let rules = [
        rule("method", "    - method: {method: EmptyCall}\n"),
        rule("service", &format!("    - method: {{service: {service}}}\n")),
        rule("both", &format!("    - method: {{service: {service}, method: UnaryCall}}\n")),
        rule("regex", "    - method: {type: RegularExpression, service: '.*Test.*', method: 'Unimpl.*'}\n"),
        rule(
            "header",
            &format!(
                "    - method: {{service: {service}, method: UnaryCall}}\n      headers: [{{name: version, value: two}}]\n"
            ),
        ),
    ]
    .concat();
    site.write("route.yaml", &route("all", &rules));
    let _proxy = site.start(stack);
    let told = |path: &str, flags: &[&str]| {
        let answer = ask(&site, "peer.test", path, flags);
        answer.header("x-rule").map(str::to_owned).or_else(|| answer.header("grpc-status").map(str::to_owned))
    };
    for (method, flags, expected) in [
        ("TestService/EmptyCall", &[][..], "service"),
        ("TestService/UnaryCall", &[], "both"),
        ("TestService/UnaryCall", &["-H", "version: two"], "header"),
        ("TestService/UnimplementedCall", &[], "regex"),
        ("Other/EmptyCall", &[], "method"),
        ("Other/UnaryCall", &[], "12"),
    ] {
        assert_eq!(
            told(&format!("/grpc.testing.{method}"), flags).as_deref(),
            Some(expected),
            "{method} {flags:?}"
        );
    }
}
