//! Records as no TLS library writes them: the handshake is done by one, what follows is sealed here with its keys.

use std::io::{Read, Write};

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use rustls::{ConnectionTrafficSecrets, ProtocolVersion, ServerConfig, ServerConnection};

use super::server::Counted;

/// What a record holds (RFC 8446 §5.1).
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const APPLICATION_DATA: u8 = 23;

/// The server's side of a connection after its handshake.
pub(crate) struct Records {
    stream: Counted,
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
    version: ProtocolVersion,
    /// Whether bytes of the client's came with the end of its handshake.
    unread: bool,
}

impl Records {
    /// Shakes hands. `None` if the client does not want to.
    pub(crate) fn accept(mut config: ServerConfig, mut stream: Counted) -> Option<Self> {
        config.enable_secret_extraction = true;
        let mut connection = ServerConnection::new(config.into()).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).ok()?;
        }
        // Tickets and the like.
        while connection.wants_write() {
            connection.write_tls(&mut stream).ok()?;
        }
        let unread = connection.reader().read(&mut [0; 16 * 1024]).is_ok_and(|read| read > 0);
        let version = connection.protocol_version()?;
        let (sequence, secrets) = connection.dangerous_extract_secrets().unwrap().tx;
        let (algorithm, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => panic!("secrets of a kind that is not known here"),
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref()).unwrap());
        Some(Self { stream, key, iv: iv.as_ref().try_into().unwrap(), sequence, version, unread })
    }

    /// Waits for some bytes of the client's, whatever they are.
    pub(crate) fn wait(&mut self) -> bool {
        std::mem::take(&mut self.unread) || self.stream.read(&mut [0; 16 * 1024]).is_ok_and(|read| read > 0)
    }

    /// Writes a record of this kind; `false` once the client is gone.
    pub(crate) fn write(&mut self, kind: u8, content: &[u8]) -> bool {
        let record = match self.version {
            ProtocolVersion::TLSv1_3 => self.seal_1_3(kind, content),
            _ => self.seal_1_2(kind, content),
        };
        self.sequence += 1;
        self.stream.write_all(&record).is_ok()
    }

    /// Bytes outside all records.
    pub(crate) fn write_plain(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// RFC 8446 §5.2.
    fn seal_1_3(&self, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut nonce = self.iv;
        nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
        let mut sealed = [content, &[kind]].concat();
        let length = u16::try_from(sealed.len() + 16).unwrap().to_be_bytes();
        let header = [APPLICATION_DATA, 3, 3, length[0], length[1]];
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(header), &mut sealed)
            .unwrap();
        [&header[..], &sealed].concat()
    }

    /// RFC 5288 §3: AES-GCM with an explicit nonce, which is all that a client with AES offers first.
    fn seal_1_2(&self, kind: u8, content: &[u8]) -> Vec<u8> {
        let explicit = self.sequence.to_be_bytes();
        let mut nonce = self.iv;
        nonce[4..].copy_from_slice(&explicit);
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        let aad = [&explicit[..], &[kind, 3, 3, length[0], length[1]]].concat();
        let mut sealed = content.to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut sealed)
            .unwrap();
        let length = u16::try_from(sealed.len() + explicit.len()).unwrap().to_be_bytes();
        [&[kind, 3, 3, length[0], length[1]], &explicit[..], &sealed].concat()
    }
}
