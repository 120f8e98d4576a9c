//! Session persistence behind a Gateway with several proxies.

use super::support::{Site, becomes, curl, within};

#[test]
fn every_proxy_knows_the_sessions_of_the_others() {
    let Some(site) = Site::new("sessions") else { return };
    let backends = ["one", "two"].map(|name| site.nginx(name));
    site.apply("apiVersion: lasthop.dev/v1alpha1\nkind: LasthopParameters\nmetadata: {name: edge}\nspec: {replicas: 2}\n");
    site.gateway(
        "edge",
        "  infrastructure: {parametersRef: {group: lasthop.dev, kind: LasthopParameters, name: edge}}\n",
    );
    site.service("shop", &[backends[0].port, backends[1].port], "");
    site.route("edge", "shop", "    sessionPersistence: {type: Cookie, cookie: {name: shop}}\n");
    let address = site.programmed("edge");
    site.kubectl(&["rollout", "status", "deployment/lasthop-edge", "--timeout=60s"]);
    becomes(address, "shop.test", 200);

    let mut served = [0; 2];
    for _ in 0..6 {
        let first = curl(address, "shop.test", &[]);
        let cookie =
            first.header("set-cookie").expect("a session begins").split(';').next().unwrap().to_owned();
        let backend = first.header("x-backend").unwrap().to_owned();
        served[usize::from(backend == "two")] += 1;
        for _ in 0..12 {
            let next = curl(address, "shop.test", &["--cookie", &cookie]);
            assert_eq!((next.status, next.header("x-backend")), (200, Some(backend.as_str())), "{next:?}");
            assert_eq!(next.header("set-cookie"), None, "the session went on");
        }
    }
    // Connections are spread, so that every session was asked of both proxies: each has served some of them.
    let pods = site.kubectl(&["get", "pods", "--output=name"]);
    let busy = |pod: &str| {
        within(|| {
            let log = site.kubectl(&["logs", pod]);
            (log.matches("shop.test").count() > 10).then_some(())
        })
    };
    assert_eq!(pods.lines().count(), 2, "{pods}");
    pods.lines().for_each(|pod| assert!(busy(pod).is_some(), "{pod} had nothing to do"));
    eprintln!("{served:?} sessions at the two backends");

    // A new proxy knows them, too: the key is no proxy's own.
    let first = curl(address, "shop.test", &[]);
    let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let backend = first.header("x-backend").unwrap().to_owned();
    site.kubectl(&["rollout", "restart", "deployment/lasthop-edge"]);
    site.kubectl(&["rollout", "status", "deployment/lasthop-edge", "--timeout=90s"]);
    for _ in 0..12 {
        let next = curl(address, "shop.test", &["--cookie", &cookie]);
        assert_eq!((next.status, next.header("x-backend")), (200, Some(backend.as_str())), "{next:?}");
    }
}
