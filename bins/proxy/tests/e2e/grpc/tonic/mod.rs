//! The interoperability cases with tonic, the Rust implementation, on either side of the proxy.

mod cases;
mod messages;
mod reload;
mod server;
mod weights;

use super::{interop, plain_service, route, tls_service, to};
use crate::{
    for_each_stack,
    support::{Stack, peers, site::Site},
};

for_each_stack!(as_a_server, as_a_server_in_plaintext, as_a_client, on_both_sides);

/// grpc-go's client, the proxy, tonic.
fn as_a_server(stack: Stack) {
    let site = Site::new();
    let server = server::start(Some(&site.leaf()));
    tls_service(&site, "peer", server.port);
    site.write("route.yaml", &route("all", &to("peer")));
    interop::try_all(&site, stack, true);
}

fn as_a_server_in_plaintext(stack: Stack) {
    let site = Site::new();
    let server = server::start(None);
    plain_service(&site, "peer", server.port);
    site.write("route.yaml", &route("all", &to("peer")));
    interop::try_all(&site, stack, false);
}

/// tonic, the proxy, grpc-go's server.
fn as_a_client(stack: Stack) {
    let site = Site::new();
    let Some(peer) = peers::grpc_interop(site.work(), Some(&site.leaf())) else { return };
    tls_service(&site, "peer", peer.port);
    try_all(&site, stack);
}

fn on_both_sides(stack: Stack) {
    let site = Site::new();
    let server = server::start(Some(&site.leaf()));
    tls_service(&site, "peer", server.port);
    try_all(&site, stack);
}

fn try_all(site: &Site, stack: Stack) {
    site.write("route.yaml", &route("all", &to("peer")));
    let proxy = site.start(stack);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tried = runtime.block_on(async {
        let encrypted = cases::all(cases::encrypted(site).await).await;
        encrypted + cases::all(cases::in_plaintext(site).await).await
    });
    let records = proxy.access_log();
    assert!(records.len() >= tried - 6, "{} records", records.len());
    for record in records.iter().filter(|record| record["endpoint"].is_string()) {
        assert!(record["tls"].is_string(), "{record}");
    }
}
