//! BetterTLS, served live: does a request through the proxy reach a backend that shows this chain?
//!
//! The cases are no part of the project. `cargo xtask trust` says where they are; without them nothing is tested, and
//! that is said.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    unreachable_pub,
    dead_code,
    reason = "tests, all of it"
)]

mod bettertls;
mod client;
#[path = "../../../../crates/tls-backends/tests/public_suites/data.rs"]
mod data;
mod manifests;
mod proxy;
mod server;

use std::{sync::Arc, time::Instant};

use bettertls::{Case, Expected};
use proxy::Proxy;
use server::Seen;

const FILE: &str = "x509-bettertls-with-keys.json.xz";

/// How many cases one configuration has at most.
const BATCH: usize = 1_200;

#[cfg(feature = "rustls")]
#[test]
fn rustls() {
    run("rustls");
}

#[cfg(feature = "boringssl")]
#[test]
fn boringssl() {
    run("boringssl");
}

/// What the cases came to.
#[derive(Default)]
struct Tally {
    through: usize,
    refused: usize,
    wrong: Vec<String>,
}

fn run(stack: &str) {
    // One after the other: each takes the whole machine.
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock();
    let Some(json) = data::unpacked(FILE) else { return };
    let suites = bettertls::read(&json);
    drop(json);
    let cases = if data::all() { suites.cases } else { bettertls::sample(suites.cases) };
    let begun = Instant::now();
    let mut tally = Tally::default();
    let cases: Vec<Arc<Case>> = cases.into_iter().map(Arc::new).collect();
    for batch in cases.chunks(BATCH) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(try_batch(stack, &suites.root, batch, &mut tally));
    }
    eprintln!(
        "BetterTLS through the proxy, {stack}: {} cases, {} requests came through, {} were refused with an alert, \
         {} wrong, {} s",
        cases.len(),
        tally.through,
        tally.refused,
        tally.wrong.len(),
        begun.elapsed().as_secs()
    );
    assert!(tally.wrong.is_empty(), "{} cases:\n{}", tally.wrong.len(), tally.wrong.join("\n"));
}

async fn try_batch(stack: &str, root: &[u8], cases: &[Arc<Case>], tally: &mut Tally) {
    let server = server::Server::start(cases).await;
    let folder = tempfile::tempdir().unwrap();
    let gateway = proxy::free_port();
    manifests::write(folder.path(), gateway, server.port, root, cases);
    let proxy = Proxy::start(stack, folder.path(), gateway).await;
    let statuses = client::ask_for_each(gateway, cases.len()).await;
    drop(proxy);
    for ((case, status), seen) in cases.iter().zip(statuses).zip(server.seen()) {
        match (case.expected, status, seen) {
            (Expected::Accept, Some(200), Seen { requests: 1, .. }) => tally.through += 1,
            // The backend saw a handshake that our alert ended, and not one byte of a request.
            (Expected::Reject, Some(502), Seen { requests: 0, alerts: 1.., others: 0 }) => tally.refused += 1,
            (expected, status, seen) => tally.wrong.push(format!(
                "{} {} for {}: expected {expected:?}, the client got {status:?}, the backend saw {seen:?}",
                case.suite, case.id, case.hostname
            )),
        }
    }
}
