//! Several controllers: any of them tells a proxy what to serve, and all of them hear what it says.

use std::time::Duration;

use lasthop_dataplane_api::{ListenerState, Snapshot};

use crate::support::{
    Controller, Proxy, account, add, authority, bound, certificate, furnish, gateway, same, until,
};

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_hears_that_a_listener_serves() {
    let authority = authority();
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(Controller::start(&authority).await);
    }
    let a = gateway("a");
    let (key, anchors) = certificate("a.example.com");
    let mut wanted = Snapshot::default();
    furnish(&mut wanted, &a, &key, &anchors);
    for replica in &mut replicas {
        replica.set(|snapshot| *snapshot = wanted.clone()).await;
    }
    let addresses: Vec<String> = replicas.iter().map(|replica| replica.address.to_string()).collect();
    let token = account(&a).to_string();
    let mut proxy = Proxy::of_many(&addresses.join(","), &authority, &a, &token, bound(), Duration::ZERO);
    for replica in &replicas {
        let word = replica.word().await;
        assert!(matches!(&word.listeners[..], [(_, ListenerState::Bound(_))]), "{word:?}");
    }
    let followed = |replicas: &[Controller]| replicas.iter().position(|one| one.server.connected(&a) == 1);
    assert_eq!(replicas.iter().map(|replica| replica.server.connected(&a)).sum::<usize>(), 1);

    // A replica that knows more than the one that is followed is not told that the newest serves.
    let newer = crate::support::listener(&a, &certificate("a.example.com").0);
    wanted.listeners.insert(newer.key.clone(), newer);
    let at = followed(&replicas).unwrap();
    let other = (at + 1) % 3;
    replicas[other].set(|snapshot| *snapshot = wanted.clone()).await;
    replicas[other].is_silent().await;
    replicas[at].set(|snapshot| *snapshot = wanted.clone()).await;
    proxy.has(&wanted).await;
    for heard in [other, at] {
        let word = replicas[heard].word().await;
        assert!(matches!(&word.listeners[..], [(_, ListenerState::Bound(_))]), "{word:?}");
    }
    replicas[(at + 2) % 3].set(|snapshot| *snapshot = wanted.clone()).await;
    replicas[(at + 2) % 3].word().await;

    // What is refused is heard, too.
    let refused = |snapshot: &mut Snapshot| add(snapshot, &a, "no such name", None);
    for replica in &mut replicas {
        replica.set(refused).await;
    }
    for replica in &replicas {
        let word = replica.word().await;
        assert!(matches!(&word.listeners[..], [(_, ListenerState::Failed { .. })]), "{word:?}");
    }
    for replica in &mut replicas {
        replica.set(|snapshot| *snapshot = wanted.clone()).await;
    }
    for replica in &replicas {
        let word = replica.word().await;
        assert!(matches!(&word.listeners[..], [(_, ListenerState::Bound(_))]), "{word:?}");
    }

    // The one that is followed goes; another takes its place, with nothing to send.
    let applied = proxy.applied();
    replicas.remove(at).stop().await;
    until("another is followed", || followed(&replicas).is_some()).await;
    until("it is told", || proxy.metrics.is_connected()).await;
    assert_eq!(proxy.applied(), applied);
    let at = followed(&replicas).unwrap();
    replicas[at].set(|snapshot| add(snapshot, &a, "late", None)).await;
    proxy.has(&replicas[at].snapshot).await;
    assert!(same(&proxy.in_force.borrow().0, &replicas[at].snapshot));
}
