//! Changes under load.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use crate::{
    peers::{Peer, read_text},
    support::{client, pki, pki::Ca, *},
    *,
};
use tokio::io::AsyncWriteExt;

pub async fn nothing_fails_while_the_configuration_changes(stack: TlsStack) {
    let (front, ca) = (Ca::new(), Ca::new());
    let leaf = ca.leaf(&["app.internal", "pass.test"]);
    let peers = [Peer::tls("hi", &leaf).await, Peer::tls("hi", &leaf).await];
    let plain = [Peer::plain("hi").await, Peer::plain("hi").await];
    let port = free_port();
    let mut proxy = proxy(stack, 2, Limits::default(), |snapshot, tcp_port| {
        put_listener(snapshot, tcp("tcp", tcp_port));
        put_listener(snapshot, tls("pass", port, Some("pass.test"), None));
        put_listener(snapshot, tls("term", port, Some("term.test"), Some(&front.leaf(&["term.test"]))));
        put_backend(snapshot, "plain", &[plain[0].address]);
        put_backend(snapshot, "passed", &[peers[0].address]);
        put_hop(snapshot, "ended", ca.policy("app.internal"), &[peers[0].address]);
        put_l4_rule(snapshot, l4_rule(RouteKind::TCPRoute, "plain", "tcp", &[], &[("plain", 1)]));
        put_l4_rule(snapshot, l4_rule(RouteKind::TLSRoute, "passed", "pass", &[], &[("passed", 1)]));
        put_l4_rule(snapshot, l4_rule(RouteKind::TLSRoute, "ended", "term", &[], &[("ended", 1)]));
    })
    .await;
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new([const { AtomicUsize::new(0) }; 3]));
    let (front, ca) = (Arc::new(front), Arc::new(ca));
    let tcp_port = proxy.port;
    let clients: Vec<_> = (0..6)
        .map(|i| {
            let (stop, served, front, ca) = (stop.clone(), served.clone(), front.clone(), ca.clone());
            tokio::spawn(async move {
                while !stop.load(SeqCst) {
                    match i % 3 {
                        0 => talk(client::connect(tcp_port).await).await,
                        1 => talk(pki::connect(port, &ca, "pass.test", &[]).await.unwrap()).await,
                        _ => talk(pki::connect(port, &front, "term.test", &[]).await.unwrap()).await,
                    }
                    served[i % 3].fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    for round in 0..30_usize {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let at = round % 2;
        proxy
            .change(|snapshot| {
                put_backend(snapshot, "plain", &[plain[at].address]);
                put_backend(snapshot, "passed", &[peers[at].address]);
                // Another policy each time; its trust stays.
                let mut settings = ca.settings("app.internal");
                settings.resumption = round % 3 == 0;
                let policy = BackendTls::Policy(Arc::new(UpstreamTlsPolicy::new("default/policy", settings)));
                put_hop(snapshot, "ended", policy, &[peers[at].address]);
                put_listener(
                    snapshot,
                    tls("term", port, Some("term.test"), Some(&front.leaf(&["term.test"]))),
                );
                put_listener(snapshot, tls("other", port, (at == 0).then_some("*.test"), None));
                let mut rule = l4_rule(RouteKind::TCPRoute, "plain", "tcp", &[], &[("plain", 1)]);
                rule.created = round as i64;
                put_l4_rule(snapshot, rule);
            })
            .await;
    }
    stop.store(true, SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    let served: Vec<_> = served.iter().map(|count| count.load(SeqCst)).collect();
    assert!(served.iter().all(|count| *count > 20), "{served:?}");
    let failed: Vec<_> = proxy.records().into_iter().filter(|record| record.reason.is_some()).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

/// A whole conversation, ended in order.
async fn talk(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    assert_eq!(read_text(&mut stream, 2).await, "hi");
    stream.write_all(b"hello").await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(read_text(&mut stream, 5).await, "hello");
    stream.shutdown().await.unwrap();
    assert_eq!(read_text(&mut stream, 3).await, "bye");
}
