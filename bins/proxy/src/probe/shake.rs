//! One handshake.

use std::{fmt::Display, time::Duration};

use lasthop_dataplane_api::FailureReason;
use lasthop_tls_backends::{Inspection, PeerInfo};
use lasthop_tls_verify::{TlsError, distinguished_name};
use pki_types::CertificateDer;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use super::plan::Target;

/// How long a backend has to object to a finished handshake. It has nothing to wait for but our last flight.
const PATIENCE: Duration = Duration::from_millis(300);

/// What a handshake came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Why the dataplane could not use the endpoint; `None` if it could.
    pub(super) failure: Option<FailureReason>,
    /// What the socket said.
    pub(super) socket: Option<String>,
    /// What was agreed on, if the handshake ended well for us.
    pub(super) peer: Option<PeerInfo>,
    /// What the endpoint presented, leaf first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The CAs whose client certificates it takes; `None` if it asked for none, or the stack does not tell.
    pub(super) client_authorities: Option<Vec<String>>,
}

/// Connects and shakes hands as the dataplane would. `limit` is for both together.
pub(super) async fn shake(target: &Target, limit: Duration) -> Outcome {
    let end = Instant::now() + limit;
    let stream = match timeout_at(end, TcpStream::connect(target.address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::TimedOut => {
            return Outcome::unconnected(FailureReason::ConnectTimeout, &error);
        }
        Ok(Err(error)) => return Outcome::unconnected(FailureReason::ConnectFailed, &error),
        Err(_) => {
            let why = format!("no connection within {}", seconds(limit));
            return Outcome::unconnected(FailureReason::ConnectTimeout, &why);
        }
    };
    let endpoint = target.tls.endpoint(target.address);
    let inspect = endpoint.inspect(stream, target.host.as_deref(), target.speaks.offer(), PATIENCE);
    // The handshake's own time, then its waiting for an objection and its goodbye.
    let left = end.saturating_duration_since(Instant::now()) + 2 * PATIENCE;
    match timeout(left, inspect).await {
        Ok(inspection) => of(target, inspection),
        Err(_) => {
            Outcome { failure: Some(FailureReason::UpstreamTls(TlsError::Timeout)), ..Outcome::default() }
        }
    }
}

fn of(target: &Target, inspection: Inspection) -> Outcome {
    let mut failure = inspection.error().cloned();
    let peer = inspection.handshake.ok();
    if let (None, Some(peer)) = (&failure, &peer)
        && !target.speaks.takes(peer.alpn)
    {
        failure = Some(TlsError::AlpnMismatch {
            offered: target.speaks.offer().iter().map(ToString::to_string).collect(),
            selected: peer.alpn.map(|alpn| alpn.to_string()),
        });
    }
    let names = |authorities: Vec<Vec<u8>>| authorities.iter().map(|name| distinguished_name(name)).collect();
    Outcome {
        failure: failure.map(FailureReason::UpstreamTls),
        socket: None,
        peer,
        chain: inspection.chain,
        client_authorities: inspection.client_authorities.map(names),
    }
}

fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f64())
}

impl Outcome {
    fn unconnected(reason: FailureReason, why: &dyn Display) -> Self {
        Self { failure: Some(reason), socket: Some(why.to_string()), ..Self::default() }
    }

    /// The probe itself went wrong.
    pub(super) fn broken(why: &dyn Display) -> Self {
        let failure = Some(FailureReason::UpstreamTls(TlsError::Local(why.to_string())));
        Self { failure, ..Self::default() }
    }
}
