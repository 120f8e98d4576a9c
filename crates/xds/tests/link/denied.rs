//! Who gets nothing.

use std::time::Duration;

use crate::support::{Controller, Proxy, account, add, authority, bound, gateway, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_account_gets_nothing_and_is_counted() {
    let authority = authority();
    let mut controller = Controller::start(&authority).await;
    let (a, b) = (gateway("a"), gateway("b"));
    controller.set(|snapshot| add(snapshot, &b, "x", None)).await;
    let denied = |reason: &str| controller.metrics.denied.with_label_values(&[reason]).get();
    for (token, reason) in [
        (account(&a).to_string(), "other_account"),
        ("made-up".to_owned(), "token_refused"),
        ("later".to_owned(), "review_unavailable"),
    ] {
        let proxy = Proxy::with(controller.address, &authority, &b, &token, bound(), Duration::ZERO);
        until(reason, || denied(reason) >= 2).await;
        assert_eq!(proxy.applied(), 0);
        assert!(!proxy.metrics.is_connected());
    }
    assert_eq!(controller.server.connected(&b), 0);
    let mut right = Proxy::start(controller.address, &authority, &b);
    right.has(&controller.snapshot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_token_file_is_not_even_shown() {
    let authority = authority();
    let mut controller = Controller::start(&authority).await;
    let a = gateway("a");
    controller.set(|snapshot| add(snapshot, &a, "x", None)).await;
    let mut proxy = Proxy::with(controller.address, &authority, &a, "", bound(), Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((proxy.applied(), proxy.metrics.connects.get()), (0, 0));
    std::fs::write(proxy.files.path().join("token"), account(&a).to_string()).unwrap();
    proxy.has(&controller.snapshot).await;
}
