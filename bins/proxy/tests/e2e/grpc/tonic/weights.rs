//! The shares of calls that backends of a rule get, counted by the backends.

use tonic::client::Grpc;

use super::{
    cases::{self, Client},
    route, server, tls_service,
};
use crate::{
    for_each_stack,
    support::{Stack, site::Site},
};

for_each_stack!(shares);

const CALLS: usize = 10_000;
/// Each connection's calls are on their own.
const CONNECTIONS: usize = 4;
/// What a share may be off by: each connection's worker chooses evenly, so a few calls each.
const OFF: usize = 5 * CONNECTIONS;

fn shares(stack: Stack) {
    let site = Site::new();
    let weights = [("most", 70, 7_000), ("some", 25, 2_500), ("few", 5, 500), ("none", 0, 0)];
    let mut rule = "  - backendRefs:\n".to_owned();
    let servers = weights.map(|(name, weight, _)| {
        let server = server::start(Some(&site.leaf()));
        tls_service(&site, name, server.port);
        rule += &format!("    - {{name: {name}, port: 443, weight: {weight}}}\n");
        server
    });
    site.write("route.yaml", &route("all", &rule));
    let proxy = site.start(stack);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let channel = cases::encrypted(&site).await;
            // Two at a time on each connection.
            clients.extend([0; 2].map(|_| tokio::spawn(calls(Grpc::new(channel.clone())))));
        }
        for client in clients {
            client.await.unwrap();
        }
    });
    for ((name, _, wanted), server) in weights.iter().zip(&servers) {
        let calls = server.calls();
        eprintln!("{name}: {calls} of {CALLS}");
        assert!(calls.abs_diff(*wanted) <= OFF, "{name}: {calls} instead of {wanted}");
        assert!(*wanted > 0 || calls == 0, "{name}: {calls} instead of none");
    }
    assert_eq!(servers.iter().map(server::TonicServer::calls).sum::<usize>(), CALLS, "{}", proxy.log());
}

/// A client's part of the calls.
async fn calls(mut client: Client) {
    for _ in 0..CALLS / CONNECTIONS / 2 {
        cases::empty(&mut client, cases::path("EmptyCall")).await.unwrap();
    }
}
