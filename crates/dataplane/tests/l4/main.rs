//! Connections that are handed on as a whole, with each stack.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail this way")]
#![allow(unreachable_pub, dead_code, reason = "the modules of one test binary")]

mod passthrough;
mod peers;
mod proxy_protocol;
mod reload;
#[path = "../support/mod.rs"]
mod support;
mod tcp;
mod terminate;
mod udp;

use std::{net::SocketAddr, sync::Arc};

use lasthop_dataplane::{Limits, NativeDataplane, NativeOptions, ResolverOptions};
use lasthop_dataplane_api::*;
use support::{pki::Leaf, *};

macro_rules! on_each_stack {
    ($($module:ident :: $case:ident),* $(,)?) => {
        #[cfg(feature = "rustls")]
        mod with_rustls {
            $(#[tokio::test] async fn $case() { super::in_time(super::$module::$case(super::TlsStack::Rustls)).await })*
        }
        #[cfg(feature = "boringssl")]
        mod with_boringssl {
            $(#[tokio::test] async fn $case() { super::in_time(super::$module::$case(super::TlsStack::Boringssl)).await })*
        }
    };
}

/// As long as a case may take: a machine may be busy, but nothing waits for ever.
async fn in_time(case: impl Future<Output = ()>) {
    tokio::time::timeout(std::time::Duration::from_secs(120), case).await.expect("a case that ends");
}

on_each_stack! {
    passthrough::the_backends_certificate_is_the_clients_to_verify,
    passthrough::a_hello_may_come_in_pieces_and_records,
    passthrough::whom_nobody_serves_is_told_so,
    passthrough::a_hello_is_large_only_so_far,
    passthrough::one_port_has_every_mode,
    passthrough::a_policy_of_the_backend_concerns_it_not,
    passthrough::a_policy_that_comes_meanwhile_concerns_it_not,
    terminate::what_is_in_tls_goes_to_a_plaintext_backend,
    terminate::a_backend_proves_itself_or_gets_nothing,
    terminate::a_backend_that_asks_for_a_certificate_gets_it_or_refuses,
    terminate::a_policy_with_a_token_takes_no_connections,
    terminate::each_direction_ends_by_itself,
    terminate::a_cut_is_no_proper_end,
    terminate::the_clients_server_name_goes_on_if_the_policy_says_so,
    terminate::trust_that_shrinks_ends_what_is_under_way,
    terminate::tls_begins_at_the_gateway_for_tcp_routes,
    terminate::a_listener_that_cannot_be_set_up_leaves_the_others_alone,
    reload::nothing_fails_while_the_configuration_changes,
}

/// A proxy with this stack and no listeners, changed.
async fn proxy(
    stack: TlsStack,
    workers: usize,
    limits: Limits,
    change: impl FnOnce(&mut Snapshot, u16),
) -> Proxy {
    proxy_that_asks(ResolverOptions::default(), stack, workers, limits, change).await
}

/// The same with resolvers of its own.
async fn proxy_that_asks(
    resolver: ResolverOptions,
    stack: TlsStack,
    workers: usize,
    limits: Limits,
    change: impl FnOnce(&mut Snapshot, u16),
) -> Proxy {
    let log = Arc::new(Log::default());
    let options = NativeOptions {
        workers,
        tls_stack: stack,
        access_log: log.clone(),
        limits,
        session_key: None,
        bearer_tokens: None,
        resolver,
    };
    let dataplane = Arc::new(NativeDataplane::new(options).unwrap());
    let mut proxy = Proxy { dataplane, snapshot: Snapshot::default(), log, port: free_port() };
    let port = proxy.port;
    let report = proxy.change(|snapshot| change(snapshot, port)).await;
    assert!(report.listeners.iter().all(|(_, state)| matches!(state, ListenerState::Bound(_))), "{report:?}");
    proxy
}

/// A TCP listener.
fn tcp(name: &str, port: u16) -> Listener {
    Listener { protocol: ListenerProtocol::TCP, ..listener(name, port, None) }
}

/// A TLS listener, which terminates with a leaf and passes through without.
fn tls(name: &str, port: u16, hostname: Option<&str>, leaf: Option<&Leaf>) -> Listener {
    let tls = leaf.map(|leaf| ListenerTls { certificates: vec![leaf.certified()], client_validation: None });
    Listener { protocol: ListenerProtocol::TLS, tls, ..listener(name, port, hostname) }
}

/// A rule of a listener, for hosts, with backends and their weights.
fn l4_rule(kind: RouteKind, name: &str, on: &str, hosts: &[&str], backends: &[(&str, u32)]) -> L4Rule {
    let host = |host: &&str| {
        let own: HostPattern = host.parse().unwrap();
        AttachedHost { effective: own.clone(), own }
    };
    L4Rule {
        key: RuleKey {
            route: RouteKey { kind, object: ObjectName::new("default", name) },
            gateway: gateway(),
            index: 0,
        },
        name: None,
        created: 0,
        attachments: vec![Attachment { listener: listener_key(on), hosts: hosts.iter().map(host).collect() }],
        backends: backends
            .iter()
            .map(|(name, weight)| L4Backend {
                weight: *weight,
                target: BackendTarget::Backend(backend_key(name)),
            })
            .collect(),
    }
}

fn put_l4_rule(snapshot: &mut Snapshot, rule: L4Rule) {
    snapshot.l4_rules.insert(rule.key.clone(), Arc::new(rule));
}

/// A backend with this hop.
fn put_hop(snapshot: &mut Snapshot, name: &str, tls: BackendTls, at: &[SocketAddr]) {
    put_backend_with(snapshot, name, AppProtocol::Unspecified, tls, at);
}
