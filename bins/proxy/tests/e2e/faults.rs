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
        Stack,
        server::{Counted, Server},
        site::Site,
    },
};

for_each_stack!(
    plaintext_at_accept,
    plaintext_between_server_hello_and_finished,
    http2_in_plaintext,
    cut_without_content_length,
    cut_before_content_length,
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
    Server::scripted(move |stream, _| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(connection, Faulty { stream, trickle, inject });
        if stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
            let _ = stream.write_all(answer);
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

/// Without a length, only close_notify tells the end from a cut.
fn cut_without_content_length(stack: Stack) {
    let site = Site::new();
    let server = abrupt(site.leaf().server(&[]), false, false, b"HTTP/1.1 200 OK\r\n\r\nhalf");
    site.tls_backend("shop", server.port);
    let _proxy = site.start(stack);
    for version in ["--http1.1", "--http2"] {
        let answer = site.curl("shop.test", "/", &[version]);
        assert!(!answer.complaint.is_empty() || answer.status == 502, "a cut looks whole: {answer:?}");
    }
}

fn cut_before_content_length(stack: Stack) {
    let site = Site::new();
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    let server = abrupt(site.leaf().server(&[]), false, false, answer);
    site.tls_backend("shop", server.port);
    let _proxy = site.start(stack);
    for version in ["--http1.1", "--http2"] {
        let answer = site.curl("shop.test", "/", &[version]);
        assert!(!answer.complaint.is_empty() || answer.status == 502, "a cut looks whole: {answer:?}");
    }
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
