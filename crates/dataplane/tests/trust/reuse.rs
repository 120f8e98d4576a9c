//! Connections and sessions are used again, and only under their own policy.

use std::{net::SocketAddr, sync::Arc};

use lasthop_dataplane_api::*;
use lasthop_tls_verify::Identity;

use crate::{
    plaintext, policy, proxy, put_app,
    support::pki::{Ca, Leaf},
    trusting,
    witness::{Seen, Witness, ask},
};

pub async fn sessions_of_three_pods_are_resumed(stack: TlsStack) {
    let ca = Ca::new();
    let leaf = ca.leaf(&["app.internal"]);
    for version in [TlsVersion::V1_3, TlsVersion::V1_2] {
        let mut pods = Vec::new();
        for _ in 0..3 {
            pods.push(Witness::start(&leaf, None).await);
        }
        let addresses: Vec<SocketAddr> = pods.iter().map(|pod| pod.address).collect();
        let tls = policy(&[&ca], |settings| settings.max_version = version);
        let proxy = proxy(stack, 2, |snapshot| {
            put_app(snapshot, "app", AppProtocol::Unspecified, tls, &addresses);
        })
        .await;
        // Until each pod has left a session with us.
        while pods.iter().any(|pod| pod.made() < 2) {
            assert_eq!(ask(proxy.port, "/app/close").await.status, 200);
        }
        let before: Vec<u64> = pods.iter().map(Witness::made).collect();
        let (mut resumed, count) = (0, 300);
        for _ in 0..count {
            let seen = ask(proxy.port, "/app/close").await;
            assert_eq!((seen.status, seen.tls), (200, true));
            resumed += usize::from(seen.resumed);
        }
        for (pod, before) in pods.iter().zip(before) {
            assert!(pod.made() > before + 30, "each pod has its share");
        }
        assert!(resumed * 100 >= count * 99, "TLS {version}: {resumed} of {count} were resumed");
        let noted = proxy.records().iter().rev().take(count).filter(|record| record.resumed).count();
        assert!(noted + 3 >= resumed, "and we know: {noted} {resumed}");
    }
}

/// How connections may be used again.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Pooled,
    Resumed,
    Http2,
}

struct Change {
    what: &'static str,
    before: BackendTls,
    after: BackendTls,
}

fn changes(ca: &Ca, other: &Ca, client: &Leaf) -> Vec<Change> {
    let named = |sni: &str, identities: &[&str]| {
        policy(&[ca], |settings| {
            settings.sni = Sni::Name(sni.parse().unwrap());
            settings.peer.identities = identities.iter().map(|name| Identity::dns(name).unwrap()).collect();
        })
    };
    let with_client = policy(&[ca], |settings| settings.client_certificate = Some(client.certified()));
    let change = |what, before, after| Change { what, before, after };
    vec![
        change("a CA added", trusting(&[ca]), trusting(&[ca, other])),
        change("a CA removed", trusting(&[ca, other]), trusting(&[ca])),
        change("hostname", trusting(&[ca]), named("alt.internal", &["alt.internal"])),
        change("SANs", trusting(&[ca]), named("app.internal", &["app.internal", "alt.internal"])),
        change("SANs removed", named("app.internal", &["app.internal", "x.internal"]), trusting(&[ca])),
        change("client certificate", trusting(&[ca]), with_client.clone()),
        change("client certificate removed", with_client, trusting(&[ca])),
        change("policy added", plaintext(), trusting(&[ca])),
        change("policy removed", trusting(&[ca]), plaintext()),
    ]
}

pub async fn nothing_is_reused_across_policies(stack: TlsStack) {
    let (ca, other) = (Ca::new(), Ca::new());
    let client = ca.leaf(&["proxy.internal"]);
    for mode in [Mode::Pooled, Mode::Resumed, Mode::Http2] {
        for Change { what, before, after } in changes(&ca, &other, &client) {
            let context = format!("{what}, {mode:?}");
            let witness = Witness::start(&ca.leaf(&["app.internal", "alt.internal"]), Some(&ca)).await;
            let at = [witness.address];
            let protocol = if mode == Mode::Http2 { AppProtocol::H2c } else { AppProtocol::Unspecified };
            let path = if mode == Mode::Resumed { "/app/close" } else { "/app" };
            let mut proxy =
                proxy(stack, 1, |snapshot| put_app(snapshot, "app", protocol, before.clone(), &at)).await;
            let old = thrice(proxy.port, path, mode, &before, &context).await;
            proxy.change(|snapshot| put_app(snapshot, "app", protocol, after.clone(), &at)).await;
            let new = thrice(proxy.port, path, mode, &after, &context).await;
            assert!(!new[0].resumed, "{context}: a session of the old policy");
            for seen in &new {
                assert!(
                    old.iter().all(|old| old.connection != seen.connection),
                    "{context}: {old:?} {new:?}"
                );
            }
        }
    }
}

/// Three requests, which show that the mode's way of reuse is at work.
async fn thrice(port: u16, path: &str, mode: Mode, tls: &BackendTls, context: &str) -> Vec<Seen> {
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(ask(port, path).await);
    }
    let settings = match tls {
        BackendTls::Policy(policy) => Some(policy.settings()),
        _ => None,
    };
    for seen in &all {
        assert_eq!((seen.status, seen.tls), (200, settings.is_some()), "{context}: {seen:?}");
        let shown = settings.is_some_and(|settings| settings.client_certificate.is_some());
        assert_eq!(seen.client_certificate, shown, "{context}: {seen:?}");
    }
    let same = all[0].connection == all[1].connection && all[1].connection == all[2].connection;
    assert_eq!(same, mode != Mode::Resumed, "{context}: {all:?}");
    assert_eq!(all[2].resumed, mode == Mode::Resumed && settings.is_some(), "{context}: {all:?}");
    all
}

pub async fn a_policy_that_comes_back_has_lost_its_sessions(stack: TlsStack) {
    let (ca, other) = (Ca::new(), Ca::new());
    let witness = Witness::start(&ca.leaf(&["app.internal"]), None).await;
    let at = [witness.address];
    let put = |snapshot: &mut Snapshot, tls| put_app(snapshot, "app", AppProtocol::Unspecified, tls, &at);
    let mut proxy = proxy(stack, 1, |snapshot| put(snapshot, trusting(&[&ca]))).await;
    ask(proxy.port, "/app/close").await;
    assert!(ask(proxy.port, "/app/close").await.resumed);
    proxy.change(|snapshot| put(snapshot, trusting(&[&other]))).await;
    assert_eq!(ask(proxy.port, "/app/close").await.status, 502, "no session saves an untrusted backend");
    proxy.change(|snapshot| put(snapshot, trusting(&[&ca]))).await;
    assert!(!ask(proxy.port, "/app/close").await.resumed);
    assert!(ask(proxy.port, "/app/close").await.resumed);
    // Another object with the same content is the same policy.
    let BackendTls::Policy(policy) = trusting(&[&ca]) else { unreachable!() };
    let same = UpstreamTlsPolicy::new("other/object", policy.settings().clone());
    proxy.change(|snapshot| put(snapshot, BackendTls::Policy(Arc::new(same)))).await;
    assert!(ask(proxy.port, "/app/close").await.resumed);
}
