//! A server that picks a protocol nobody offered: a TLS 1.2 ServerHello written by hand (RFC 5246 §7.4.1.3, RFC 7301).
//! A client must refuse it when it reads the extension, long before it could check the rest.

use std::io::{Read, Write};

use super::server::{Counted, Server};

/// Answers every ClientHello with a ServerHello that selects `protocol`.
pub(crate) fn server(protocol: &'static str) -> Server {
    Server::scripted(move |mut stream: Counted, _| {
        let mut header = [0; 5];
        if stream.read_exact(&mut header).is_err() {
            return;
        }
        let mut hello = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        if stream.read_exact(&mut hello).is_err() {
            return;
        }
        let _ = stream.write_all(&server_hello(protocol.as_bytes()));
        // Until the client has said what it thinks of that.
        let _ = stream.read(&mut [0; 1024]);
    })
}

fn server_hello(protocol: &[u8]) -> Vec<u8> {
    let mut alpn = vec![0, 0x10];
    alpn.extend((protocol.len() as u16 + 3).to_be_bytes());
    alpn.extend((protocol.len() as u16 + 1).to_be_bytes());
    alpn.push(protocol.len() as u8);
    alpn.extend(protocol);
    // renegotiation_info, extended_master_secret, ec_point_formats: what every client of today wants to see.
    let mut extensions = vec![0xff, 0x01, 0, 1, 0, 0, 0x17, 0, 0, 0, 0x0b, 0, 2, 1, 0];
    extensions.extend(alpn);

    let mut body = vec![3, 3];
    body.extend([0x5a; 32]);
    // An empty session id.
    body.push(0);
    // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, no compression
    body.extend([0xc0, 0x2b, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);

    let mut handshake = vec![2, 0];
    handshake.extend((body.len() as u16).to_be_bytes());
    handshake.extend(body);
    let mut record = vec![22, 3, 3];
    record.extend((handshake.len() as u16).to_be_bytes());
    record.extend(handshake);
    record
}
