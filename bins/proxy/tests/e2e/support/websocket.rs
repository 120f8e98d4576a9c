//! A WebSocket client and an echoing server (RFC 6455), as much as a test needs.

use std::io::{Error, Read, Write};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    client::{Client, field},
    server::Stream,
};

/// RFC 6455 §5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// An open WebSocket, the client's side.
pub(crate) struct WebSocket(Client);

impl WebSocket {
    /// Asks for the upgrade; an error says what came instead.
    pub(crate) fn open(mut client: Client, host: &str, path: &str) -> Result<Self, Error> {
        let key = STANDARD.encode(b"the sample nonce");
        let response = client.exchange(
            format!(
                "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n"
            )
            .as_bytes(),
        )?;
        if response.status != 101 || response.header("sec-websocket-accept") != Some(&accept(&key)) {
            return Err(Error::other(format!("no upgrade: {}", response.head)));
        }
        Ok(Self(client))
    }

    pub(crate) fn send(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Error> {
        write_frame(self.0.stream(), opcode, payload, Some([1, 2, 3, 4]))
    }

    pub(crate) fn receive(&mut self) -> Result<(Opcode, Vec<u8>), Error> {
        read_frame(self.0.stream())
    }
}

/// The server's side: echoes text and binary, answers pings and the close.
pub(crate) fn serve(head: &str, stream: &mut Box<dyn Stream>) {
    let accept = accept(field(head, "sec-websocket-key").unwrap_or_default());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    );
    if stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).is_err() {
        return;
    }
    while let Ok((opcode, payload)) = read_frame(stream) {
        let reply = if opcode == Opcode::Ping { Opcode::Pong } else { opcode };
        if write_frame(stream, reply, &payload, None).is_err() || opcode == Opcode::Close {
            return;
        }
    }
}

/// RFC 6455 §4.2.2.
fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

fn write_frame(
    stream: &mut Box<dyn Stream>,
    opcode: Opcode,
    payload: &[u8],
    mask: Option<[u8; 4]>,
) -> Result<(), Error> {
    let masked: u8 = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![0x80 | opcode as u8];
    match u16::try_from(payload.len()) {
        Ok(length @ 0..126) => frame.push(masked | length as u8),
        Ok(length) => {
            frame.push(masked | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(masked | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(mask.into_iter().flatten());
    let mask = mask.unwrap_or_default();
    frame.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]));
    stream.write_all(&frame)?;
    stream.flush()
}

fn read_frame(stream: &mut Box<dyn Stream>) -> Result<(Opcode, Vec<u8>), Error> {
    let mut start = [0; 2];
    stream.read_exact(&mut start)?;
    let opcode = match start[0] {
        0x81 => Opcode::Text,
        0x82 => Opcode::Binary,
        0x88 => Opcode::Close,
        0x89 => Opcode::Ping,
        0x8a => Opcode::Pong,
        other => return Err(Error::other(format!("frame begins with {other:#x}"))),
    };
    let length = match start[1] & 0x7f {
        126 => {
            let mut bytes = [0; 2];
            stream.read_exact(&mut bytes)?;
            usize::from(u16::from_be_bytes(bytes))
        }
        127 => {
            let mut bytes = [0; 8];
            stream.read_exact(&mut bytes)?;
            usize::try_from(u64::from_be_bytes(bytes)).map_err(Error::other)?
        }
        short => usize::from(short),
    };
    let mut mask = [0; 4];
    if start[1] & 0x80 != 0 {
        stream.read_exact(&mut mask)?;
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    payload.iter_mut().enumerate().for_each(|(index, byte)| *byte ^= mask[index % 4]);
    Ok((opcode, payload))
}
