//! What the proxies say reaches the controller.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lasthop_dataplane_api::{ListenerState, Refusal, Report};

use crate::support::{
    Answers, Controller, Proxy, account, add, backend_key, bound, certificate, furnished, listener,
    listener_key, until,
};

fn failed() -> Answers {
    Arc::new(|update| Report {
        version: update.version,
        listeners: update
            .listeners
            .0
            .iter()
            .map(|(key, _)| {
                let (reason, message) = ("PortUnavailable".into(), "taken".into());
                (key.clone(), ListenerState::Failed { reason, message })
            })
            .collect(),
        refused_backends: Vec::new(),
    })
}

fn is_bound(report: &Report) -> bool {
    matches!(&report.listeners[..], [(_, ListenerState::Bound(_))])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_serves_once_one_proxy_said_so() {
    let (authority, mut controller, a, _) = furnished().await;
    controller.is_silent().await;
    let token = account(&a).to_string();
    let _bad = Proxy::with(controller.address, &authority, &a, &token, failed(), Duration::ZERO);
    let word = controller.word().await;
    assert_eq!(word.version, 1);
    let [(key, ListenerState::Failed { reason, .. })] = &word.listeners[..] else { panic!("{word:?}") };
    assert_eq!((key, &**reason), (&listener_key(&a), "PortUnavailable"));
    let _good = Proxy::start(controller.address, &authority, &a);
    let word = controller.word().await;
    assert!(is_bound(&word), "{word:?}");
    // What does not concern the listener says nothing new.
    controller.set(|snapshot| add(snapshot, &a, "more", None)).await;
    controller.is_silent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_listener_is_said_to_serve_again() {
    let (authority, mut controller, a, _) = furnished().await;
    let (renewed, _) = certificate("a.example.com");
    // A dataplane that has nothing to say about a listener that only shows another certificate.
    let first = AtomicBool::new(true);
    let answers: Answers = Arc::new(move |update| match first.swap(false, Ordering::SeqCst) {
        true => bound()(update),
        false => Report { version: update.version, ..Report::default() },
    });
    let token = account(&a).to_string();
    let _proxy = Proxy::with(controller.address, &authority, &a, &token, answers, Duration::ZERO);
    assert!(is_bound(&controller.word().await));
    let changed = listener(&a, &renewed);
    controller.set(|snapshot| drop(snapshot.listeners.insert(changed.key.clone(), changed))).await;
    let word = controller.word().await;
    assert!(is_bound(&word) && word.version == 2, "{word:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_controller_hears_what_serves_already() {
    let (authority, controller, a, _) = furnished().await;
    let mut proxy = Proxy::start(controller.address, &authority, &a);
    assert!(is_bound(&controller.word().await));
    let address = controller.address;
    let snapshot = controller.stop().await;
    until("the proxy notes it", || !proxy.metrics.is_connected()).await;
    let mut controller = Controller::at(address, &authority, |options| options).await;
    controller.set(|new| *new = snapshot.clone()).await;
    assert!(is_bound(&controller.word().await));
    proxy.has(&snapshot).await;
    assert_eq!(proxy.applied(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_a_proxy_refuses_is_told() {
    let (authority, controller, a, _) = furnished().await;
    let refusal =
        Refusal { reason: "Invalid".into(), message: "no such group".into(), policy: "apps/policy".into() };
    let said = refusal.clone();
    let answers: Answers = Arc::new(move |update| {
        let refused = update.backends.0.iter().map(|(key, _)| (key.clone(), said.clone())).collect();
        Report { refused_backends: refused, ..bound()(update) }
    });
    let token = account(&a).to_string();
    let _proxy = Proxy::with(controller.address, &authority, &a, &token, answers, Duration::ZERO);
    let word = controller.word().await;
    assert_eq!(word.refused_backends, [(backend_key(&a, "shop"), refusal)]);
    assert_eq!(word.listeners.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_is_refused_is_told_and_changes_nothing() {
    let (authority, mut controller, a, _) = furnished().await;
    let mut proxy = Proxy::start(controller.address, &authority, &a);
    assert!(is_bound(&controller.word().await));
    let good = controller.snapshot.clone();
    // No such name can exist; it stands for whatever a proxy cannot read.
    controller.set(|snapshot| add(snapshot, &a, "no such name", None)).await;
    let word = controller.word().await;
    let [(_, ListenerState::Failed { reason, message })] = &word.listeners[..] else { panic!("{word:?}") };
    assert_eq!(&**reason, "Invalid");
    assert!(message.contains("pod-1") && message.contains("no such name"), "{message}");
    assert_eq!((proxy.metrics.refused.get(), controller.metrics.refused.get()), (1, 1));
    // What is refused is not sent again and again.
    controller.is_silent().await;
    assert_eq!((proxy.metrics.refused.get(), proxy.applied()), (1, 1));
    proxy.has(&good).await;
    // Everything later is refused with it, until it is gone.
    controller.set(|snapshot| add(snapshot, &a, "fine", None)).await;
    until("it is refused, too", || proxy.metrics.refused.get() == 2).await;
    proxy.has(&good).await;
    controller
        .set(|snapshot| {
            *snapshot = good.clone();
            add(snapshot, &a, "fine", None);
        })
        .await;
    proxy.has(&controller.snapshot).await;
    assert!(is_bound(&controller.word().await));
    assert_eq!(proxy.applied(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxys_words_are_bounded_and_printable() {
    let (authority, controller, a, _) = furnished().await;
    let long: Arc<str> = "\u{1b}x\n".repeat(5000).into();
    let answers: Answers = Arc::new(move |update| Report {
        version: update.version,
        listeners: update
            .listeners
            .0
            .iter()
            .map(|(key, _)| {
                let (reason, message) = ("no reason\n".into(), long.clone());
                (key.clone(), ListenerState::Failed { reason, message })
            })
            .collect(),
        refused_backends: update
            .backends
            .0
            .iter()
            .map(|(key, _)| {
                let reason = "R".repeat(1000).into();
                (key.clone(), Refusal { reason, message: long.clone(), policy: long.clone() })
            })
            .collect(),
    });
    let token = account(&a).to_string();
    let _proxy = Proxy::with(controller.address, &authority, &a, &token, answers, Duration::ZERO);
    let word = controller.word().await;
    let clipped: Arc<str> = "x".repeat(1024).into();
    let [(_, ListenerState::Failed { reason, message })] = &word.listeners[..] else { panic!("{word:?}") };
    assert_eq!((&**reason, message), ("Invalid", &clipped));
    let refusal = Refusal { reason: "Invalid".into(), message: clipped.clone(), policy: clipped };
    assert_eq!(word.refused_backends, [(backend_key(&a, "shop"), refusal)]);
}
