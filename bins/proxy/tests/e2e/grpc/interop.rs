//! The interoperability cases of the gRPC project: grpc-go's client, the proxy, grpc-go's server.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use super::{plain_service, route, tls_service, to};
use crate::{
    for_each_stack,
    support::{Stack, peers, site::Site, within},
};

for_each_stack!(behind_a_policy, in_plaintext, through_an_http_route);

const CASES: [&str; 14] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
];

fn behind_a_policy(stack: Stack) {
    let site = Site::new();
    let Some(peer) = peers::grpc_interop(site.work(), Some(&site.leaf())) else { return };
    tls_service(&site, "peer", peer.port);
    site.write("route.yaml", &route("all", &to("peer")));
    try_all(&site, stack, true);
}

fn in_plaintext(stack: Stack) {
    let site = Site::new();
    let Some(peer) = peers::grpc_interop(site.work(), None) else { return };
    plain_service(&site, "peer", peer.port);
    site.write("route.yaml", &route("all", &to("peer")));
    try_all(&site, stack, false);
}

/// The Service's port does not say that it speaks HTTP/2; the calls do.
fn through_an_http_route(stack: Stack) {
    let site = Site::new();
    let Some(peer) = peers::grpc_interop(site.work(), Some(&site.leaf())) else { return };
    site.tls_backend("peer", peer.port);
    let every_host = crate::support::manifests::route("peer", "peer.test", "peer", "")
        .replace("  hostnames:\n  - peer.test\n", "");
    site.write("route-peer.yaml", &every_host);
    try_all(&site, stack, true);
}

pub(super) fn try_all(site: &Site, stack: Stack, verified: bool) {
    let Some(client) = peers::interop_program("client") else { return };
    let proxy = site.start(stack);
    let ca = site.front_ca();
    let mut wrong = Vec::new();
    for tls in [false, true] {
        for case in CASES {
            let mut command = Command::new(&client);
            command.args(["-test_case", case, "-server_host", "127.0.0.1"]);
            if tls {
                command.args(["-server_port", &site.https.to_string(), "-use_tls", "-use_test_ca"]);
                command.arg("-ca_file").arg(&ca).args(["-server_host_override", "peer.test"]);
            } else {
                command.args(["-server_port", &site.http.to_string()]);
            }
            match finish(command, site.work(), Duration::from_secs(60)) {
                Some(output) if output.status.success() => {}
                Some(output) => wrong.push(format!(
                    "{case}, TLS {tls}: {}\n{}",
                    output.status,
                    String::from_utf8_lossy(&output.stderr)
                )),
                None => wrong.push(format!("{case}, TLS {tls}: it does not end")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), 2 * CASES.len(), wrong.join("\n"));
    let records = proxy.access_log();
    // Calls that are over before they begin may not come here at all.
    assert!(records.len() >= 2 * CASES.len() - 6, "{} records", records.len());
    for record in records.iter().filter(|record| record["endpoint"].is_string()) {
        assert_eq!(record["tls"].is_string(), verified, "{record}");
    }
}

/// Runs a program to its end; `None` if that does not come in time.
fn finish(mut command: Command, folder: &Path, limit: Duration) -> Option<Output> {
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("GRPC_GO_LOG_SEVERITY_LEVEL", "error");
    let mut child = command.spawn().unwrap();
    if within(limit, || child.try_wait().unwrap()).is_none() {
        child.kill().unwrap();
        return None;
    }
    Some(child.wait_with_output().unwrap())
}
