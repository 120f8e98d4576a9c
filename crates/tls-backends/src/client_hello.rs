//! The server name of a ClientHello, read before a TLS stack sees it: who serves the connection depends on it.
//!
//! Only what must be read is read: records (RFC 8446 §5.1), the message's own lengths (§4.1.2), and the server_name
//! extension (RFC 6066 §3). A connection that is passed through is judged by its backend, so nothing else is checked.
//! Whoever terminates it parses it again, with its own stack.

use std::net::IpAddr;

/// The longest ClientHello that is read, in bytes.
const LONGEST: usize = 64 * 1024;
/// The most bytes that its records may take.
const MOST: usize = 2 * LONGEST;
/// The longest record (RFC 8446 §5.1).
const LONGEST_RECORD: usize = 1 << 14;

const RECORD_HANDSHAKE: u8 = 22;
const MESSAGE_CLIENT_HELLO: u8 = 1;
const EXTENSION_SERVER_NAME: u16 = 0;
const NAME_HOST: u8 = 0;

/// Reads a ClientHello from what has come of a connection so far: in any number of pieces and records.
#[derive(Debug, Default)]
pub struct HelloReader {
    /// How much of the input was taken: whole records.
    taken: usize,
    message: Vec<u8>,
}

/// What a ClientHello says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The server name: lower case, without trailing dot. `None`: the client names none, or an address.
    pub server_name: Option<String>,
}

/// Why there is no ClientHello to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloError {
    /// It does not begin as TLS does.
    NotTls,
    /// It is longer than 64 KiB, or in too many records.
    TooLarge,
    /// It begins as TLS does and breaks its rules.
    Malformed,
}

impl HelloReader {
    /// Looks at everything that has come: `input` begins where the connection begins and only ever grows. `None` asks for
    /// more.
    ///
    /// # Errors
    /// No ClientHello will come of this.
    pub fn read(&mut self, input: &[u8]) -> Result<Option<Hello>, HelloError> {
        loop {
            let rest = input.get(self.taken..).unwrap_or_default();
            let Some((record, length)) = record(rest, self.taken == 0)? else {
                return if input.len() >= MOST { Err(HelloError::TooLarge) } else { Ok(None) };
            };
            self.message.extend_from_slice(record);
            self.taken += length;
            let mut message = Parts(&self.message);
            let (Some(kind), length) = (message.u8(), message.u24()) else { continue };
            if kind != MESSAGE_CLIENT_HELLO {
                return Err(HelloError::Malformed);
            }
            let Some(length) = length else { continue };
            if length > LONGEST {
                return Err(HelloError::TooLarge);
            }
            if let Some(body) = message.take(length) {
                return hello(Parts(body)).ok_or(HelloError::Malformed).map(Some);
            }
            if self.taken >= MOST {
                return Err(HelloError::TooLarge);
            }
        }
    }
}

/// The content of the record that this begins with, and the length of the whole record.
fn record(input: &[u8], first: bool) -> Result<Option<(&[u8], usize)>, HelloError> {
    let wrong = if first { HelloError::NotTls } else { HelloError::Malformed };
    let mut parts = Parts(input);
    match (parts.u8(), parts.u8()) {
        (None, _) => return Ok(None),
        (Some(RECORD_HANDSHAKE), None | Some(3)) => {}
        _ => return Err(wrong),
    }
    // The second byte of the version is not looked at (RFC 8446 §5.1).
    let (Some(_), Some(length)) = (parts.u8(), parts.u16()) else { return Ok(None) };
    let length = usize::from(length);
    if length == 0 || length > LONGEST_RECORD {
        return Err(HelloError::Malformed);
    }
    Ok(parts.take(length).map(|content| (content, length + 5)))
}

fn hello(mut body: Parts<'_>) -> Option<Hello> {
    // Version and random; then session id, cipher suites, compression methods.
    body.take(2 + 32)?;
    let length = body.u8()?;
    body.take(length.into())?;
    let length = body.u16()?;
    body.take(length.into())?;
    let length = body.u8()?;
    body.take(length.into())?;
    let mut server_name = None;
    if !body.0.is_empty() {
        let length = body.u16()?;
        let mut extensions = Parts(body.take(length.into())?);
        if !body.0.is_empty() {
            return None;
        }
        while !extensions.0.is_empty() {
            let (kind, length) = (extensions.u16()?, extensions.u16()?);
            let content = extensions.take(length.into())?;
            // Twice would be two names for two readers.
            if kind == EXTENSION_SERVER_NAME
                && server_name.replace(self::server_name(Parts(content))?).is_some()
            {
                return None;
            }
        }
    }
    Some(Hello { server_name: server_name.flatten() })
}

/// The one name of a server_name extension; `Some(None)` is an address.
fn server_name(mut content: Parts<'_>) -> Option<Option<String>> {
    let length = content.u16()?;
    let mut list = Parts(content.take(length.into())?);
    let kind = list.u8()?;
    let length = list.u16()?;
    let name = list.take(length.into())?;
    if !content.0.is_empty() || !list.0.is_empty() || kind != NAME_HOST {
        return None;
    }
    let name = std::str::from_utf8(name.strip_suffix(b".").unwrap_or(name)).ok()?;
    if name.parse::<IpAddr>().is_ok() {
        return Some(None);
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    (name.len() <= 253 && name.split('.').all(is_label)).then(|| Some(name.to_ascii_lowercase()))
}

/// Bytes that are taken from the front, as long as there are any.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn u24(&mut self) -> Option<usize> {
        let [high, middle, low] = *self.take(3)? else { return None };
        Some(usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low))
    }
}

#[cfg(test)]
mod tests;
