//! The PROXY protocol (haproxy.org, "The PROXY protocol", versions 1 and 2): a header that tells the client's address.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use bytes::{Bytes, BytesMut};
use tokio::{io::AsyncReadExt, net::TcpStream};

/// How version 2 begins.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, its CRLF included.
const LONGEST_V1: usize = 107;
/// The longest that is read of version 2, in bytes: addresses, and what else may stand behind them.
const LONGEST_V2: usize = 16 + 4096;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The client's address; `None`: the sender speaks for itself, or does not know.
    pub client: Option<SocketAddr>,
}

/// It is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotProxied;

/// Reads the header, and gives what was read behind it. `None`: the client went without a byte.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Option<(Header, Bytes)>, NotProxied> {
    let mut input = BytesMut::with_capacity(536);
    loop {
        let read: io::Result<usize> = stream.read_buf(&mut input).await;
        match read {
            Ok(0) | Err(_) if input.is_empty() => return Ok(None),
            Ok(0) | Err(_) => return Err(NotProxied),
            Ok(_) => {}
        }
        if let Some((header, length)) = parse(&input)? {
            return Ok(Some((header, input.split_off(length).freeze())));
        }
    }
}

/// The header at the beginning, and its length. `None` asks for more.
fn parse(input: &[u8]) -> Result<Option<(Header, usize)>, NotProxied> {
    let seen = input.len().min(SIGNATURE.len());
    if input.get(..seen) == SIGNATURE.get(..seen) {
        return parse_v2(input);
    }
    let seen = input.len().min(6);
    if input.get(..seen) != b"PROXY ".get(..seen) {
        return Err(NotProxied);
    }
    let line = input.get(..input.len().min(LONGEST_V1)).unwrap_or_default();
    match line.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) => {
            let text = line.get(6..end).and_then(|text| std::str::from_utf8(text).ok()).ok_or(NotProxied)?;
            Ok(Some((parse_v1(text)?, end + 2)))
        }
        None if input.len() >= LONGEST_V1 => Err(NotProxied),
        None => Ok(None),
    }
}

/// What follows `PROXY `.
fn parse_v1(text: &str) -> Result<Header, NotProxied> {
    let mut words = text.split(' ');
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        return Ok(Header { client: None });
    }
    let mut word = || words.next().ok_or(NotProxied);
    let (source, destination, port, other) = (word()?, word()?, word()?, word()?);
    let address = |text: &str| -> Result<IpAddr, NotProxied> {
        let address: IpAddr = text.parse().map_err(|_| NotProxied)?;
        let fits = match family {
            "TCP4" => address.is_ipv4(),
            "TCP6" => address.is_ipv6(),
            _ => false,
        };
        if fits { Ok(address) } else { Err(NotProxied) }
    };
    let number = |text: &str| -> Result<u16, NotProxied> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse().ok().filter(|_| plain).ok_or(NotProxied)
    };
    let client = SocketAddr::new(address(source)?.to_canonical(), number(port)?);
    address(destination)?;
    number(other)?;
    if words.next().is_some() { Err(NotProxied) } else { Ok(Header { client: Some(client) }) }
}

fn parse_v2(input: &[u8]) -> Result<Option<(Header, usize)>, NotProxied> {
    let Some((head, rest)) = input.split_at_checked(16) else { return Ok(None) };
    let [.., command, family, high, low] = *head else { return Err(NotProxied) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 || length + 16 > LONGEST_V2 {
        return Err(NotProxied);
    }
    let Some(content) = rest.get(..length) else { return Ok(None) };
    let port =
        |at: usize| -> Option<u16> { content.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes) };
    let client = match (command & 0xf, family) {
        // LOCAL: the sender itself, such as its health check.
        (0, _) => None,
        (1, 0x11 | 0x12) => {
            let bytes: [u8; 4] = content.get(..4).and_then(|it| it.try_into().ok()).ok_or(NotProxied)?;
            Some(SocketAddr::new(bytes.into(), port(8).filter(|_| length >= 12).ok_or(NotProxied)?))
        }
        (1, 0x21 | 0x22) => {
            let bytes: [u8; 16] = content.get(..16).and_then(|it| it.try_into().ok()).ok_or(NotProxied)?;
            let port = port(32).filter(|_| length >= 36).ok_or(NotProxied)?;
            Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical(), port))
        }
        // Unspecified, or UNIX sockets.
        (1, 0x00 | 0x31 | 0x32) => None,
        _ => return Err(NotProxied),
    };
    Ok(Some((Header { client }, 16 + length)))
}

/// A header of version 2 for a TCP connection from a client to an address of ours.
pub(crate) fn header(client: SocketAddr, local: SocketAddr) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    match (client.ip(), local.ip()) {
        (IpAddr::V4(client), IpAddr::V4(local)) => {
            header.extend([0x21, 0x11, 0, 12]);
            header.extend(client.octets());
            header.extend(local.octets());
        }
        (client, local) => {
            let octets = |address: IpAddr| match address {
                IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                IpAddr::V6(address) => address.octets(),
            };
            header.extend([0x21, 0x21, 0, 36]);
            header.extend(octets(client));
            header.extend(octets(local));
        }
    }
    header.extend(client.port().to_be_bytes());
    header.extend(local.port().to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(input: &[u8]) -> Result<Option<(Option<String>, usize)>, NotProxied> {
        parse(input)
            .map(|found| found.map(|(header, length)| (header.client.map(|it| it.to_string()), length)))
    }

    #[test]
    fn version_1_is_read_strictly() {
        let line = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\nGET /";
        assert_eq!(client(line), Ok(Some((Some("192.0.2.7:56324".to_owned()), 41))));
        let six = b"PROXY TCP6 2001:db8::7 ::1 1 65535\r\n";
        assert_eq!(client(six), Ok(Some((Some("[2001:db8::7]:1".to_owned()), six.len()))));
        assert_eq!(client(b"PROXY UNKNOWN whatever\r\n"), Ok(Some((None, 24))));
        (0..41).for_each(|end| assert_eq!(client(&line[..end]), Ok(None), "{end}"));
        for wrong in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443 1\r\n",
            b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
            b"PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 070 2\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 +7 2\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 70000 2\r\n",
            b"PROXY UDP4 192.0.2.7 10.0.0.1 7 2\r\n",
            b"PROXY \r\n",
            &[&b"PROXY UNKNOWN "[..], &[b'x'; 100]].concat(),
        ] {
            assert_eq!(client(wrong), Err(NotProxied), "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn version_2_is_read_as_it_is_written() {
        for (from, to) in [("192.0.2.7:5", "10.0.0.1:443"), ("[2001:db8::7]:5", "[::1]:443")] {
            let mut input = header(from.parse().unwrap(), to.parse().unwrap());
            let length = input.len();
            (0..length).for_each(|end| assert_eq!(client(&input[..end]), Ok(None), "{end}"));
            input.extend(b"rest");
            assert_eq!(client(&input), Ok(Some((Some(from.to_owned()), length))));
        }
        let mixed = header("192.0.2.7:5".parse().unwrap(), "[::1]:443".parse().unwrap());
        assert_eq!(client(&mixed), Ok(Some((Some("192.0.2.7:5".to_owned()), 52))));
        let with = |tail: &[u8]| [&SIGNATURE[..], tail].concat();
        assert_eq!(client(&with(&[0x20, 0, 0, 0])), Ok(Some((None, 16))), "LOCAL");
        assert_eq!(client(&with(&[0x21, 0x11, 0, 11])), Ok(None));
        assert_eq!(client(&with(&[&[0x21, 0x11, 0, 11][..], &[1; 11]].concat())), Err(NotProxied));
        assert_eq!(client(&with(&[0x31, 0x11, 0, 12])), Err(NotProxied), "version 3");
        assert_eq!(client(&with(&[0x22, 0x11, 0, 0])), Err(NotProxied), "no such command");
        assert_eq!(client(&with(&[0x21, 0x11, 0xff, 0xff])), Err(NotProxied), "too long");
        // What stands behind the addresses (TLVs) is passed over.
        let tlv = with(
            &[&[0x21, 0x11, 0, 16][..], &[192, 0, 2, 7, 1, 1, 1, 1, 0, 9, 0, 1], &[4, 0, 1, 0]].concat(),
        );
        assert_eq!(client(&tlv), Ok(Some((Some("192.0.2.7:9".to_owned()), 32))));
    }

    proptest! {
        #[test]
        fn no_input_harms(two: bool, rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let start: &[u8] = if two { &SIGNATURE } else { b"PROXY TCP4 " };
            let _ = parse(&[start, &rest].concat());
            let _ = parse(&rest);
        }
    }
}
