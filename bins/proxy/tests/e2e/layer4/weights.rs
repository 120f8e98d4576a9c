//! The shares of connections that backends of a TLSRoute get, told by the certificates that the client is shown.

use std::{
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ::rustls::{
    ClientConfig, ClientConnection,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use super::manifests::{route, tls_listener};
use crate::support::{
    ANY_STACK, manifests,
    peers::{self, Identity},
    ports,
    site::Site,
};

const CONNECTIONS: usize = 10_000;
const CLIENTS: usize = 4;
/// What a share may be off by: each worker chooses evenly, so a few connections for each of its workers.
const OFF: usize = 50;

/// Nothing of TLS is ours here, so no stack is.
#[test]
fn passed_through() {
    let _turn = crate::support::turn::shared();
    let port = ports::free();
    let site = Site::with_gateway(&tls_listener("pass", port, "peer.test", "Passthrough"));
    let weights = [("most", 70, 7_000), ("some", 25, 2_500), ("few", 5, 500), ("none", 0, 0)];
    let to = weights.map(|(name, weight, _)| (name, weight));
    site.write("route.yaml", &route("TLSRoute", "all", "pass", Some("peer.test"), &to));
    let leaves = weights.map(|_| site.backends.leaf(&["peer.test"]));
    let _peers: Vec<_> = weights
        .iter()
        .zip(&leaves)
        .map(|((name, ..), leaf)| {
            let peer = peers::nginx(site.work(), &Identity { leaf, clients: None });
            let text = manifests::service(name, &[peer.port], None);
            site.write(&format!("service-{name}.yaml"), &text);
            peer
        })
        .collect();
    let mut proxy = site.start(ANY_STACK);
    proxy.wait_ready(&[port]);
    let shown = leaves.map(|leaf| CertificateDer::from_pem_slice(leaf.certificate_pem.as_bytes()).unwrap());
    let counts: [AtomicUsize; 4] = Default::default();
    let config = site.backends.client(&[], None);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                for _ in 0..CONNECTIONS / CLIENTS {
                    let certificate = certificate(port, &config);
                    let who = shown.iter().position(|one| *one == certificate);
                    counts[who.expect("a certificate of nobody's")].fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    for ((name, _, wanted), count) in weights.iter().zip(&counts) {
        let count = count.load(Ordering::SeqCst);
        eprintln!("{name}: {count} of {CONNECTIONS}");
        assert!(count.abs_diff(*wanted) <= OFF, "{name}: {count} instead of {wanted}");
        assert!(*wanted > 0 || count == 0, "{name}: {count} instead of none");
    }
}

/// The certificate that a new connection shows, of a handshake that has come to its end.
fn certificate(port: u16, config: &Arc<ClientConfig>) -> CertificateDer<'static> {
    let name = ServerName::try_from("peer.test").unwrap();
    let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).unwrap();
    }
    connection.peer_certificates().unwrap()[0].clone().into_owned()
}
