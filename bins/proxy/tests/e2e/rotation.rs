//! Certificates, CAs, names, pins and lists that change in files while requests run: nothing fails that need not, and
//! nothing goes on that must not.

use std::{
    io::Read,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use ::rustls::{ServerConnection, StreamOwned};
use rcgen::{CertificateParams, DnType, SerialNumber};

use crate::{
    for_each_stack,
    refusals::counts,
    support::{
        PATIENCE, Stack,
        certificates::{Authority, Leaf},
        client::Client,
        load::{Load, Outcome},
        manifests, openssl,
        proxy::Proxy,
        server::{Server, Stream},
        site::{BACKEND, HOSTS, Site},
        within,
    },
};

for_each_stack!(alone: listener_certificate, backend_authority, client_certificate);

mod beside {
    use super::{
        authority_removed_under_a_response, list_of_revoked_added, name_removed, name_removed_over_http2,
        pin_added,
    };
    use crate::for_each_stack;

    for_each_stack!(
        authority_removed_under_a_response,
        name_removed,
        name_removed_over_http2,
        pin_added,
        list_of_revoked_added,
    );
}

/// How long what is under way may go on when trust shrinks.
const GRACE: Duration = Duration::from_secs(5);
/// What a busy machine may add to it.
const SLACK: Duration = Duration::from_secs(2);

fn named(name: &str) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.distinguished_name.push(DnType::CommonName, name)
}

/// Lets the load go on for as long as so many requests take.
fn after_requests(load: &Load, more: usize) {
    let until = load.sent() + more;
    let sent = within(Duration::from_secs(60), || (load.sent() >= until).then_some(()));
    assert!(sent.is_some(), "the load has stopped at {} requests", load.sent());
}

/// Ends the load: it was one, and nothing failed.
fn nothing_failed(load: Load, proxy: &Proxy) -> Outcome {
    let outcome = load.stop();
    eprintln!("{} requests over {} connections", outcome.sent, outcome.connections);
    assert!(outcome.faults.is_empty(), "{} of {}: {:#?}", outcome.faults.len(), outcome.sent, outcome.faults);
    assert!(outcome.connections >= 100, "{outcome:?}");
    let failed: Vec<_> =
        proxy.access_log().into_iter().filter(|record| !record["reason"].is_null()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    outcome
}

/// The Gateway's certificate is renewed twenty times; each is shown within a second.
fn listener_certificate(stack: Stack) {
    const RENEWALS: usize = 20;
    let (site, _server) = Site::shop();
    let proxy = site.start(stack);
    let load = Load::start(&site, "shop.test");
    let mut times = Vec::new();
    for renewal in 0..RENEWALS {
        after_requests(&load, 20);
        let name = format!("renewal {renewal}");
        let secret = manifests::secret("front", &site.front.leaf_with(HOSTS, named(&name)));
        let begun = Instant::now();
        site.write("front.yaml", &secret);
        let shown = within(PATIENCE, || {
            let said = openssl::client(site.https, "shop.test", &[]);
            (said.subject() == Some(&format!("CN = {name}"))).then(|| begun.elapsed())
        });
        times.push(shown.expect("the renewed certificate is never shown"));
    }
    let outcome = nothing_failed(load, &proxy);
    assert!(outcome.sent >= 20 * RENEWALS, "{outcome:?}");
    times.sort();
    eprintln!("shown after {times:?}");
    assert!(times[RENEWALS - 1] <= Duration::from_secs(1), "{times:?}");
}

/// The textbook rotation: the new CA is added, the backends renew, the old CA goes. Then the old leaf is worth nothing.
fn backend_authority(stack: Stack) {
    let (site, server) = Site::shop();
    let other = Server::tls("other", site.leaf().server(&["http/1.1"]));
    site.write("service-shop.yaml", &manifests::service("shop", &[server.port, other.port], None));
    let old_leaf = site.leaf();
    let proxy = site.start(stack);
    let load = Load::start(&site, "shop.test");
    let mut current = site.backends.pem();
    for turn in 0..3 {
        let next = Authority::new(&format!("backend CA {turn}"));
        after_requests(&load, 100);
        change_authorities(&site, &proxy, &format!("{current}{}", next.pem()));
        after_requests(&load, 100);
        for server in [&server, &other] {
            server.set_tls(next.leaf(&[BACKEND]).server(&["http/1.1"]));
            after_requests(&load, 50);
        }
        change_authorities(&site, &proxy, &next.pem());
        after_requests(&load, 100);
        current = next.pem();
    }
    // Connections of before go within the time they have.
    std::thread::sleep(GRACE);
    nothing_failed(load, &proxy);
    for server in [&server, &other] {
        server.set_tls(old_leaf.server(&["http/1.1"]));
    }
    // The last policy's own connections and sessions are still good; what is new is not.
    site.write("ca.yaml", &manifests::config_map("ca", &format!("{current}{}", Authority::new("x").pem())));
    site.becomes(502);
    assert_eq!(proxy.wait_access(|record| record["status"] == 502)["reason"], "UntrustedChain");
}

/// Changes the CAs, and waits until the change is in force.
fn change_authorities(site: &Site, proxy: &Proxy, bundle: &str) {
    let reloads = || proxy.metric("lasthop_config_reloads_total", &[]);
    let before = reloads();
    site.write("ca.yaml", &manifests::config_map("ca", bundle));
    let done = within(PATIENCE, || (reloads() > before).then_some(()));
    assert!(done.is_some(), "the change is never taken up: {}", proxy.log());
}

/// The certificate that the Gateway shows to backends is renewed: new handshakes show the new one, nothing fails.
fn client_certificate(stack: Stack) {
    let site = Site::with_gateway("  tls:\n    backend:\n      clientCertificateRef:\n        name: ours\n");
    let clients = Authority::new("clients CA");
    let ours = |turn: usize| {
        manifests::secret("ours", &clients.leaf_with(&["gateway.test"], named(&format!("ours {turn}"))))
    };
    site.write("ours.yaml", &ours(0));
    let (server, shown) = notes_clients(&site.leaf(), &clients);
    site.tls_backend("shop", server.port);
    let proxy = site.start(stack);
    let load = Load::start(&site, "shop.test");
    for turn in 1..=10 {
        after_requests(&load, 50);
        site.write("ours.yaml", &ours(turn));
        let renewed = within(PATIENCE, || {
            let name = format!("ours {turn}");
            shown.lock().unwrap().iter().any(|(_, der)| contains(der, name.as_bytes())).then_some(())
        });
        assert!(renewed.is_some(), "the certificate of turn {turn} is never shown");
        // Once handshakes that had begun are over, none shows an older one.
        std::thread::sleep(Duration::from_millis(500));
        let before = Instant::now();
        after_requests(&load, 50);
        let name = format!("ours {turn}");
        let newer = shown.lock().unwrap().clone();
        let newer = newer.iter().filter(|(at, _)| *at > before);
        assert!(newer.clone().all(|(_, der)| contains(der, name.as_bytes())), "an older one was shown again");
    }
    nothing_failed(load, &proxy);
}

/// When a client connected, and the certificate that it showed.
type Shown = Arc<Mutex<Vec<(Instant, Vec<u8>)>>>;

/// A backend that asks clients for certificates, and notes them.
fn notes_clients(leaf: &Leaf, clients: &Authority) -> (Server, Shown) {
    let shown = Shown::default();
    let (config, noted) = (leaf.server_asking(&["http/1.1"], Some(clients)), Arc::clone(&shown));
    let server = Server::scripted(move |mut stream, seen| {
        let at = Instant::now();
        let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        while connection.is_handshaking() {
            if connection.complete_io(&mut stream).is_err() {
                return;
            }
        }
        if let Some([certificate, ..]) = connection.peer_certificates() {
            noted.lock().unwrap().push((at, certificate.to_vec()));
        }
        let mut stream: Box<dyn Stream> = Box::new(StreamOwned::new(connection, stream));
        crate::support::server::serve("shop", &mut stream, seen);
    });
    (server, shown)
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// A CA goes while a long response is under way: the response is cut in time, with its reason, and another backend's
/// goes on.
fn authority_removed_under_a_response(stack: Stack) {
    let site = Site::new();
    let trickle = |leaf: &Leaf| {
        let config = leaf.server(&["http/1.1"]);
        Server::scripted(move |stream, seen| trickles(&config, stream, seen))
    };
    let next = Authority::new("next CA");
    let old = trickle(&site.leaf());
    let new = trickle(&next.leaf(&[BACKEND]));
    site.tls_backend("shop", old.port);
    site.tls_backend("other", new.port);
    site.write("ca.yaml", &manifests::config_map("ca", &format!("{}{}", site.backends.pem(), next.pem())));
    site.write("next.yaml", &manifests::config_map("next", &next.pem()));
    site.write("policy-other.yaml", &manifests::policy("other", "other", BACKEND, "next", ""));
    let proxy = site.start(stack);

    let begin = |host: &str| {
        let mut client = site.connect(host);
        client.send(format!("GET /long HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).unwrap();
        std::thread::spawn(move || drain(client))
    };
    let (cut, whole) = (begin("shop.test"), begin("other.test"));
    let under_way =
        within(PATIENCE, || (old.requests().len() == 1 && new.requests().len() == 1).then_some(()));
    assert!(under_way.is_some());
    site.write("ca.yaml", &manifests::config_map("ca", &next.pem()));
    let begun = Instant::now();
    site.becomes(502);
    let (text, ended) = cut.join().unwrap();
    let after = ended - begun;
    assert!(after <= GRACE + SLACK, "cut after {after:?}");
    assert!(after >= Duration::from_secs(3), "cut after {after:?}: no time to end");
    assert!(
        text.contains("\r\n\r\n") && !text.ends_with("0\r\n\r\n"),
        "the cut response looks whole: {text:?}"
    );
    let record = proxy.record_of("shop.test", "/long");
    assert_eq!(record["reason"], "TrustRevoked", "{record}");
    counts(&proxy, "TrustRevoked");
    let (text, ended) = whole.join().unwrap();
    assert!(ended - begun > after, "the other one was cut, too");
    assert!(text.ends_with("0\r\n\r\n"), "the other backend's response was cut: {text:?}");
    assert!(proxy.record_of("other.test", "/long")["reason"].is_null());
}

/// Sends a chunk four times a second for twelve seconds.
fn trickles(
    config: &Arc<::rustls::ServerConfig>,
    stream: crate::support::server::Counted,
    seen: &crate::support::server::Seen,
) {
    use std::io::Write;
    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    let mut head = [0; 4096];
    let Ok(read) = stream.read(&mut head) else { return };
    seen.requests.lock().unwrap().push(String::from_utf8_lossy(&head[..read]).into_owned());
    let begun = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    if begun.and_then(|()| stream.flush()).is_err() {
        return;
    }
    for _ in 0..48 {
        std::thread::sleep(Duration::from_millis(250));
        if stream.write_all(b"4\r\nmore\r\n").and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
    let _ = stream.write_all(b"0\r\n\r\n").and_then(|()| stream.flush());
    // Until the proxy goes.
    let _ = stream.read(&mut head);
}

/// Reads until the response or the connection ends; what came, and when it ended.
fn drain(mut client: Client) -> (String, Instant) {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    while !text.ends_with(b"0\r\n\r\n") {
        match client.stream().read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(read) => text.extend_from_slice(&chunk[..read]),
        }
    }
    (String::from_utf8_lossy(&text).into_owned(), Instant::now())
}

fn name_removed(stack: Stack) {
    let names = |names: &[&str]| {
        let list: String =
            names.iter().map(|name| format!("    - type: Hostname\n      hostname: {name}\n")).collect();
        manifests::policy("shop", "shop", BACKEND, "ca", &format!("    subjectAltNames:\n{list}"))
    };
    shrinks(
        stack,
        |site| site.write("policy-shop.yaml", &names(&["first.test", BACKEND])),
        |site| site.write("policy-shop.yaml", &names(&["first.test"])),
        "NameMismatch",
        "--http1.1",
    );
}

fn name_removed_over_http2(stack: Stack) {
    shrinks(
        stack,
        |_| {},
        |site| {
            let policy = manifests::policy("shop", "shop", "first.test", "ca", "");
            site.write("policy-shop.yaml", &policy);
        },
        "NameMismatch",
        "--http2",
    );
}

fn pin_added(stack: Stack) {
    let pin = Leaf::self_signed(&[BACKEND]).pin;
    shrinks(
        stack,
        |_| {},
        move |site| site.policy("shop", &format!("  options:\n    lasthop.dev/spki-pins: {pin}\n")),
        "PinMismatch",
        "--http1.1",
    );
}

fn list_of_revoked_added(stack: Stack) {
    let options = "  options:\n    lasthop.dev/crl-ref: ConfigMap/revoked\n";
    let write = |site: &Site, serials: &[u64]| {
        let list = manifests::config_map("revoked", &site.backends.revocations(serials));
        site.write("revoked.yaml", &list.replace("ca.crt:", "ca.crl:"));
    };
    // First a list that names another certificate, then one that names this.
    shrinks(
        stack,
        |site| {
            write(site, &[SERIAL + 1]);
            site.policy("shop", options);
        },
        |site| write(site, &[SERIAL + 1, SERIAL]),
        "Revoked",
        "--http1.1",
    );
}

const SERIAL: u64 = 0x1234_5678;

/// A backend that is trusted until the change: then no request reaches it, with this reason, and within the time they
/// have its connections are over, the idle ones and the one under which a response is under way.
fn shrinks(stack: Stack, before: impl Fn(&Site), change: impl Fn(&Site), reason: &str, version: &str) {
    let site = Site::new();
    let leaf = site.backends.leaf_with(&[BACKEND], |params| {
        params.serial_number = Some(SerialNumber::from(SERIAL));
    });
    let server = Server::tls("shop", leaf.server(&["http/1.1"]));
    site.tls_backend("shop", server.port);
    before(&site);
    let proxy = site.start(stack);
    for _ in 0..3 {
        let answer = site.curl("shop.test", "/", &[version]);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let mut slow = site.connect("shop.test");
    slow.send(b"GET /slow?15000 HTTP/1.1\r\nhost: shop.test\r\n\r\n").unwrap();
    let under_way =
        within(PATIENCE, || server.requests().iter().any(|head| head.contains("/slow")).then_some(()));
    assert!(under_way.is_some());
    let connections = server.connections();
    let begun = Instant::now();
    change(&site);
    site.becomes(502);
    assert_eq!(proxy.wait_access(|record| record["status"] == 502)["reason"], reason);
    let answer = slow.read_response().unwrap();
    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(begun.elapsed() <= GRACE + SLACK, "{:?}", begun.elapsed());
    let record = proxy.record_of("shop.test", "/slow");
    assert_eq!(record["reason"], "TrustRevoked", "{record}");
    // The one that still sleeps over its answer learns it when it writes; all others know.
    let ended = within((GRACE + SLACK).saturating_sub(begun.elapsed()), || {
        (server.ended() + 1 >= connections).then_some(())
    });
    assert!(ended.is_some(), "{} of {connections} connections are over", server.ended());
    let open = proxy.metric("lasthop_connections", &[("side", "upstream")]);
    assert!(open <= 0.0, "{open} connections to the backend are open");
    counts(&proxy, reason);
    counts(&proxy, "TrustRevoked");
}
