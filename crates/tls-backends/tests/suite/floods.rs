//! Backends that send session tickets without end.

use std::{net::SocketAddr, sync::Arc};

use lasthop_tls_backends::{UpstreamTls, classify_io};
use lasthop_tls_verify::TlsError;

use super::{
    client::{compile, connect, exchange, settings},
    peer::{Peer, config},
    pki::Ca,
};

/// What this process holds in memory, in KiB.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4
}

/// A flight of 1,000 tickets is more than rustls takes at once, and it ends the connection; BoringSSL reads them all.
/// Either way the connection works or ends with an error that has a name, and nothing is kept of the flood.
#[tokio::test]
async fn a_flight_of_tickets_works_or_ends_with_a_name() {
    let ca = Ca::new("ca");
    let chain = ca.leaf(&["DNS:backend.example"]);
    for (tickets, connections) in [(1_000, 30), (10_000, 6)] {
        let mut server = config(&chain, None);
        server.send_tls13_tickets = tickets;
        let peer = Peer::new(server).await;
        let policy = compile(settings(ca.anchors()));
        // Other tests of this process need memory too, for a while: what is kept would show every time.
        let mut grown = Vec::new();
        while grown.len() < 8 && grown.last().is_none_or(|grown| *grown > ENOUGH) {
            let mut before = 0;
            for round in 0..connections {
                if round == connections / 3 {
                    before = resident();
                }
                let reason = outcome(&policy, peer.address).await;
                let clean = matches!(reason, None | Some("ProtocolViolation" | "Truncated" | "Io"));
                assert!(clean, "{reason:?}");
            }
            grown.push(resident().saturating_sub(before));
        }
        assert!(grown.last().is_some_and(|grown| *grown <= ENOUGH), "{tickets} tickets leave {grown:?} KiB");
        // A backend that behaves is served as before, by the same policy.
        let peer = Peer::new(config(&chain, None)).await;
        assert_eq!(outcome(&policy, peer.address).await, None);
    }
}

/// What 20 floods may leave behind, in KiB; if all sessions were kept, it would be several times as much.
const ENOUGH: usize = 8 * 1024;

/// The reason why a connection could not be used, if it could not.
async fn outcome(policy: &Arc<dyn UpstreamTls>, address: SocketAddr) -> Option<&'static str> {
    let error = match connect(policy, address, &[]).await {
        Ok((mut stream, _)) => {
            let error = exchange(&mut stream).await.err()?;
            classify_io(&error).unwrap_or(TlsError::Io(error.kind()))
        }
        Err(error) => error,
    };
    Some(error.reason())
}
