//! Many rules, slow proxies, and how long it takes.

use std::time::{Duration, Instant};

use lasthop_dataplane_api::{ObjectName, RuleKey, Snapshot};

use crate::support::{Controller, Proxy, account, add, authority, bound, furnished, gateway, rule, until};

/// A Gateway with so many rules more, and a proxy that has them.
async fn with_rules(number: usize) -> (Controller, ObjectName, Proxy) {
    let (authority, mut controller, a, anchors) = furnished().await;
    let more = |snapshot: &mut Snapshot| {
        (0..number).for_each(|n| add(snapshot, &a, &format!("route-{n}"), Some(&anchors)));
    };
    controller.set(more).await;
    let mut proxy = Proxy::start(controller.address, &authority, &a);
    proxy.has(&controller.snapshot).await;
    (controller, a, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_rules_arrive_and_one_of_them_changes() {
    let (mut controller, a, mut proxy) = with_rules(5000).await;
    assert_eq!(proxy.applied(), 1);
    let changed = rule(&a, "route-77", "route-78");
    controller.set(|snapshot| drop(snapshot.http_rules.insert(changed.key.clone(), changed))).await;
    proxy.has(&controller.snapshot).await;
    let last = proxy.updates.lock().unwrap().last().unwrap().clone();
    assert_eq!((last.http_rules.0.len(), last.backends.0.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_proxy_gets_the_newest_and_keeps_nobody_waiting() {
    let authority = authority();
    let mut controller = Controller::start(&authority).await;
    let a = gateway("a");
    controller.set(|snapshot| add(snapshot, &a, "first", None)).await;
    let token = account(&a).to_string();
    let slow_time = Duration::from_millis(300);
    let mut slow = Proxy::with(controller.address, &authority, &a, &token, bound(), slow_time);
    let mut quick = Proxy::start(controller.address, &authority, &a);
    quick.has(&controller.snapshot).await;
    slow.has(&controller.snapshot).await;
    let began = Instant::now();
    for n in 0..100 {
        controller.set(|snapshot| add(snapshot, &a, &format!("route-{n}"), None)).await;
        quick.has(&controller.snapshot).await;
    }
    let quickly = began.elapsed();
    slow.has(&controller.snapshot).await;
    let (quick, slow) = (quick.applied(), slow.applied());
    println!(
        "100 changes: {quickly:?} for the quick one in {quick} updates; the slow one took {slow} updates"
    );
    assert_eq!(quick, 101);
    assert!(slow < 60, "{slow}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_does_not_answer_is_cut_off_and_comes_back() {
    let authority = authority();
    let mut controller = Controller::at("127.0.0.1:0".parse().unwrap(), &authority, |mut options| {
        options.answer_timeout = Duration::from_millis(100);
        options
    })
    .await;
    let a = gateway("a");
    controller.set(|snapshot| add(snapshot, &a, "first", None)).await;
    let token = account(&a).to_string();
    let mut slow =
        Proxy::with(controller.address, &authority, &a, &token, bound(), Duration::from_millis(400));
    slow.has(&controller.snapshot).await;
    until("it comes back and is there", || slow.metrics.is_connected() && slow.metrics.connects.get() > 1)
        .await;
    assert_eq!(slow.applied(), 1, "what it has it is not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_far_behind_starts_over() {
    let authority = authority();
    let mut controller = Controller::start(&authority).await;
    let a = gateway("a");
    controller.set(|snapshot| add(snapshot, &a, "first", None)).await;
    let token = account(&a).to_string();
    let mut slow =
        Proxy::with(controller.address, &authority, &a, &token, bound(), Duration::from_millis(1500));
    until("it is connected", || controller.server.connected(&a) == 1).await;
    for n in 0..1100 {
        let target = if n % 2 == 0 { "other" } else { "first" };
        let changed = rule(&a, "first", target);
        controller.set(|snapshot| drop(snapshot.http_rules.insert(changed.key.clone(), changed))).await;
    }
    controller.set(|snapshot| add(snapshot, &a, "last", None)).await;
    slow.has(&controller.snapshot).await;
    assert!(slow.applied() < 10);
}

/// From the call on the server to the moment the proxy's dataplane has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_there_at_once() {
    let (mut controller, a, mut proxy) = with_rules(1000).await;
    let mut times = Vec::new();
    for n in 0..200 {
        let changed = rule(&a, "route-77", &format!("route-{n}"));
        let key: RuleKey = changed.key.clone();
        let mut new = controller.snapshot.clone();
        new.http_rules.insert(key.clone(), changed.clone());
        new.version += 1;
        let update = std::sync::Arc::new(controller.snapshot.update_to(&new));
        controller.snapshot = new;
        let began = Instant::now();
        lasthop_dataplane_api::Dataplane::apply(&controller.server, update).await;
        let there = proxy.in_force.wait_for(|(snapshot, _)| snapshot.http_rules.get(&key) == Some(&changed));
        tokio::time::timeout(crate::support::LONG, there).await.unwrap().unwrap();
        times.push(began.elapsed());
    }
    times.sort();
    let (median, late) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("apply() to in force with 1,000 rules: median {median:?}, 99th percentile {late:?}");
    assert!(median < Duration::from_millis(50), "{median:?}");
}
