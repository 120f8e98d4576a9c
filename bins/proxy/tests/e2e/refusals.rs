//! Backends that cannot be trusted: 502, one named reason in the access log and in the metrics, none for the client.

use std::io::{Read, Write};

use crate::{
    for_each_stack,
    support::{
        PATIENCE, Stack,
        certificates::{Authority, Leaf, Validity},
        curl::Curled,
        fake_alpn,
        proxy::Proxy,
        server::Server,
        site::{BACKEND, Site},
    },
};

for_each_stack!(
    verified,
    wrong_name,
    common_name_is_no_name,
    expired,
    not_yet_valid,
    unknown_ca,
    unknown_ca_of_the_same_name,
    self_signed,
    plaintext,
    closes_in_the_handshake,
    resets_in_the_handshake,
    never_answers,
    alpn_not_offered,
    alpn_not_taken,
    asks_for_a_certificate_we_have_not,
    asks_for_a_certificate_over_http2,
    nobody_listens,
    closes_inside_the_response,
);

/// The same set-up with a good certificate answers: the refusals below are not for some other reason.
fn verified(stack: Stack) {
    let site = Site::new();
    let server = Server::tls("good", site.leaf().server(&["http/1.1"]));
    site.tls_backend("shop", server.port);
    let proxy = site.start(stack);
    let answer = site.get("shop.test", "/");
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"), "{answer:?}");
    assert_eq!(server.seen.server_names.lock().unwrap()[0].as_deref(), Some(BACKEND));
    let record = proxy.record_of("shop.test", "/");
    assert!(record["reason"].is_null(), "{record}");
    assert_eq!(record["tls"], "1.3", "{record}");
    assert_eq!(record["backend"], "default/shop:443", "{record}");
    assert_eq!(record["endpoint"], format!("127.0.0.1:{}", server.port), "{record}");
}

fn wrong_name(stack: Stack) {
    let site = Site::new();
    let server = Server::tls("bad", site.backends.leaf(&["other.test"]).server(&[]));
    refused(stack, &site, &server, "NameMismatch");
}

/// The certificate's common name is the wanted one, its only subject alternative name is not.
fn common_name_is_no_name(stack: Stack) {
    let site = Site::new();
    let server =
        Server::tls("bad", site.backends.leaf_with_common_name(BACKEND, &["other.test"]).server(&[]));
    refused(stack, &site, &server, "NameMismatch");
}

fn expired(stack: Stack) {
    let site = Site::new();
    let server = Server::tls("bad", site.backends.leaf_valid(&[BACKEND], Validity::Over).server(&[]));
    refused(stack, &site, &server, "Expired");
}

fn not_yet_valid(stack: Stack) {
    let site = Site::new();
    let server = Server::tls("bad", site.backends.leaf_valid(&[BACKEND], Validity::NotYet).server(&[]));
    refused(stack, &site, &server, "NotYetValid");
}

fn unknown_ca(stack: Stack) {
    let site = Site::new();
    let server = Server::tls("bad", Authority::new("strange CA").leaf(&[BACKEND]).server(&[]));
    refused(stack, &site, &server, "UntrustedChain");
}

/// Only the key tells it apart from the right one.
fn unknown_ca_of_the_same_name(stack: Stack) {
    let site = Site::new();
    let server = Server::tls("bad", Authority::new("backend CA").leaf(&[BACKEND]).server(&[]));
    refused(stack, &site, &server, "BadCertificate");
}

fn self_signed(stack: Stack) {
    let site = Site::new();
    let server = Server::tls("bad", Leaf::self_signed(&[BACKEND]).server(&[]));
    refused(stack, &site, &server, "UntrustedChain");
}

fn plaintext(stack: Stack) {
    let site = Site::new();
    // What a web server says to a ClientHello.
    let server = Server::scripted(|mut stream, _| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        let _ = stream.read(&mut [0; 4096]);
    });
    refused(stack, &site, &server, "NotTls");
}

fn closes_in_the_handshake(stack: Stack) {
    let site = Site::new();
    let server = Server::scripted(|mut stream, _| {
        let _ = stream.read(&mut [0; 16 * 1024]);
        stream.close();
    });
    refused(stack, &site, &server, "Truncated");
}

fn resets_in_the_handshake(stack: Stack) {
    let site = Site::new();
    // What stands unread when the socket is closed makes the kernel send a reset.
    let server = Server::scripted(|mut stream, _| {
        let _ = stream.read(&mut [0; 1]);
    });
    refused(stack, &site, &server, "Io");
}

fn never_answers(stack: Stack) {
    let site = Site::new();
    let server = Server::silent();
    site.tls_backend("shop", server.port);
    let proxy = site.start(stack);
    let answer = site.get("shop.test", "/");
    assert!(matches!(answer.status, 502 | 504), "{answer:?}");
    let record = proxy.record_of("shop.test", "/");
    let reason = record["reason"].as_str().unwrap_or_default().to_owned();
    assert!(matches!(reason.as_str(), "HandshakeTimeout" | "ConnectTimeout"), "{record}");
    conceals(&answer, &reason);
    counts(&proxy, &reason);
}

fn alpn_not_offered(stack: Stack) {
    let site = Site::new();
    refused(stack, &site, &fake_alpn::server("acme-tls/1"), "AlpnMismatch");
}

fn alpn_not_taken(stack: Stack) {
    let site = Site::new();
    let server = Server::tls("old", site.leaf().server(&[]));
    site.plain_backend("shop", server.port);
    site.policy("shop", "  options:\n    lasthop.dev/alpn: h2\n");
    let proxy = site.start(stack);
    assert_refused(&site, &proxy, &server, "AlpnMismatch");
}

fn asks_for_a_certificate_we_have_not(stack: Stack) {
    let site = Site::new();
    let clients = Authority::new("clients CA");
    let server = Server::tls("strict", site.leaf().server_asking(&[], Some(&clients)));
    refused(stack, &site, &server, "ClientCertRefused");
}

fn asks_for_a_certificate_over_http2(stack: Stack) {
    let site = Site::new();
    let clients = Authority::new("clients CA");
    let server = Server::tls("strict", site.leaf().server_asking(&["h2"], Some(&clients)));
    site.plain_backend("shop", server.port);
    site.policy("shop", "  options:\n    lasthop.dev/alpn: h2\n");
    let proxy = site.start(stack);
    assert_refused(&site, &proxy, &server, "ClientCertRefused");
}

fn nobody_listens(stack: Stack) {
    let site = Site::new();
    site.tls_backend("shop", crate::support::ports::free());
    let proxy = site.start(stack);
    let answer = site.get("shop.test", "/");
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(proxy.record_of("shop.test", "/")["reason"], "ConnectFailed");
    conceals(&answer, "ConnectFailed");
    counts(&proxy, "ConnectFailed");
}

/// A response that was cut must not look whole to the client.
fn closes_inside_the_response(stack: Stack) {
    let site = Site::new();
    let server = Server::tls("short", site.leaf().server(&[]));
    site.tls_backend("shop", server.port);
    let proxy = site.start(stack);
    for version in ["--http1.1", "--http2"] {
        let answer = site.curl("shop.test", "/early", &[version]);
        assert!(!answer.complaint.is_empty(), "curl took half a response for a whole one: {answer:?}");
    }
    // The proxy is well.
    assert_eq!(site.get("shop.test", "/").status, 200);
    drop(proxy);
}

fn refused(stack: Stack, site: &Site, server: &Server, reason: &str) {
    site.tls_backend("shop", server.port);
    let proxy = site.start(stack);
    assert_refused(site, &proxy, server, reason);
}

fn assert_refused(site: &Site, proxy: &Proxy, server: &Server, reason: &str) {
    for version in ["--http1.1", "--http2"] {
        let answer = site.curl("shop.test", "/secret", &[version]);
        assert_eq!(answer.status, 502, "{answer:?}");
        conceals(&answer, reason);
    }
    let record = proxy.record_of("shop.test", "/secret");
    assert_eq!(record["reason"], reason, "{record}");
    assert_eq!(record["status"], 502, "{record}");
    counts(proxy, reason);
    assert!(server.connections() > 0, "the backend was never asked");
    assert_eq!(server.requests(), Vec::<String>::new(), "a request reached a backend that was not verified");
}

/// Nothing in the response tells why, or what stands behind.
pub(crate) fn conceals(answer: &Curled, reason: &str) {
    let text = format!("{}{}", answer.head, answer.body).to_ascii_lowercase();
    let reason = reason.to_ascii_lowercase();
    for word in [
        reason.as_str(),
        "certificate",
        "tls",
        "ssl",
        "handshake",
        "alpn",
        BACKEND,
        "127.0.0.1",
        "other.test",
    ] {
        assert!(!text.contains(word), "the response tells {word:?}: {answer:?}");
    }
}

/// The reason is counted in the metrics.
pub(crate) fn counts(proxy: &Proxy, reason: &str) {
    let wanted = format!("reason=\"{reason}\"");
    let counted = crate::support::within(PATIENCE, || {
        let metrics = proxy.metrics();
        metrics.lines().any(|line| line.contains(&wanted) && !line.ends_with(" 0")).then_some(())
    });
    assert!(counted.is_some(), "no metric counts {wanted}:\n{}", proxy.metrics());
}
