//! A client of our own, for what curl cannot do: bytes as they are, one connection kept, many requests.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use super::{PATIENCE, server::Stream};

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    /// The value of a header field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

/// A connection.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Client {
    /// Plaintext.
    pub(crate) fn plain(port: u16) -> std::io::Result<Self> {
        Ok(Self { stream: Box::new(open(port)?), buffer: Vec::new() })
    }

    /// TLS; the handshake is over when this returns.
    pub(crate) fn tls(port: u16, name: &str, config: &Arc<ClientConfig>) -> std::io::Result<Self> {
        let mut stream = open(port)?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Self { stream: Box::new(StreamOwned::new(connection, stream)), buffer: Vec::new() })
    }

    /// A GET of the path.
    pub(crate) fn get(&mut self, host: &str, path: &str) -> std::io::Result<Response> {
        self.exchange(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes())
    }

    /// Sends the bytes and reads one response.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> std::io::Result<Response> {
        self.send(request)?;
        self.read_response()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    pub(crate) fn read_response(&mut self) -> std::io::Result<Response> {
        let (head, body) = read_message(&mut self.stream, &mut self.buffer, |_, _| {})
            .ok_or_else(|| std::io::Error::other("the connection ended without a whole response"))?;
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other(format!("no status in {head:?}")))?;
        Ok(Response { status, head, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Whether the other side has closed, or closes soon.
    pub(crate) fn ends(&mut self) -> bool {
        loop {
            match self.stream.read(&mut [0; 1024]) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
            }
        }
    }

    pub(crate) fn stream(&mut self) -> &mut Box<dyn Stream> {
        &mut self.stream
    }
}

fn open(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// One HTTP/1.1 message: its head, then its body by content-length or chunks. `None` when the connection ends first.
/// Between head and body the function may answer an expectation. Informational responses are passed over.
pub(crate) fn read_message(
    stream: &mut Box<dyn Stream>,
    buffer: &mut Vec<u8>,
    expectation: impl Fn(&mut Box<dyn Stream>, &str),
) -> Option<(String, Vec<u8>)> {
    loop {
        let end = fill_until(stream, buffer, |bytes| position(bytes, b"\r\n\r\n"))?;
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..end + 4);
        if head.starts_with("HTTP/1.1 1") && !head.starts_with("HTTP/1.1 101") {
            continue;
        }
        expectation(stream, &head);
        let body = if field(&head, "transfer-encoding").is_some() {
            read_chunks(stream, buffer)?
        } else {
            let length: usize = field(&head, "content-length").map_or(Some(0), |text| text.parse().ok())?;
            fill_until(stream, buffer, |bytes| (bytes.len() >= length).then_some(()))?;
            buffer.drain(..length).collect()
        };
        return Some((head, body));
    }
}

fn read_chunks(stream: &mut Box<dyn Stream>, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = fill_until(stream, buffer, |bytes| position(bytes, b"\r\n"))?;
        let size =
            usize::from_str_radix(std::str::from_utf8(&buffer[..end]).ok()?.split(';').next()?, 16).ok()?;
        buffer.drain(..end + 2);
        if size == 0 {
            // Trailers are added to the body, so that a test can see them.
            loop {
                let end = fill_until(stream, buffer, |bytes| position(bytes, b"\r\n"))?;
                let line: Vec<u8> = buffer.drain(..end + 2).take(end).collect();
                if line.is_empty() {
                    return Some(body);
                }
                body.extend_from_slice(b"\ntrailer ");
                body.extend_from_slice(&line);
            }
        }
        fill_until(stream, buffer, |bytes| (bytes.len() >= size + 2).then_some(()))?;
        body.extend(buffer.drain(..size + 2).take(size));
    }
}

fn fill_until<T>(
    stream: &mut Box<dyn Stream>,
    buffer: &mut Vec<u8>,
    found: impl Fn(&[u8]) -> Option<T>,
) -> Option<T> {
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some(found) = found(buffer) {
            return Some(found);
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(read) => buffer.extend_from_slice(&chunk[..read]),
        }
    }
}

pub(crate) fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The value of a field in a head.
pub(crate) fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
