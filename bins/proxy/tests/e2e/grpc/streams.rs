//! Streams that live long: reloads, draining, deadlines, slow readers.

use std::time::{Duration, Instant};

use super::{
    route, tls_service, to,
    wire::{ask_for, ask_for_many, connect, open, run, status},
};
use crate::{
    for_each_stack,
    support::{Stack, certificates::Authority, manifests, peers, proxy::Proxy, site::Site},
};

for_each_stack!(reload_keeps_streams, drain_ends_streams, deadlines, slow_reader);

/// A proxy before grpc-go's server behind a policy.
fn site() -> Option<(Site, peers::Peer)> {
    let site = Site::new();
    let peer = peers::grpc_interop(site.work(), Some(&site.leaf()))?;
    tls_service(&site, "peer", peer.port);
    site.write("route.yaml", &route("all", &to("peer")));
    Some((site, peer))
}

/// A message of `size` bytes and what frames it: the gRPC prefix, `payload` (field 1) and its `body` (field 2).
const fn framed(size: usize) -> usize {
    size + 5 + if size < 124 { 4 } else { 6 }
}

fn reload_keeps_streams(stack: Stack) {
    let Some((site, _peer)) = site() else { return };
    let proxy = site.start(stack);
    run(async {
        let mut sender = connect(site.http).await;
        let (mut call, head) = open(&mut sender, "FullDuplexCall", None, ask_for(10)).await;
        assert_eq!((head.status().as_u16(), call.read(framed(10)).await), (200, framed(10)));
        let mut bundle = site.backends.pem();
        // Another rule, then other policies for the same backend that trust no less.
        for change in 0..4 {
            let before = proxy.metric("lasthop_config_reloads_total", &[]);
            match change {
                0 | 1 => {
                    site.write(
                        "route.yaml",
                        &format!("{}    name: rule-{change}\n", route("all", &to("peer"))),
                    );
                }
                _ => {
                    bundle += &Authority::new(&format!("CA {change}")).pem();
                    site.write("ca.yaml", &manifests::config_map("ca", &bundle));
                }
            }
            let reloaded = crate::support::within(crate::support::PATIENCE, || {
                (proxy.metric("lasthop_config_reloads_total", &[]) > before).then_some(())
            });
            assert!(reloaded.is_some());
            call.send(ask_for(20));
            assert_eq!(call.read(framed(20)).await, framed(20), "after change {change}");
        }
        // Had trust been lost, the stream would have been cut by now.
        tokio::time::sleep(Duration::from_secs(6)).await;
        call.send(ask_for(30));
        assert_eq!(call.read(framed(30)).await, framed(30));
        call.half_close();
        assert_eq!(call.end().await, (0, Some("0".to_owned())));
    });
    let record = proxy.record_of("peer.test", "/grpc.testing.TestService/FullDuplexCall");
    assert!(record["reason"].is_null(), "{record}");
}

fn drain_ends_streams(stack: Stack) {
    let Some((site, _peer)) = site() else { return };
    let mut proxy =
        Proxy::start_without_waiting(stack, &site.manifests(), site.work(), &["--drain-timeout", "4s"]);
    proxy.wait_ready(&[site.http]);
    let begun = run(async {
        let mut sender = connect(site.http).await;
        let (mut ending, _) = open(&mut sender, "FullDuplexCall", None, ask_for(10)).await;
        let (mut staying, _) = open(&mut sender, "FullDuplexCall", None, ask_for(10)).await;
        assert_eq!((ending.read(framed(10)).await, staying.read(framed(10)).await), (framed(10), framed(10)));
        let begun = Instant::now();
        proxy.signal("TERM");
        tokio::time::sleep(Duration::from_millis(500)).await;
        // What is under way goes on, to its proper end if that comes.
        for call in [&mut ending, &mut staying] {
            call.send(ask_for(30));
            assert_eq!(call.read(framed(30)).await, framed(30));
        }
        ending.half_close();
        assert_eq!(ending.end().await, (0, Some("0".to_owned())));
        let (_, status) = staying.end().await;
        assert_ne!(status.as_deref(), Some("0"), "cut, and not taken for complete");
        begun
    });
    assert!(begun.elapsed() >= Duration::from_millis(3500), "{:?}", begun.elapsed());
    assert!(proxy.wait_end(Duration::from_secs(10)).is_some(), "the drain never ends");
}

fn deadlines(stack: Stack) {
    let Some((site, _peer)) = site() else { return };
    let proxy = site.start(stack);
    run(async {
        let mut sender = connect(site.http).await;
        // grpc-go enforces the deadline, too; whoever is first, the status is the same.
        let (mut call, _) = open(&mut sender, "FullDuplexCall", Some("500m"), ask_for(10)).await;
        assert_eq!(call.read(framed(10)).await, framed(10));
        assert_eq!(call.end().await, (0, Some("4".to_owned())));
        // Nothing is asked for, so nothing is answered in time.
        let (call, head) = open(&mut sender, "FullDuplexCall", Some("300m"), ask_for_many(&[])).await;
        let said = match status(head.headers()) {
            Some(said) => Some(said),
            None => call.end().await.1,
        };
        assert_eq!(said.as_deref(), Some("4"));
    });
    drop(proxy);
}

/// 200 MiB to a client that does not read: what has come stands in windows and buffers, not in memory.
fn slow_reader(stack: Stack) {
    const SIZES: [u32; 200] = [1024 * 1024; 200];
    let Some((site, _peer)) = site() else { return };
    let proxy = site.start(stack);
    run(async {
        let mut sender = connect(site.http).await;
        let (mut warm, _) = open(&mut sender, "FullDuplexCall", None, ask_for(10)).await;
        assert_eq!(warm.read(framed(10)).await, framed(10));
        let before = proxy.memory();
        let (mut call, _) = open(&mut sender, "FullDuplexCall", None, ask_for_many(&SIZES)).await;
        call.half_close();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let grown = proxy.memory().saturating_sub(before);
        assert!(grown < 16 * 1024, "{grown} KiB more for a reader that does not read");
        let (read, status) = call.end().await;
        assert!(read > 200 * 1024 * 1024, "{read} bytes");
        assert_eq!(status.as_deref(), Some("0"));
    });
}
