//! Backends that attack: injected plaintext, floods, renegotiation, handshakes that stand still, cut connections. Never a
//! valid response, never growing memory, and everybody else is served.

use std::{
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use ::rustls::{
    ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
    version::{TLS12, TLS13},
};

use crate::{
    for_each_stack,
    refusals::{conceals, counts},
    support::{
        PATIENCE, Stack,
        curl::Curled,
        ports,
        proxy::Proxy,
        records::{APPLICATION_DATA, HANDSHAKE, Records},
        server::{Counted, Server},
        site::Site,
        within,
    },
};

for_each_stack!(
    plaintext_response_to_the_hello,
    plaintext_before_a_handshake,
    plaintext_record_before_the_server_hello,
    plaintext_record_in_the_handshake,
    plaintext_after_the_handshake,
    stalled_handshake,
    handshake_stalled_half_way,
    endless_handshake,
    reset_in_the_handshake,
    reset_in_the_response,
    renegotiation_by_openssl,
);

mod floods {
    use super::{flood_of_hello_requests, flood_of_key_updates, flood_of_tickets, tickets_without_end};
    use crate::for_each_stack;

    for_each_stack!(
        alone: flood_of_tickets,
        tickets_without_end,
        flood_of_hello_requests,
        flood_of_key_updates
    );
}

const INJECTED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\ninjected";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// A proxy with a hostile backend behind `shop.test` and a good one behind `other.test`.
struct Scene {
    // Before the folder with its log.
    proxy: Proxy,
    site: Site,
    good: Server,
}

impl Scene {
    fn new(stack: Stack, site: Site, port: u16) -> Self {
        Self::with_settings(stack, site, port, "")
    }

    fn with_settings(stack: Stack, site: Site, port: u16, settings: &str) -> Self {
        let good = Server::tls("good", site.leaf().server(&["http/1.1"]));
        site.tls_backend("shop", port);
        site.tls_backend("other", good.port);
        let path = site.work().join("settings.toml");
        std::fs::write(&path, settings).unwrap();
        let flags = ["--settings", path.to_str().unwrap()];
        let mut proxy = Proxy::start_without_waiting(stack, &site.manifests(), site.work(), &flags);
        proxy.wait_ready(&[site.https, site.http]);
        Self { site, proxy, good }
    }

    /// Whoever asks for another backend is answered, quickly.
    fn serves_others(&self) {
        let begun = Instant::now();
        let answer = self.site.get("other.test", "/");
        assert_eq!((answer.status, answer.body.as_str()), (200, "hello"), "{answer:?}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        assert!(self.good.connections() > 0);
    }

    /// Each request to the hostile backend gets a 502 that tells nothing, for this reason.
    fn refuses(&self, reason: &str) {
        for version in ["--http1.1", "--http2"] {
            let answer = self.site.curl("shop.test", "/secret", &[version]);
            assert_eq!((answer.status, answer.body.as_str()), (502, "bad gateway\n"), "{answer:?}");
            conceals(&answer, reason);
            assert!(!format!("{}{}", answer.head, answer.body).contains("injected"), "{answer:?}");
        }
        let records = within(PATIENCE, || {
            let records = self.proxy.access_log();
            (records.iter().filter(|record| record["path"] == "/secret").count() == 2).then_some(records)
        });
        for record in records.expect("two records").iter().filter(|record| record["path"] == "/secret") {
            assert_eq!((&record["status"], &record["reason"]), (&502.into(), &reason.into()), "{record}");
        }
        counts(&self.proxy, reason);
        self.serves_others();
    }
}

/// A server that does the handshake itself and then what it likes.
fn after_handshake(
    site: &Site,
    version: &'static SupportedProtocolVersion,
    then: impl Fn(Records) + Send + Sync + 'static,
) -> Server {
    let leaf = site.leaf();
    Server::scripted(move |stream, _| {
        let mut config = leaf.server_speaking(&[version], &["http/1.1"], None);
        config.send_tls13_tickets = 0;
        if let Some(records) = Records::accept(config, stream) {
            then(records);
        }
    })
}

// Plaintext

fn plaintext_response_to_the_hello(stack: Stack) {
    let server = Server::scripted(|mut stream, _| {
        let _ = stream.read(&mut [0; 16 * 1024]);
        let _ = stream.write_all(INJECTED);
        let _ = stream.read(&mut [0; 4096]);
    });
    Scene::new(stack, Site::new(), server.port).refuses("NotTls");
}

/// An attacker's bytes come first, then what the real backend says.
fn plaintext_before_a_handshake(stack: Stack) {
    let site = Site::new();
    let config = site.leaf().server(&["http/1.1"]);
    let server = Server::scripted(move |mut stream, _| {
        let _ = stream.write_all(INJECTED);
        answers(&config, stream);
    });
    Scene::new(stack, site, server.port).refuses("NotTls");
}

/// The same in the form of a record that is not encrypted.
fn plaintext_record_before_the_server_hello(stack: Stack) {
    let site = Site::new();
    let config = site.leaf().server(&["http/1.1"]);
    let server = Server::scripted(move |mut stream, _| {
        let _ = stream.write_all(&plaintext_record());
        answers(&config, stream);
    });
    Scene::new(stack, site, server.port).refuses("ProtocolViolation");
}

/// The record stands behind the ServerHello, where only encrypted ones may stand.
fn plaintext_record_in_the_handshake(stack: Stack) {
    for version in [&TLS12, &TLS13] {
        let site = Site::new();
        let config = Arc::new(site.leaf().server_speaking(&[version], &["http/1.1"], None));
        let server = Server::scripted(move |mut stream, _| {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let _ = connection.read_tls(&mut stream);
            let _ = connection.process_new_packets();
            let mut flight = Vec::new();
            while connection.wants_write() {
                connection.write_tls(&mut flight).unwrap();
            }
            // The first record is the ServerHello, alone or with what follows it in TLS 1.2.
            let first = 5 + usize::from(u16::from_be_bytes([flight[3], flight[4]]));
            let _ = stream.write_all(&[&flight[..first], &plaintext_record(), &flight[first..]].concat());
            let _ = stream.read(&mut [0; 4096]);
        });
        Scene::new(stack, site, server.port).refuses("ProtocolViolation");
    }
}

/// Behind a good handshake: plaintext that is no record, and plaintext in the form of one. Whatever came before it is not
/// taken for a whole response either.
fn plaintext_after_the_handshake(stack: Stack) {
    for version in [&TLS12, &TLS13] {
        for bytes in [INJECTED.to_vec(), plaintext_record()] {
            let site = Site::new();
            let server = after_handshake(&site, version, move |mut records| {
                if records.wait() {
                    records.write_plain(&bytes);
                    records.wait();
                }
            });
            Scene::new(stack, site, server.port).refuses("ProtocolViolation");
        }
    }
}

fn plaintext_record() -> Vec<u8> {
    [&[APPLICATION_DATA, 3, 3, 0, u8::try_from(INJECTED.len()).unwrap()], INJECTED].concat()
}

/// Shakes hands and answers one request.
fn answers(config: &Arc<ServerConfig>, stream: Counted) {
    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    if stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
        let _ = stream.write_all(ANSWER);
        let _ = stream.flush();
        let _ = stream.read(&mut [0; 4096]);
    }
}

// Handshakes that stand still

/// Accepts and says nothing, to many clients at once: each gets its answer when the time is over, not later, and the
/// others theirs meanwhile.
fn stalled_handshake(stack: Stack) {
    stalls(stack, Site::new(), &Server::silent());
}

/// The first half of the server's flight, then nothing.
fn handshake_stalled_half_way(stack: Stack) {
    let site = Site::new();
    let config = site.leaf().server(&["http/1.1"]);
    let server = Server::scripted(move |mut stream, _| {
        let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let _ = connection.read_tls(&mut stream);
        let _ = connection.process_new_packets();
        let mut flight = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut flight).unwrap();
        }
        let _ = stream.write_all(&flight[..flight.len() / 2]);
        while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
    });
    stalls(stack, site, &server);
}

/// Never still, never done: a byte now and then.
fn endless_handshake(stack: Stack) {
    let server = Server::scripted(|mut stream, _| {
        // The header of a handshake record of 16 KiB, then the message itself.
        let begin = [HANDSHAKE, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc];
        for byte in begin.into_iter().chain(std::iter::repeat_n(3, 16 * 1024)) {
            std::thread::sleep(Duration::from_millis(100));
            if stream.write_all(&[byte]).is_err() {
                return;
            }
        }
    });
    stalls(stack, Site::new(), &server);
}

fn stalls(stack: Stack, site: Site, server: &Server) {
    let limit = Duration::from_secs(3);
    let scene = Scene::with_settings(stack, site, server.port, "[limits]\nconnect-timeout = \"3s\"\n");
    let before = scene.proxy.memory();
    std::thread::scope(|scope| {
        let scene = &scene;
        let clients: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(move || {
                    let begun = Instant::now();
                    (scene.site.get("shop.test", "/stalled"), begun.elapsed())
                })
            })
            .collect();
        let stalled = within(PATIENCE, || (server.connections() > 0).then_some(()));
        assert!(stalled.is_some());
        (0..5).for_each(|_| scene.serves_others());
        for client in clients {
            let (answer, took) = client.join().unwrap();
            assert_eq!(answer.status, 502, "{answer:?}");
            conceals(&answer, "HandshakeTimeout");
            // As often as other endpoints are tried, which there are none of.
            assert!(took >= Duration::from_millis(2_500) && took < limit * 3, "{took:?}");
        }
    });
    let stalled = within(PATIENCE, || {
        let records = scene.proxy.access_log().into_iter();
        let stalled: Vec<_> = records.filter(|record| record["path"] == "/stalled").collect();
        (stalled.len() == 20).then_some(stalled)
    });
    let stalled = stalled.expect("twenty records");
    assert!(stalled.iter().all(|record| record["reason"] == "HandshakeTimeout"), "{stalled:#?}");
    counts(&scene.proxy, "HandshakeTimeout");
    scene.serves_others();
    // What was given up is closed, not kept.
    let open = within(PATIENCE, || (server.ended() >= server.connections()).then_some(()));
    assert!(open.is_some(), "{} of {} connections are over", server.ended(), server.connections());
    assert!(scene.proxy.memory() < before + 8 * 1024, "{before} KiB became {}", scene.proxy.memory());
}

// Resets

/// What stands unread when a socket is closed makes the kernel send a reset.
fn reset_in_the_handshake(stack: Stack) {
    let site = Site::new();
    let config = site.leaf().server(&["http/1.1"]);
    let server = Server::scripted(move |mut stream, _| {
        let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        // A part of the hello, then an answer's first bytes.
        let mut some = [0; 64];
        let _ = stream.read(&mut some);
        let _ = connection.read_tls(&mut &some[..]);
        let _ = stream.write_all(&[HANDSHAKE, 3, 3, 0, 122, 2]);
    });
    Scene::new(stack, site, server.port).refuses("Io");
}

/// In the middle of a response with a length, with chunks, and delimited by the end of the connection: the client never
/// has a whole one.
fn reset_in_the_response(stack: Stack) {
    for head in ["content-length: 1000", "transfer-encoding: chunked", "connection: close"] {
        let site = Site::new();
        let config = site.leaf().server(&["http/1.1"]);
        let server = Server::scripted(move |stream, _| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            // The head; the body's rest stays in the socket.
            let _ = stream.read(&mut [0; 512]);
            let part = if head.starts_with("transfer") { "4\r\nhalf\r\n" } else { "half" };
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{part}").as_bytes());
            let _ = stream.flush();
            std::thread::sleep(Duration::from_millis(300));
        });
        let scene = Scene::new(stack, site, server.port);
        let body = scene.site.work().join("body");
        std::fs::write(&body, vec![b'x'; 4 * 1024 * 1024]).unwrap();
        let data = format!("@{}", body.display());
        for version in ["--http1.1", "--http2"] {
            let flags = [version, "-H", "expect:", "--data-binary", &data];
            let answer = scene.site.curl("shop.test", "/reset", &flags);
            let whole = answer.status == 200 && answer.complaint.is_empty();
            assert!(!whole, "{head}: a reset looks whole: {answer:?}");
            assert!(answer.status == 502 || answer.complaint.starts_with("curl: ("), "{answer:?}");
        }
        let records = within(PATIENCE, || {
            let records = scene.proxy.access_log();
            (records.iter().filter(|record| record["path"] == "/reset").count() == 2).then_some(records)
        });
        for record in records.expect("two records") {
            assert_eq!(record["reason"], "UpstreamReset", "{head}: {record}");
        }
        counts(&scene.proxy, "UpstreamReset");
        scene.serves_others();
    }
}

// Renegotiation

/// A real server asks for a new handshake in the middle of TLS 1.2. There is none.
fn renegotiation_by_openssl(stack: Stack) {
    let site = Site::new();
    let mut server = Interactive::start(&site);
    let scene = Scene::new(stack, site, server.port);
    let answer = std::thread::scope(|scope| {
        let client = scope.spawn(|| scene.site.get("shop.test", "/again"));
        server.wait("GET /again HTTP/1.1");
        server.say("R\n");
        server.wait("SSL_do_handshake");
        // It may be gone by now.
        server.try_to_say("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
        client.join().unwrap()
    });
    assert_eq!(answer.status, 502, "{answer:?}");
    // rustls says with a warning that it does not want to, and openssl gives up; BoringSSL gives up itself.
    let reason = if stack == Stack::Rustls { "PeerAlert" } else { "ProtocolViolation" };
    conceals(&answer, reason);
    let record = scene.proxy.record_of("shop.test", "/again");
    assert_eq!(record["reason"], reason, "{record}");
    counts(&scene.proxy, reason);
    scene.serves_others();
    let said = server.said();
    // Whatever became of the request, there was one handshake.
    assert_eq!(said.matches("CIPHER is").count(), 1, "{said}");
}

/// What a response after a request for renegotiation is: rustls refuses with a warning and reads on, in the session that
/// was verified; BoringSSL ends the connection.
fn within_the_session(stack: Stack, answer: &Curled) -> Option<&'static str> {
    match stack {
        Stack::Rustls if answer.status == 200 => {
            assert_eq!(answer.body, "hello", "{answer:?}");
            None
        }
        _ => {
            assert_eq!(answer.status, 502, "{answer:?}");
            conceals(answer, "ProtocolViolation");
            Some("ProtocolViolation")
        }
    }
}

/// `openssl s_server` with TLS 1.2, told what to do through its standard input.
struct Interactive {
    port: u16,
    child: Child,
    folder: std::path::PathBuf,
}

impl Interactive {
    fn start(site: &Site) -> Self {
        let port = ports::free();
        let (certificate, key) = site.leaf().write(site.work(), "interactive");
        let folder = site.work().to_owned();
        let file = |name: &str| std::fs::File::create(folder.join(name)).unwrap();
        let child = Command::new("openssl")
            .args(["s_server", "-tls1_2", "-accept", &format!("127.0.0.1:{port}")])
            .arg("-cert")
            .arg(certificate)
            .arg("-key")
            .arg(key)
            .stdin(Stdio::piped())
            .stdout(file("interactive.out"))
            .stderr(file("interactive.err"))
            .spawn()
            .expect("openssl is needed: cargo xtask setup");
        let server = Self { port, child, folder };
        server.wait("ACCEPT");
        server
    }

    fn said(&self) -> String {
        let read = |name: &str| std::fs::read(self.folder.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&[read("interactive.out"), read("interactive.err")].concat()).into_owned()
    }

    fn wait(&self, text: &str) {
        let said = within(PATIENCE, || self.said().contains(text).then_some(()));
        assert!(said.is_some(), "openssl never says {text:?}: {}", self.said());
    }

    fn say(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn try_to_say(&mut self, text: &str) {
        let _ = self.child.stdin.as_mut().unwrap().write_all(text.as_bytes());
    }
}

impl Drop for Interactive {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// Floods

/// How much the proxy may grow under a flood that, kept, would be many times as much, in KiB.
const GROWTH: u64 = 8 * 1024;

/// Floods the proxy for some seconds, twice: the second time it does not grow. Meanwhile others are served.
fn flooded(scene: &Scene, floods: &AtomicUsize, flood: impl Fn() + Sync) {
    let all = || {
        std::thread::scope(|scope| {
            let before = floods.load(Ordering::SeqCst);
            let running = scope.spawn(&flood);
            let begun = within(PATIENCE, || (floods.load(Ordering::SeqCst) > before).then_some(()));
            assert!(begun.is_some(), "the flood never begins");
            while !running.is_finished() {
                scene.serves_others();
            }
            running.join().unwrap();
        });
    };
    all();
    let before = scene.proxy.memory();
    all();
    let after = scene.proxy.memory();
    eprintln!("{before} KiB, then {after} KiB");
    assert!(after < before + GROWTH, "{before} KiB became {after} KiB");
}

/// Twenty thousand tickets at each of many handshakes, in messages that run from one record into the next without a
/// break. rustls puts up with 64 KiB of that.
fn flood_of_tickets(stack: Stack) {
    const TICKETS: usize = 20_000;
    let site = Site::new();
    let mut config = site.leaf().server_speaking(&[&TLS13], &["http/1.1"], None);
    config.send_tls13_tickets = TICKETS;
    let server = Server::tls("shop", Arc::new(config));
    let seen = Arc::clone(&server.seen);
    let scene = Scene::new(stack, site, server.port);
    let (status, reason) = match stack {
        Stack::Rustls => (502, "ProtocolViolation".into()),
        Stack::Boringssl => (200, serde_json::Value::Null),
    };
    flooded(&scene, &seen.connections, || {
        for _ in 0..5 {
            let answer = scene.site.get("shop.test", "/close");
            assert_eq!(answer.status, status, "{answer:?}");
            conceals(&answer, "ProtocolViolation");
        }
    });
    let records = scene.proxy.access_log().into_iter();
    let floods: Vec<_> = records.filter(|record| record["path"] == "/close").collect();
    assert!(floods.len() >= 9 && floods.iter().all(|record| record["reason"] == reason), "{floods:#?}");
}

/// Tickets on one connection before the answer, a hundred thousand at a time.
fn tickets_without_end(stack: Stack) {
    let site = Site::new();
    let floods = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&floods);
    let server = after_handshake(&site, &TLS13, move |mut records| {
        while records.wait() {
            counted.fetch_add(1, Ordering::SeqCst);
            // A hundred in one record.
            let ticket = ticket(&[7; 64]).repeat(100);
            if !(0..1_000).all(|_| records.write(HANDSHAKE, &ticket)) {
                return;
            }
            records.write(APPLICATION_DATA, ANSWER);
        }
    });
    let scene = Scene::new(stack, site, server.port);
    flooded(&scene, &floods, || {
        let answer = scene.site.get("shop.test", "/");
        assert_eq!((answer.status, answer.body.as_str()), (200, "hello"), "{answer:?}");
    });
}

/// A NewSessionTicket (RFC 8446 §4.6.1): lifetime, age_add, nonce, ticket, extensions.
fn ticket(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let body = [&3600_u32.to_be_bytes()[..], &[0; 4], &[1, 0], &length, content, &[0, 0]].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[4, length[1], length[2], length[3]], &body[..]].concat()
}

/// HelloRequests in TLS 1.2 (RFC 5246 §7.4.1.1), one, then very many: the connection ends, and the answer behind them is
/// none.
fn flood_of_hello_requests(stack: Stack) {
    let site = Site::new();
    let many = Arc::new(AtomicUsize::new(1));
    let (requests, floods) = (Arc::clone(&many), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&floods);
    let server = after_handshake(&site, &TLS12, move |mut records| {
        while records.wait() {
            counted.fetch_add(1, Ordering::SeqCst);
            if !(0..requests.load(Ordering::SeqCst)).all(|_| records.write(HANDSHAKE, &[0; 4])) {
                return;
            }
            records.write(APPLICATION_DATA, ANSWER);
        }
    });
    let scene = Scene::new(stack, site, server.port);
    let answer = scene.site.get("shop.test", "/one");
    let reason = within_the_session(stack, &answer);
    assert_eq!(scene.proxy.record_of("shop.test", "/one")["reason"].as_str(), reason);
    many.store(10_000, Ordering::SeqCst);
    flooded(&scene, &floods, || {
        for _ in 0..5 {
            let answer = scene.site.get("shop.test", "/many");
            assert_eq!(answer.status, 502, "{answer:?}");
            conceals(&answer, "ProtocolViolation");
        }
    });
    assert_eq!(scene.proxy.record_of("shop.test", "/many")["reason"], "ProtocolViolation");
    counts(&scene.proxy, "ProtocolViolation");
}

/// KeyUpdates that each ask for one in return (RFC 8446 §4.6.3), and nobody reads the answers.
fn flood_of_key_updates(stack: Stack) {
    let site = Site::new();
    let floods = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&floods);
    let server = after_handshake(&site, &TLS13, move |mut records| {
        if records.wait() {
            counted.fetch_add(1, Ordering::SeqCst);
            // Only the first is sealed under the right key; a hundred stand in its record.
            records.write(HANDSHAKE, &[24, 0, 0, 1, 1].repeat(100));
            records.write(APPLICATION_DATA, ANSWER);
            while records.wait() {}
        }
    });
    let scene = Scene::new(stack, site, server.port);
    flooded(&scene, &floods, || {
        for _ in 0..20 {
            let answer = scene.site.get("shop.test", "/keys");
            assert_eq!(answer.status, 502, "{answer:?}");
            conceals(&answer, "ProtocolViolation");
        }
    });
    assert_eq!(scene.proxy.record_of("shop.test", "/keys")["reason"], "ProtocolViolation");
    counts(&scene.proxy, "ProtocolViolation");
}
