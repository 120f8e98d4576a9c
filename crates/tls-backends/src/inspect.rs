//! A handshake for its own sake: what the backend shows, with nothing sent after it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use lasthop_tls_verify::TlsError;
use pki_types::CertificateDer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::{PeerInfo, TlsStream, classify_io, sessions::lock};

/// What a handshake with a backend came to and what the backend showed in it, whether or not it was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// How the handshake ended for us.
    pub handshake: Result<PeerInfo, TlsError>,
    /// What the backend did after it: in TLS 1.3 it refuses our certificate only then (RFC 8446 §4.4.2.4).
    pub afterwards: Option<TlsError>,
    /// The certificates it presented, leaf first. Empty if it did not get so far.
    pub chain: Vec<CertificateDer<'static>>,
    /// The distinguished names (DER) of the CAs whose client certificates it takes; empty if it takes any or does not
    /// say. `None` if it asked for no certificate. BoringSSL does not tell, so there it is always `None`.
    pub client_authorities: Option<Vec<Vec<u8>>>,
}

/// What is seen during a handshake.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) client_authorities: Option<Vec<Vec<u8>>>,
}

/// Where the stacks' callbacks write it.
pub(crate) type Observer = Arc<Mutex<Seen>>;

/// Waits for what the backend has to say about the handshake, for at most so long, and closes the connection.
pub(crate) async fn conclude(
    result: Result<(TlsStream, PeerInfo), TlsError>,
    seen: &Observer,
    patience: Duration,
) -> Inspection {
    let (handshake, afterwards) = match result {
        Err(error) => (Err(error), None),
        Ok((mut stream, info)) => {
            let afterwards = match timeout(patience, stream.read(&mut [0])).await {
                Ok(Err(error)) => Some(classify_io(&error).unwrap_or(TlsError::Io(error.kind()))),
                // It waits for a request, speaks first, or takes its leave: it has no objection to the handshake.
                Ok(Ok(_)) | Err(_) => None,
            };
            // A courtesy; a backend that does not take it changes nothing.
            let _ = timeout(patience, stream.shutdown()).await;
            (Ok(info), afterwards)
        }
    };
    let mut seen = lock(seen);
    Inspection {
        handshake,
        afterwards,
        chain: std::mem::take(&mut seen.chain),
        client_authorities: seen.client_authorities.take(),
    }
}

impl Inspection {
    /// Why the backend cannot be used; `None` if it can.
    pub fn error(&self) -> Option<&TlsError> {
        self.handshake.as_ref().err().or(self.afterwards.as_ref())
    }
}
