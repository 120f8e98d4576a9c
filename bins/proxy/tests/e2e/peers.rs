//! Real servers as backends, each also with a client certificate demanded.

use std::path::Path;

use crate::{
    for_each_stack,
    support::{
        Stack,
        certificates::Authority,
        manifests,
        peers::{self, Identity, Peer},
        site::Site,
    },
};

for_each_stack!(
    nginx,
    nginx_demands_a_certificate,
    haproxy,
    haproxy_demands_a_certificate,
    openssl,
    openssl_demands_a_certificate,
    openssl_with_tls_1_2,
    envoy,
    envoy_demands_a_certificate,
    http2_to_each,
);

fn nginx(stack: Stack) {
    answers(
        stack,
        |folder, identity| Some(peers::nginx(folder, identity)),
        "nginx HTTP/1.1 TLSv1.3 backend.test []",
    );
}

fn nginx_demands_a_certificate(stack: Stack) {
    demands(stack, |folder, identity| Some(peers::nginx(folder, identity)), "[CN=lasthop test leaf]");
}

fn haproxy(stack: Stack) {
    answers(
        stack,
        |folder, identity| Some(peers::haproxy(folder, identity)),
        "haproxy HTTP/1.1 TLSv1.3 backend.test",
    );
}

fn haproxy_demands_a_certificate(stack: Stack) {
    demands(stack, |folder, identity| Some(peers::haproxy(folder, identity)), "CN=lasthop test leaf");
}

fn openssl(stack: Stack) {
    answers(
        stack,
        |folder, identity| Some(peers::openssl(folder, identity, &[])),
        "Ciphers supported in s_server",
    );
}

fn openssl_demands_a_certificate(stack: Stack) {
    demands(stack, |folder, identity| Some(peers::openssl(folder, identity, &[])), "lasthop test leaf");
}

fn openssl_with_tls_1_2(stack: Stack) {
    answers(stack, |folder, identity| Some(peers::openssl(folder, identity, &["-tls1_2"])), "TLSv1.2");
}

fn envoy(stack: Stack) {
    answers(stack, peers::envoy, "envoy");
}

fn envoy_demands_a_certificate(stack: Stack) {
    demands(stack, peers::envoy, "x-subject: CN=lasthop test leaf");
}

/// HTTP/2 to the backend, asked for by the policy's ALPN.
fn http2_to_each(stack: Stack) {
    let site = Site::new();
    let leaf = site.leaf();
    let identity = Identity { leaf: &leaf, clients: None };
    let nginx = peers::nginx(site.work(), &identity);
    let haproxy = peers::haproxy(site.work(), &identity);
    let envoy = peers::envoy(site.work(), &identity);
    let all =
        [Some(("nginx", &nginx)), Some(("haproxy", &haproxy)), envoy.as_ref().map(|peer| ("envoy", peer))];
    for (name, peer) in all.iter().flatten() {
        site.plain_backend(name, peer.port);
        site.policy(name, "  options:\n    lasthop.dev/alpn: h2\n");
    }
    let _proxy = site.start(stack);
    for (name, _) in all.iter().flatten() {
        for version in ["--http1.1", "--http2"] {
            let answer = site.curl(&format!("{name}.test"), "/", &[version]);
            assert_eq!(answer.status, 200, "{name}: {answer:?}");
            let told = format!("{}{}", answer.head, answer.body);
            assert!(told.contains("HTTP/2") && told.contains(name), "{name}: {answer:?}");
        }
    }
}

type Start = fn(&Path, &Identity<'_>) -> Option<Peer>;

/// The backend answers through the proxy, again and again, and over both of the client's protocols.
fn answers(stack: Stack, start: Start, told: &str) {
    let site = Site::new();
    let leaf = site.leaf();
    let Some(peer) = start(site.work(), &Identity { leaf: &leaf, clients: None }) else { return };
    site.tls_backend("peer", peer.port);
    let proxy = site.start(stack);
    for version in ["--http1.1", "--http2", "--http1.1", "--http2"] {
        let answer = site.curl("peer.test", "/", &[version]);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.contains(told), "{told:?} is not in {answer:?}");
    }
    assert!(proxy.access_log().iter().all(|record| record["reason"].is_null()), "{:?}", proxy.access_log());
}

/// The backend refuses us without a certificate, and answers once the Gateway has one.
fn demands(stack: Stack, start: Start, told: &str) {
    let bare = Site::new();
    let clients = Authority::new("clients CA");
    let leaf = bare.leaf();
    let Some(peer) = start(bare.work(), &Identity { leaf: &leaf, clients: Some(&clients) }) else { return };
    bare.tls_backend("peer", peer.port);
    let proxy = bare.start(stack);
    let answer = bare.get("peer.test", "/");
    // nginx takes the handshake and says 400 in HTTP; the others refuse in TLS.
    assert!(matches!(answer.status, 502 | 400), "{answer:?}");
    assert!(!answer.body.contains(told), "{answer:?}");
    drop(proxy);

    let ours = Site::with_gateway("  tls:\n    backend:\n      clientCertificateRef:\n        name: ours\n");
    ours.write("ours.yaml", &manifests::secret("ours", &clients.leaf(&["gateway.test"])));
    ours.write("ca.yaml", &manifests::config_map("ca", &bare.backends.pem()));
    ours.tls_backend("peer", peer.port);
    let _proxy = ours.start(stack);
    for _ in 0..2 {
        let answer = ours.get("peer.test", "/");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(format!("{}{}", answer.head, answer.body).contains(told), "{told:?} is not in {answer:?}");
    }
}
