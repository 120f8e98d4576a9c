//! Backends that break the protocol: never an injected answer, never a cut one that looks whole.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use ::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::{
    for_each_stack,
    refusals::{conceals, counts},
    support::{
        PATIENCE, Stack,
        client::Client,
        server::{Counted, Server},
        site::Site,
        within,
    },
};

for_each_stack!(
    plaintext_at_accept,
    plaintext_between_server_hello_and_finished,
    http2_in_plaintext,
    cut_without_content_length,
    cut_before_content_length,
    cut_within_chunks,
    cut_for_a_client_that_knows_no_chunks,
    closed_cleanly,
    closed_cleanly_too_early,
    trickled_handshake,
);

const INJECTED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\ninjected";

/// Writes a byte at a time, or slips plaintext in after the first record.
struct Faulty {
    stream: Counted,
    trickle: bool,
    inject: bool,
}

impl Read for Faulty {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Faulty {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.trickle {
            return self.stream.write(bytes.get(..1).unwrap_or_default());
        }
        if self.inject {
            self.inject = false;
            self.stream.write_all(bytes)?;
            self.stream.write_all(INJECTED)?;
            return Ok(bytes.len());
        }
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

/// Answers one request with `answer`, then ends the connection without close_notify.
fn abrupt(config: Arc<ServerConfig>, trickle: bool, inject: bool, answer: &'static [u8]) -> Server {
    ending(config, trickle, inject, answer, false)
}

/// As [`abrupt`], or properly.
fn ending(
    config: Arc<ServerConfig>,
    trickle: bool,
    inject: bool,
    answer: &'static [u8],
    notify: bool,
) -> Server {
    Server::scripted(move |stream, _| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(connection, Faulty { stream, trickle, inject });
        if stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
            let _ = stream.write_all(answer);
            if notify {
                stream.conn.send_close_notify();
            }
            let _ = stream.flush();
        }
        stream.sock.stream.close();
    })
}

fn plaintext_at_accept(stack: Stack) {
    refused(stack, &Site::new(), &speaks_first(INJECTED), "NotTls");
}

fn http2_in_plaintext(stack: Stack) {
    refused(
        stack,
        &Site::new(),
        &speaks_first(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
        "NotTls",
    );
}

fn plaintext_between_server_hello_and_finished(stack: Stack) {
    let site = Site::new();
    let server = abrupt(site.leaf().server(&[]), false, true, INJECTED);
    refused(stack, &site, &server, "ProtocolViolation");
}

/// Delimited by the end of the connection, by a length, and by chunks.
const DELIMITED: [&[u8]; 3] = [
    b"HTTP/1.1 200 OK\r\n\r\nhalf",
    b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
];

/// Without a length, only close_notify tells the end from a cut.
fn cut_without_content_length(stack: Stack) {
    cut(stack, DELIMITED[0], false, "Truncated");
}

fn cut_before_content_length(stack: Stack) {
    cut(stack, DELIMITED[1], false, "Truncated");
}

fn cut_within_chunks(stack: Stack) {
    cut(stack, DELIMITED[2], false, "Truncated");
}

/// A proper end of TLS is none of a message that has its own.
fn closed_cleanly_too_early(stack: Stack) {
    cut(stack, DELIMITED[1], true, "UpstreamReset");
    cut(stack, DELIMITED[2], true, "UpstreamReset");
}

/// The control: with close_notify, the end of the connection is the end of the body.
fn closed_cleanly(stack: Stack) {
    let site = Site::new();
    let server = ending(site.leaf().server(&[]), false, false, DELIMITED[0], true);
    site.tls_backend("shop", server.port);
    let proxy = site.start(stack);
    for flags in [&["--http1.0", "--no-alpn"][..], &["--http1.1"], &["--http2"]] {
        let answer = site.curl("shop.test", "/", flags);
        assert_eq!((answer.status, answer.body.as_str()), (200, "half"), "{answer:?}");
        assert_eq!(answer.complaint, "", "{answer:?}");
    }
    let mut client = site.connect("shop.test");
    assert_eq!(read_as_http_1_0(&mut client), (true, "half".to_owned()));
    let records = within(PATIENCE, || Some(proxy.access_log()).filter(|records| records.len() == 4));
    assert!(records.is_some_and(|records| records.iter().all(|record| record["reason"].is_null())));
}

/// HTTP/1.0 has no chunks: there the client's own connection has to end without close_notify. (curl itself does not mind.)
fn cut_for_a_client_that_knows_no_chunks(stack: Stack) {
    for answer in DELIMITED {
        let site = Site::new();
        let server = abrupt(site.leaf().server(&[]), false, false, answer);
        site.tls_backend("shop", server.port);
        let proxy = site.start(stack);
        let (ended_well, body) = read_as_http_1_0(&mut site.connect("shop.test"));
        // A cut that comes at once may overtake the head.
        assert!(!ended_well, "a cut looks whole: {body:?}");
        let record = proxy.record_of("shop.test", "/");
        assert_eq!(record["reason"], "Truncated", "{record}");
    }
}

/// Whether the connection ended with close_notify, and the body that came.
fn read_as_http_1_0(client: &mut Client) -> (bool, String) {
    client.send(b"GET / HTTP/1.0\r\nhost: shop.test\r\n\r\n").unwrap();
    let mut text = Vec::new();
    let ended = client.stream().read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (ended.is_ok(), body.to_owned())
}

/// The client sees that something is missing, and the log says why.
fn cut(stack: Stack, answer: &'static [u8], notify: bool, reason: &str) {
    let site = Site::new();
    let server = ending(site.leaf().server(&[]), false, false, answer, notify);
    let good = Server::tls("good", site.leaf().server(&[]));
    site.tls_backend("shop", server.port);
    site.tls_backend("other", good.port);
    let proxy = site.start(stack);
    // What curl says of a transfer, a connection and a stream that end too early.
    for (version, complaints) in
        [("--http1.1", &["curl: (18)", "curl: (56)", "curl: (52)"][..]), ("--http2", &["curl: (92)"])]
    {
        let answer = site.curl("shop.test", "/cut", &[version]);
        let complains = complaints.iter().any(|complaint| answer.complaint.starts_with(complaint));
        assert!(complains, "a cut looks whole: {answer:?}");
        assert!(matches!(answer.status, 200 | 0), "{answer:?}");
        assert!(matches!(answer.body.trim_end(), "half" | ""), "{answer:?}");
    }
    let records = within(PATIENCE, || Some(proxy.access_log()).filter(|records| records.len() == 2));
    for record in records.expect("two records") {
        assert_eq!((&record["status"], &record["reason"]), (&200.into(), &reason.into()), "{record}");
    }
    counts(&proxy, reason);
    assert_eq!(site.get("other.test", "/").status, 200);
}

fn trickled_handshake(stack: Stack) {
    let site = Site::new();
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    let server = abrupt(site.leaf().server(&[]), true, false, answer);
    site.tls_backend("shop", server.port);
    let _proxy = site.start(stack);
    let answer = site.get("shop.test", "/");
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"), "{answer:?}");
}

fn speaks_first(bytes: &'static [u8]) -> Server {
    Server::scripted(move |mut stream, _| {
        let _ = stream.write_all(bytes);
        let _ = stream.read(&mut [0; 4096]);
    })
}

fn refused(stack: Stack, site: &Site, server: &Server, reason: &str) {
    site.tls_backend("shop", server.port);
    let proxy = site.start(stack);
    let answer = site.get("shop.test", "/");
    assert_eq!(answer.status, 502, "{answer:?}");
    let record = proxy.record_of("shop.test", "/");
    assert_eq!(record["reason"], reason, "{record}");
    conceals(&answer, reason);
    counts(&proxy, reason);
}
