//! Trust over time, with each stack: nothing is reused across policies, and what a policy no longer trusts ends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail this way")]
#![allow(unreachable_pub, reason = "the modules of one test binary")]

mod drain;
mod reuse;
mod rotation;
#[path = "../support/mod.rs"]
mod support;
mod told;
mod witness;

use std::{net::SocketAddr, sync::Arc};

use lasthop_dataplane::{Limits, NativeDataplane, NativeOptions, ResolverOptions};
use lasthop_dataplane_api::*;
use lasthop_tls_verify::TrustAnchors;
use support::{pki::Ca, *};

macro_rules! on_each_stack {
    ($($module:ident :: $case:ident),* $(,)?) => {
        #[cfg(feature = "rustls")]
        mod with_rustls {
            $(#[tokio::test] async fn $case() { super::$module::$case(super::TlsStack::Rustls).await })*
        }
        #[cfg(feature = "boringssl")]
        mod with_boringssl {
            $(#[tokio::test] async fn $case() { super::$module::$case(super::TlsStack::Boringssl).await })*
        }
    };
}

on_each_stack! {
    reuse::sessions_of_three_pods_are_resumed,
    reuse::nothing_is_reused_across_policies,
    reuse::a_policy_that_comes_back_has_lost_its_sessions,
    drain::trust_that_shrinks_ends_what_is_under_way,
    drain::trust_that_grows_leaves_what_is_under_way_until_it_shrinks,
    drain::only_lost_trust_ends_a_request,
    drain::a_backend_keeps_its_own_requests_on_a_shared_endpoint,
    drain::connections_to_endpoints_that_left_end_too,
    drain::of_backends_with_one_policy_only_the_one_that_lost_trust_is_cut,
    drain::copies_for_a_mirror_end_too,
    drain::a_request_that_waits_for_a_connection_goes_on_under_the_new_policy,
    rotation::a_ca_is_rotated_under_load_without_a_failure,
    told::what_endpoints_present_is_told,
}

/// A proxy with this stack, one HTTP listener for all hosts.
async fn proxy(stack: TlsStack, workers: usize, change: impl FnOnce(&mut Snapshot)) -> Proxy {
    let log = Arc::new(Log::default());
    let options = NativeOptions {
        workers,
        tls_stack: stack,
        access_log: log.clone(),
        limits: Limits::default(),
        session_key: None,
        bearer_tokens: None,
        resolver: ResolverOptions::default(),
    };
    let dataplane = Arc::new(NativeDataplane::new(options).unwrap());
    let mut proxy = Proxy { dataplane, snapshot: Snapshot::default(), log, port: free_port() };
    let port = proxy.port;
    proxy
        .change(|snapshot| {
            put_listener(snapshot, listener("http", port, None));
            change(snapshot);
        })
        .await;
    proxy
}

/// A backend below `/<name>/`, all its paths.
fn put_app(snapshot: &mut Snapshot, name: &str, protocol: AppProtocol, tls: BackendTls, at: &[SocketAddr]) {
    put_backend_with(snapshot, name, protocol, tls, at);
    put_rule(snapshot, rule(name, &format!("/{name}"), &[name]));
}

/// A policy that trusts these CAs and expects `app.internal`.
fn trusting(cas: &[&Ca]) -> BackendTls {
    policy(cas, |_| {})
}

fn policy(cas: &[&Ca], change: impl FnOnce(&mut UpstreamTlsSettings)) -> BackendTls {
    let mut settings = cas[0].settings("app.internal");
    let certificates = cas.iter().map(|ca| ca.der.clone()).collect();
    settings.peer.anchors = Arc::new(TrustAnchors::from_der(certificates).unwrap().0);
    change(&mut settings);
    BackendTls::Policy(Arc::new(UpstreamTlsPolicy::new("default/policy", settings)))
}

fn plaintext() -> BackendTls {
    BackendTls::Plaintext(PlaintextReason::NoPolicy)
}
