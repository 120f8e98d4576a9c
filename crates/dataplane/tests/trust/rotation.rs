//! Another CA without a pause.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lasthop_dataplane_api::*;

use crate::{
    proxy, put_app,
    support::{client, pki::Ca},
    trusting,
    witness::{Witness, ask},
};

pub async fn a_ca_is_rotated_under_load_without_a_failure(stack: TlsStack) {
    let cas = [Ca::new(), Ca::new()];
    let leaves = [cas[0].leaf(&["app.internal"]), cas[1].leaf(&["app.internal"])];
    let pods = [Witness::start(&leaves[0], None).await, Witness::start(&leaves[0], None).await];
    let at = [pods[0].address, pods[1].address];
    let put = |snapshot: &mut Snapshot, cas: &[&Ca]| {
        put_app(snapshot, "app", AppProtocol::Unspecified, trusting(cas), &at);
        put_app(snapshot, "h2", AppProtocol::H2c, trusting(cas), &at);
    };
    let mut proxy = proxy(stack, 2, |snapshot| put(snapshot, &[&cas[0]])).await;
    let port = proxy.port;
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = ["/app", "/app/close", "/h2", "/app", "/app/close", "/h2"]
        .into_iter()
        .map(|path| {
            let stop = stop.clone();
            tokio::spawn(async move {
                let (mut sender, mut n) = (client::http1(port).await, 0);
                while !stop.load(Ordering::SeqCst) {
                    sender.ready().await.unwrap();
                    let answer = sender.send_request(client::request(path)).await.unwrap();
                    assert_eq!(client::read(answer).await, (200, "hi".to_owned()), "{path}");
                    n += 1;
                }
                n
            })
        })
        .collect();
    let pause = || tokio::time::sleep(Duration::from_millis(150));
    for round in 0..6 {
        let (old, new) = (round % 2, (round + 1) % 2);
        proxy.change(|snapshot| put(snapshot, &[&cas[0], &cas[1]])).await;
        pause().await;
        for pod in &pods {
            pod.show(&leaves[new]);
            pause().await;
        }
        proxy.change(|snapshot| put(snapshot, &[&cas[new]])).await;
        pause().await;
        for path in ["/app", "/app/close", "/h2"] {
            assert_eq!(ask(port, path).await.status, 200, "round {round}: {old} to {new}");
        }
    }
    stop.store(true, Ordering::SeqCst);
    let mut total = 0;
    for client in clients {
        total += client.await.unwrap();
    }
    assert!(total > 300, "{total}");
    assert!(proxy.records().iter().all(|record| record.reason.is_none()));
}
