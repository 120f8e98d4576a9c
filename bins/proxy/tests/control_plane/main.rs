//! The proxy's binary behind a control plane: a folder is translated here, and the proxy is told over the link.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "what was measured is printed")]

mod plane;
mod traffic;

use std::time::{Duration, Instant};

use lasthop_xds::Authority;
use plane::{Plane, Proxy, manifests, until};
use traffic::{Backend, Load, get};

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_serves_what_it_is_told_with_and_without_a_controller() {
    let authority = Authority::new(std::time::SystemTime::now()).unwrap();
    let (first, second) = (Backend::start("first").await, Backend::start("second").await);
    let folder = tempfile::tempdir().unwrap();
    let port = plane::free_port();
    let address = format!("127.0.0.1:{}", plane::free_port()).parse().unwrap();

    // Nobody there: nothing is served, and the proxy says so.
    let proxy = Proxy::start(address, &authority);
    until("the proxy is alive", async || proxy.admin("/healthz").await == 200).await;
    assert_eq!(proxy.admin("/readyz").await, 503);
    assert_eq!(proxy.metric("lasthop_control_plane_connected").await, Some(0.0));

    manifests(folder.path(), port, "one", first.address);
    let plane = Plane::start(address, &authority, folder.path()).await;
    until("it is ready", async || proxy.admin("/readyz").await == 200).await;
    until("it serves", async || get(port, "/").await.ok() == Some((200, "first".to_owned()))).await;
    until("the Gateway is programmed", async || plane.is_programmed()).await;
    assert_eq!(proxy.metric("lasthop_control_plane_connected").await, Some(1.0));

    // The controller goes away; what is in force stays.
    let load = Load::start(port, 4);
    plane.stop().await;
    until("it notes that", async || proxy.metric("lasthop_control_plane_connected").await == Some(0.0)).await;
    manifests(folder.path(), port, "two", second.address);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(proxy.admin("/readyz").await, 200);
    assert_eq!(get(port, "/").await.unwrap(), (200, "first".to_owned()));

    // Another one has the news.
    let plane = Plane::start(address, &authority, folder.path()).await;
    until("it is told", async || get(port, "/").await.ok() == Some((200, "second".to_owned()))).await;
    until("the Gateway is programmed", async || plane.is_programmed()).await;
    let (requests, failed) = load.stop().await;
    println!("{requests} requests while the controller was away and came back, {failed:?} failed");
    assert!(requests > 100 && failed.is_empty(), "{requests} {failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_never_in_force_before_its_backend() {
    let authority = Authority::new(std::time::SystemTime::now()).unwrap();
    let backend = Backend::start("here").await;
    let folder = tempfile::tempdir().unwrap();
    let port = plane::free_port();
    manifests(folder.path(), port, "service-0", backend.address);
    let address = format!("127.0.0.1:{}", plane::free_port()).parse().unwrap();
    let plane = Plane::start(address, &authority, folder.path()).await;
    let proxy = Proxy::start(address, &authority);
    until("it serves", async || get(port, "/").await.is_ok()).await;
    let load = Load::start(port, 4);
    let mut times = Vec::new();
    for n in 1..=60 {
        // A new Service in place of the old one, with the rule that leads to it.
        let before = proxy.metric("lasthop_config_version").await;
        let began = Instant::now();
        manifests(folder.path(), port, &format!("service-{n}"), backend.address);
        until("the change is in force", async || proxy.metric("lasthop_config_version").await != before)
            .await;
        times.push(began.elapsed());
    }
    times.sort();
    let (requests, failed) = load.stop().await;
    println!(
        "{requests} requests through 60 changes, {failed:?} failed; from the file to in force: {:?} at the median",
        times[30]
    );
    assert!(requests > 200 && failed.is_empty(), "{requests} {failed:?}");
    drop(plane);
}
