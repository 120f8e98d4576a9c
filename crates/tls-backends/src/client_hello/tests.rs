use proptest::prelude::*;

use super::*;

/// An extension of type and content.
fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &(content.len() as u16).to_be_bytes(), content].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    let entry = [&[0][..], &(name.len() as u16).to_be_bytes(), name].concat();
    extension(0, &[&(entry.len() as u16).to_be_bytes()[..], &entry].concat())
}

/// A ClientHello message with these extensions.
fn message(extensions: &[u8]) -> Vec<u8> {
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        &[0, 2, 0x13, 1],
        &[1, 0],
        &(extensions.len() as u16).to_be_bytes(),
        extensions,
    ]
    .concat();
    [&[1][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat()
}

fn records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat();
    message.chunks(size).flat_map(record).collect()
}

fn read(input: &[u8]) -> Result<Option<Hello>, HelloError> {
    HelloReader::default().read(input)
}

fn named(name: Option<&str>) -> Result<Option<Hello>, HelloError> {
    Ok(Some(Hello { server_name: name.map(ToOwned::to_owned) }))
}

#[test]
fn the_name_is_read_from_any_number_of_records_and_pieces() {
    let other = extension(16, b"\0\x03\x02h2");
    let message = message(&[other, sni(b"App.Example.COM.")].concat());
    for size in [1, 2, 3, 100, 16384] {
        let input = records(&message, size);
        assert_eq!(read(&input), named(Some("app.example.com")));
        let mut reader = HelloReader::default();
        for end in 0..input.len() {
            assert_eq!(reader.read(&input[..end]), Ok(None), "{end} of {}", input.len());
        }
        assert_eq!(reader.read(&input), named(Some("app.example.com")));
    }
}

#[test]
fn a_client_may_name_nobody() {
    assert_eq!(read(&records(&message(&[]), 999)), named(None));
    assert_eq!(read(&records(&message(&sni(b"10.0.0.1")), 999)), named(None));
    assert_eq!(read(&records(&message(&extension(16, b"")), 999)), named(None));
    // TLS 1.2 without any extension.
    let mut bare = message(&[]);
    bare.truncate(bare.len() - 2);
    bare[3] -= 2;
    assert_eq!(read(&records(&bare, 999)), named(None));
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let refused = |extensions: &[u8]| {
        assert_eq!(read(&records(&message(extensions), 9999)), Err(HelloError::Malformed))
    };
    refused(&[sni(b"a.test"), sni(b"b.test")].concat());
    refused(&sni(b""));
    refused(&sni(b"a..test"));
    refused(&sni(b"a.test\0.evil"));
    refused(&sni("ä.test".as_bytes()));
    refused(&sni(&[b'a'; 64]));
    refused(&sni(&[&b"a."[..]; 130].concat()));
    refused(&extension(0, b""));
    refused(&extension(0, b"\0\x05\x01\0\x01aa"));
    // Two names in one list, and bytes after the list.
    refused(&extension(0, b"\0\x08\0\0\x01a\0\0\x01b"));
    refused(&extension(0, b"\0\x04\0\0\x01ab"));
    // An extension that is longer than all of them.
    refused(&[0, 0, 0, 9, 0]);
}

#[test]
fn what_is_no_hello_is_told_apart() {
    assert_eq!(read(b"GET / HTTP/1.1\r\n\r\n"), Err(HelloError::NotTls));
    assert_eq!(read(b"\x16\x02"), Err(HelloError::NotTls));
    assert_eq!(read(b"\x15\x03\x03\0\x02\x02\x28"), Err(HelloError::NotTls));
    assert_eq!(read(b"\x16\x03\x01\0\0"), Err(HelloError::Malformed));
    assert_eq!(read(b"\x16\x03\x01\x40\x01"), Err(HelloError::Malformed));
    assert_eq!(read(b"\x16\x03\x01\0\x01\x02"), Err(HelloError::Malformed), "a ServerHello");
    assert_eq!(read(b""), Ok(None));
    assert_eq!(read(b"\x16"), Ok(None));
    let mut second = records(&message(&sni(b"a.test")), 10);
    second[15] = 23;
    assert_eq!(read(&second), Err(HelloError::Malformed));
}

#[test]
fn the_size_is_bounded_before_it_has_come() {
    let full = message(&extension(21, &vec![0; 65_000]));
    assert_eq!(read(&records(&full, 16384)), named(None));
    let announced = [&[22, 3, 1, 0, 4][..], &[1, 1, 0, 1]].concat();
    assert_eq!(read(&announced), Err(HelloError::TooLarge));
    let crumbs = records(&full, 1);
    assert_eq!(read(&crumbs), Err(HelloError::TooLarge));
}

proptest! {
    #[test]
    fn no_input_harms(start in prop::sample::select(vec![vec![], vec![22, 3, 1], vec![22, 3, 1, 0, 90, 1, 0, 0, 86]]), rest in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&[start, rest].concat());
    }

    #[test]
    fn a_changed_hello_harms_nobody(at in 0_usize..110, byte: u8, cut in 0_usize..110) {
        let mut input = records(&message(&[sni(b"app.example.com"), extension(16, b"\0\x03\x02h2")].concat()), 50);
        if let Some(place) = input.get_mut(at) { *place = byte; }
        input.truncate(input.len().saturating_sub(cut));
        let whole = read(&input);
        // In pieces it comes to the same.
        let mut reader = HelloReader::default();
        let mut piecewise = Ok(None);
        for end in 0..=input.len() {
            piecewise = reader.read(&input[..end]);
            if piecewise != Ok(None) { break; }
        }
        prop_assert_eq!(whole, piecewise);
    }
}
