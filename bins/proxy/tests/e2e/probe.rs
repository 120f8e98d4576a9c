//! `probe`: the handshake with every endpoint, and what would have worked.

use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
    process::Command,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use ::rustls::ServerConnection;
use serde_json::Value;

use crate::{
    for_each_stack,
    support::{
        Stack,
        certificates::{Authority, Leaf, Validity},
        manifests,
        peers::{self, Identity, Peer},
        ports,
        server::Server,
        site::{BACKEND, Site},
    },
};

for_each_stack!(
    all_fine,
    wrong_name,
    expired,
    unknown_ca,
    client_certificate_demanded,
    client_certificate_refused_late,
    client_certificate_shown,
    client_certificate_asked_by_nginx,
    no_tls_and_nobody_there,
    silent_backend,
    one_of_two_endpoints_is_bad,
    nothing_but_the_handshake_is_sent,
    offers_and_server_names,
    new_bundle,
    plaintext_and_refused,
);

#[derive(Debug)]
struct Probed {
    code: Option<i32>,
    out: String,
    err: String,
}

fn probe(site: &Site, stack: Stack, flags: &[&str]) -> Probed {
    let mut command = Command::new(crate::support::proxy::binary());
    command.arg("probe").arg("--config").arg(site.manifests()).args(["--tls-backend", stack.name()]);
    let output = command.args(flags).output().unwrap();
    Probed {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// What it says as JSON, and its exit code.
fn json(site: &Site, stack: Stack, flags: &[&str]) -> (Value, Option<i32>) {
    let probed = probe(site, stack, &[flags, &["--output", "json"]].concat());
    let value = serde_json::from_str(&probed.out).unwrap_or_else(|error| panic!("{error}: {probed:?}"));
    (value, probed.code)
}

/// The endpoint of a backend of the site.
fn endpoint<'a>(value: &'a Value, name: &str) -> &'a Value {
    let endpoints = value["endpoints"].as_array().unwrap();
    let backend = format!("default/{name}:443");
    endpoints
        .iter()
        .find(|endpoint| endpoint["backend"] == *backend)
        .unwrap_or_else(|| panic!("no {backend} in {value:#}"))
}

fn openssl(site: &Site, leaf: &Leaf) -> Peer {
    peers::openssl(site.work(), &Identity { leaf, clients: None }, &[])
}

fn all_fine(stack: Stack) {
    let site = Site::new();
    let leaf = site.leaf();
    let identity = Identity { leaf: &leaf, clients: None };
    let new = peers::nginx(site.work(), &identity);
    let old = peers::openssl(site.work(), &identity, &["-tls1_2"]);
    site.tls_backend("nginx", new.port);
    site.tls_backend("shop", old.port);
    let probed = probe(&site, stack, &[]);
    assert_eq!(probed.code, Some(0), "{probed:?}");
    for text in ["2 handshakes; nothing failed", "x25519", "CN=backend CA", "DNS:backend.test", "ok"] {
        assert!(probed.out.contains(text), "{text:?} is not in\n{}", probed.out);
    }
    let (value, code) = json(&site, stack, &[]);
    assert_eq!((code, &value["failed"]), (Some(0), &Value::from(0)), "{value:#}");
    let nginx = endpoint(&value, "nginx");
    assert_eq!(nginx["verdict"], "ok", "{nginx:#}");
    assert_eq!(nginx["tls"]["version"], "1.3");
    assert_eq!(nginx["tls"]["alpn"], "http/1.1");
    assert_eq!(nginx["serverName"], BACKEND);
    assert_eq!(nginx["chain"][0]["names"][0], "DNS:backend.test");
    assert_eq!(nginx["chain"][0]["issuer"], "CN=backend CA", "{nginx:#}");
    assert!(nginx["daysLeft"].as_i64().unwrap() > 1000, "{nginx:#}");
    let shop = endpoint(&value, "shop");
    assert_eq!(shop["tls"]["version"], "1.2", "{shop:#}");
    assert!(shop["tls"]["cipherSuite"].as_str().unwrap().starts_with("TLS_ECDHE_ECDSA_"), "{shop:#}");
}

fn wrong_name(stack: Stack) {
    let site = Site::new();
    let peer = openssl(&site, &site.backends.leaf(&["other.test"]));
    site.tls_backend("shop", peer.port);
    let (value, code) = json(&site, stack, &[]);
    let shop = endpoint(&value, "shop");
    assert_eq!(code, Some(1), "{value:#}");
    assert_eq!((&shop["verdict"], &shop["fault"]), (&Value::from("NameMismatch"), &Value::from("upstream")));
    // What was presented is told although it was refused.
    assert_eq!(shop["chain"][0]["names"][0], "DNS:other.test", "{shop:#}");
    assert_eq!(shop["wouldWork"][0], "spec.validation.hostname: other.test", "{shop:#}");

    // And it does work.
    site.write("policy-shop.yaml", &manifests::policy("shop", "shop", "other.test", "ca", ""));
    let (value, code) = json(&site, stack, &[]);
    assert_eq!(code, Some(0), "{value:#}");
}

fn expired(stack: Stack) {
    let site = Site::new();
    let peer = openssl(&site, &site.backends.leaf_valid(&[BACKEND], Validity::Over));
    site.tls_backend("shop", peer.port);
    let (value, code) = json(&site, stack, &[]);
    let shop = endpoint(&value, "shop");
    assert_eq!((code, shop["verdict"].as_str()), (Some(1), Some("Expired")), "{value:#}");
    assert_eq!(shop["chain"][0]["notAfter"], "2021-01-01T00:00:00Z");
    assert!(shop["daysLeft"].as_i64().unwrap() < 0, "{shop:#}");
    assert!(shop["wouldWork"][0].as_str().unwrap().contains("expired on 2021-01-01: renew it"), "{shop:#}");
}

fn unknown_ca(stack: Stack) {
    let site = Site::new();
    let peer = openssl(&site, &Authority::new("strange CA").leaf(&[BACKEND]));
    site.tls_backend("shop", peer.port);
    let probed = probe(&site, stack, &[]);
    assert_eq!(probed.code, Some(1), "{probed:?}");
    for text in ["UntrustedChain", "default/ca lacks the CA CN=strange CA", "the system's store"] {
        assert!(probed.out.contains(text), "{text:?} is not in\n{}", probed.out);
    }
}

/// In TLS 1.3 the handshake is over for us when the backend refuses.
fn client_certificate_demanded(stack: Stack) {
    let site = Site::new();
    let (leaf, clients) = (site.leaf(), Authority::new("clients CA"));
    for (name, flags) in [("shop", &[][..]), ("right", &["-tls1_2"][..])] {
        let peer = peers::openssl(site.work(), &Identity { leaf: &leaf, clients: Some(&clients) }, flags);
        site.tls_backend(name, peer.port);
        let (value, code) = json(&site, stack, &[]);
        let shop = endpoint(&value, name);
        assert_eq!(code, Some(1), "{value:#}");
        // In TLS 1.2 OpenSSL says no more than handshake_failure.
        let told = if flags.is_empty() { "ClientCertRefused" } else { "PeerAlert" };
        assert_eq!(shop["verdict"], told, "{shop:#}");
        assert_eq!(shop["chain"][0]["names"][0], "DNS:backend.test", "{shop:#}");
        if flags.is_empty() || stack == Stack::Rustls {
            let advice = shop["wouldWork"][0].as_str().unwrap();
            assert!(advice.contains("lasthop.dev/client-certificate-ref"), "{advice}");
            if stack == Stack::Rustls {
                assert!(advice.contains("issued by CN=clients CA"), "{advice}");
            }
        }
    }
}

/// A backend that takes its time to look at what it got.
fn client_certificate_refused_late(stack: Stack) {
    let site = Site::new();
    let config = site.leaf().server_asking(&["http/1.1"], Some(&Authority::new("clients CA")));
    let server = Server::scripted(move |mut stream, _| {
        let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        while connection.read_tls(&mut stream).is_ok_and(|read| read > 0) {
            let refused = connection.process_new_packets().is_err();
            while connection.wants_write() && connection.write_tls(&mut stream).is_ok() {}
            if refused {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    site.tls_backend("shop", server.port);
    let (value, code) = json(&site, stack, &[]);
    let shop = endpoint(&value, "shop");
    assert_eq!((code, shop["verdict"].as_str()), (Some(1), Some("ClientCertRefused")), "{value:#}");
    assert_eq!(shop["tls"]["version"], "1.3", "{shop:#}");
}

fn client_certificate_shown(stack: Stack) {
    let site = Site::with_gateway("  tls:\n    backend:\n      clientCertificateRef:\n        name: ours\n");
    let clients = Authority::new("clients CA");
    let leaf = site.leaf();
    let peer = peers::openssl(site.work(), &Identity { leaf: &leaf, clients: Some(&clients) }, &[]);
    site.tls_backend("shop", peer.port);
    site.write("ours.yaml", &manifests::secret("ours", &clients.leaf(&["gateway.test"])));
    let (value, code) = json(&site, stack, &[]);
    assert_eq!(code, Some(0), "{value:#}");
    assert!(value["endpoints"][0]["clientCertificate"]["shown"].as_str().unwrap().contains("default/ours"));

    let strange = Authority::new("strange CA").leaf(&["gateway.test"]);
    site.write("ours.yaml", &manifests::secret("ours", &strange));
    let (value, code) = json(&site, stack, &[]);
    let shop = endpoint(&value, "shop");
    assert_eq!((code, shop["verdict"].as_str()), (Some(1), Some("ClientCertRefused")), "{value:#}");
    let advice = shop["wouldWork"][0].as_str().unwrap();
    assert!(advice.contains("default/ours (CN=lasthop test leaf, issued by CN=strange CA)"), "{advice}");
}

/// nginx takes the handshake and refuses the request: a probe sends none, and can say only so much.
fn client_certificate_asked_by_nginx(stack: Stack) {
    let site = Site::new();
    let (leaf, clients) = (site.leaf(), Authority::new("clients CA"));
    let peer = peers::nginx(site.work(), &Identity { leaf: &leaf, clients: Some(&clients) });
    site.tls_backend("shop", peer.port);
    let (value, code) = json(&site, stack, &[]);
    let shop = endpoint(&value, "shop");
    assert_eq!((code, shop["verdict"].as_str()), (Some(0), Some("ok")), "{value:#}");
    if stack == Stack::Rustls {
        let note = shop["notes"][0].as_str().unwrap();
        assert!(note.contains("asks for a client certificate issued by CN=clients CA"), "{note}");
        assert_eq!(shop["clientCertificate"]["asked"], true);
    }
}

fn no_tls_and_nobody_there(stack: Stack) {
    let site = Site::new();
    // As most servers, it answers the ClientHello in HTTP.
    let plain = Server::scripted(|mut stream, _| {
        if stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        }
    });
    site.tls_backend("a", plain.port);
    site.tls_backend("b", ports::free());
    let (value, code) = json(&site, stack, &[]);
    assert_eq!((code, &value["failed"]), (Some(1), &Value::from(2)), "{value:#}");
    let (a, b) = (endpoint(&value, "a"), endpoint(&value, "b"));
    assert_eq!(a["verdict"], "NotTls", "{a:#}");
    assert!(a["wouldWork"][0].as_str().unwrap().contains("the port speaks plaintext"), "{a:#}");
    assert_eq!(b["verdict"], "ConnectFailed", "{b:#}");
    assert!(b["detail"].as_str().unwrap().contains("refused"), "{b:#}");
}

fn silent_backend(stack: Stack) {
    let site = Site::new();
    let silent = Server::silent();
    site.tls_backend("shop", silent.port);
    let began = std::time::Instant::now();
    let (value, code) = json(&site, stack, &["--timeout", "500ms"]);
    let shop = endpoint(&value, "shop");
    assert_eq!((code, shop["verdict"].as_str()), (Some(1), Some("HandshakeTimeout")), "{value:#}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

fn one_of_two_endpoints_is_bad(stack: Stack) {
    let site = Site::new();
    let good = openssl(&site, &site.leaf());
    let bad = openssl(&site, &Authority::new("strange CA").leaf(&[BACKEND]));
    site.tls_backend("shop", good.port);
    site.write("service-shop.yaml", &manifests::service("shop", &[good.port, bad.port], None));
    for jobs in ["1", "8"] {
        let (value, code) = json(&site, stack, &["--jobs", jobs]);
        assert_eq!((code, &value["failed"]), (Some(1), &Value::from(1)), "{value:#}");
        for endpoint in value["endpoints"].as_array().unwrap() {
            let address: SocketAddr = endpoint["endpoint"].as_str().unwrap().parse().unwrap();
            let verdict = if address.port() == good.port { "ok" } else { "UntrustedChain" };
            assert_eq!(endpoint["verdict"], verdict, "{endpoint:#}");
        }
    }
}

/// One connection for each endpoint, no request on it, closed at once.
fn nothing_but_the_handshake_is_sent(stack: Stack) {
    let site = Site::new();
    let server = Server::tls("shop", site.leaf().server(&["http/1.1"]));
    site.tls_backend("shop", server.port);
    let (value, code) = json(&site, stack, &[]);
    assert_eq!(code, Some(0), "{value:#}");
    let ended = crate::support::within(crate::support::PATIENCE, || {
        (server.seen.ended.load(Ordering::SeqCst) == 1).then_some(())
    });
    assert!(ended.is_some(), "the connection was not closed");
    assert_eq!(server.seen.connections.load(Ordering::SeqCst), 1);
    assert_eq!(server.seen.handshakes.load(Ordering::SeqCst), 1);
    assert!(server.seen.requests.lock().unwrap().is_empty());
    assert_eq!(*server.seen.server_names.lock().unwrap(), [Some(BACKEND.to_owned())]);
}

/// HTTP/2 where the routes need it, and the route's host as SNI where the policy says so.
fn offers_and_server_names(stack: Stack) {
    let site = Site::new();
    // It knows nothing of ALPN, so nobody chose h2.
    let old = openssl(&site, &site.leaf());
    site.tls_backend("shop", old.port);
    site.policy("shop", "  options:\n    lasthop.dev/sni: request-host\n");
    site.write("service-shop.yaml", &manifests::service("shop", &[old.port], Some("kubernetes.io/h2c")));
    let (value, code) = json(&site, stack, &[]);
    let shop = endpoint(&value, "shop");
    assert_eq!((code, shop["verdict"].as_str()), (Some(1), Some("AlpnMismatch")), "{value:#}");
    assert_eq!(shop["offered"], serde_json::json!(["h2"]));
    assert_eq!(shop["serverName"], "shop.test");

    let server = Server::tls("shop", site.leaf().server(&["http/1.1"]));
    site.write("service-shop.yaml", &manifests::service("shop", &[server.port], None));
    let (value, code) = json(&site, stack, &[]);
    assert_eq!((code, &value["endpoints"][0]["verdict"]), (Some(0), &Value::from("ok")), "{value:#}");
    // The policy offers what the Service's protocol cannot use.
    site.policy("shop", "  options:\n    lasthop.dev/sni: request-host\n    lasthop.dev/alpn: http/1.1\n");
    site.write("service-shop.yaml", &manifests::service("shop", &[server.port], Some("kubernetes.io/h2c")));
    let (value, code) = json(&site, stack, &[]);
    let shop = endpoint(&value, "shop");
    assert_eq!((code, shop["verdict"].as_str()), (Some(1), Some("AlpnMismatch")), "{value:#}");
    assert_eq!(shop["tls"]["alpn"], "http/1.1", "{shop:#}");

    let names = server.seen.server_names.lock().unwrap();
    assert_eq!(names.last().unwrap().as_deref(), Some("shop.test"));
}

fn new_bundle(stack: Stack) {
    let site = Site::new();
    let next = Authority::new("next CA");
    let (old, new) = (openssl(&site, &site.leaf()), openssl(&site, &next.leaf(&[BACKEND])));
    site.tls_backend("a", old.port);
    let file = site.work().join("bundle.pem");
    let flags = ["--with-ca", file.to_str().unwrap()];
    let verdicts = |value: &Value, name: &str| {
        let with = &endpoint(value, name)["withCa"];
        let of = |verdict: &Value| verdict["verdict"].as_str().unwrap().to_owned();
        (of(&with["old"]), of(&with["new"]))
    };
    let (ok, untrusted) = ("ok".to_owned(), "UntrustedChain".to_owned());

    std::fs::write(&file, next.pem()).unwrap();
    let (value, code) = json(&site, stack, &flags);
    assert_eq!(code, Some(1), "{value:#}");
    assert_eq!(verdicts(&value, "a"), (ok.clone(), untrusted.clone()));
    let advice = endpoint(&value, "a")["wouldWork"][0].as_str().unwrap();
    assert!(advice.contains("bundle.pem lacks the CA CN=backend CA"), "{advice}");

    // Both CAs, and a backend that has its new certificate already.
    site.tls_backend("b", new.port);
    std::fs::write(&file, site.backends.pem() + &next.pem()).unwrap();
    let (value, code) = json(&site, stack, &flags);
    assert_eq!(code, Some(0), "{value:#}");
    assert_eq!(verdicts(&value, "a"), (ok.clone(), ok.clone()));
    assert_eq!(verdicts(&value, "b"), (untrusted, ok));
    let probed = probe(&site, stack, &flags);
    assert!(probed.out.contains("2 certificates") && probed.out.contains("BY THE FILE"), "{probed:?}");

    std::fs::write(&file, "no certificate").unwrap();
    let probed = probe(&site, stack, &flags);
    assert_eq!(probed.code, Some(2), "{probed:?}");
    assert!(probed.err.contains("bundle.pem") && probed.err.contains("no usable CA"), "{probed:?}");
}

fn plaintext_and_refused(stack: Stack) {
    let site = Site::new();
    let server = Server::plain("plain");
    site.plain_backend("a", server.port);
    let (value, code) = json(&site, stack, &[]);
    assert_eq!((code, &value["failed"]), (Some(0), &Value::from(0)), "{value:#}");
    assert_eq!(value["plaintext"][0]["backend"], "default/a:443");
    assert_eq!(server.seen.connections.load(Ordering::SeqCst), 0, "a plaintext hop is left alone");

    site.tls_backend("b", server.port);
    site.remove("ca.yaml");
    let (value, code) = json(&site, stack, &[]);
    assert_eq!((code, &value["failed"]), (Some(1), &Value::from(1)), "{value:#}");
    assert_eq!(value["refused"][0]["backend"], "default/b:443", "{value:#}");
    assert!(value["refused"][0]["message"].as_str().unwrap().contains("default/ca"), "{value:#}");
    assert_eq!(server.seen.connections.load(Ordering::SeqCst), 0, "a refused hop is left alone");

    let missing = site.work().join("nowhere");
    let mut command = Command::new(crate::support::proxy::binary());
    let output = command.arg("probe").arg("--config").arg(missing).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
