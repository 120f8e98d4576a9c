//! Who leads.

use std::time::Duration;

use lasthop_k8s_adapter::leader::Election;
use tokio::{sync::oneshot, time::timeout};

use super::world::World;

#[tokio::test]
async fn one_leads_and_another_follows_at_once_when_it_ends() {
    let Some(world) = World::new().await else { return };
    let start = |identity: &str| {
        let (election, leadership) = Election::new(world.client.clone(), &world.namespace, "lease", identity);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(election.run(async {
            let _ = stopped.await;
        }));
        (stop, task, leadership)
    };
    let (stop_a, task_a, mut a) = start("a");
    timeout(Duration::from_secs(10), a.gained()).await.unwrap();
    let (stop_b, task_b, mut b) = start("b");
    assert!(timeout(Duration::from_secs(5), b.gained()).await.is_err(), "a leads");
    assert!(a.holds());
    drop(stop_a);
    task_a.await.unwrap();
    assert!(!a.holds());
    // Far sooner than the Lease would have ended.
    timeout(Duration::from_secs(6), b.gained()).await.unwrap();
    drop(stop_b);
    task_b.await.unwrap();
    world.end().await;
}
