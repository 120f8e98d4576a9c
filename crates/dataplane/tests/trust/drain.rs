//! What is under way when trust changes.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use http_body_util::BodyExt;
use hyper::{Response, body::Incoming};
use lasthop_dataplane_api::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    plaintext, proxy, put_app,
    support::{backend_key, client, pki::Ca, put_backend, put_rule, rule},
    trusting,
    witness::{Witness, ask},
};

/// What is promised, from the moment an update is in force.
const PROMISE: Duration = Duration::from_secs(5);

/// A tunnel through the proxy.
struct Tunnel(TcpStream);

impl Tunnel {
    async fn open(port: u16, app: &str) -> Self {
        let mut stream = client::connect(port).await;
        let head =
            format!("GET /{app}/tunnel HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        Self(stream)
    }

    async fn works(&mut self) -> bool {
        let mut echo = [0; 4];
        self.0.write_all(b"echo").await.is_ok()
            && matches!(timeout(PROMISE, self.0.read_exact(&mut echo)).await, Ok(Ok(_)))
    }

    async fn is_closed_within(&mut self, time: Duration) -> bool {
        matches!(timeout(time, self.0.read(&mut [0])).await, Ok(Ok(0) | Err(_)))
    }
}

async fn start(port: u16, path: &str) -> Response<Incoming> {
    let mut sender = client::http1(port).await;
    let response = sender.send_request(client::request(path)).await.unwrap();
    assert_eq!(response.status(), 200);
    // The client's side of the connection lives on with its response.
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(sender);
    });
    response
}

/// Reads a response to its end; `true` if it was cut.
fn read(response: Response<Incoming>) -> JoinHandle<bool> {
    tokio::spawn(async move {
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return true;
            }
        }
        false
    })
}

fn get(port: u16, path: &'static str) -> JoinHandle<u16> {
    tokio::spawn(async move { ask(port, path).await.status })
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

pub async fn trust_that_shrinks_ends_what_is_under_way(stack: TlsStack) {
    let (ca, other) = (Ca::new(), Ca::new());
    let witness = Witness::start(&ca.leaf(&["app.internal"]), None).await;
    let at = [witness.address];
    let put = |snapshot: &mut Snapshot, cas: &[&Ca]| {
        put_app(snapshot, "app", AppProtocol::Unspecified, trusting(cas), &at);
        put_app(snapshot, "h2", AppProtocol::H2c, trusting(cas), &at);
    };
    let mut proxy = proxy(stack, 1, |snapshot| put(snapshot, &[&ca, &other])).await;
    let port = proxy.port;
    ask(port, "/app").await;
    let mut tunnel = Tunnel::open(port, "app").await;
    let cut = [
        ("endless", read(start(port, "/app/endless").await)),
        ("endless stream", read(start(port, "/h2/endless").await)),
        ("flood", read(start(port, "/app/flood").await)),
        ("flood stream", read(start(port, "/h2/flood").await)),
    ];
    // Clients that do not read: their responses stand still, full.
    let _unread = (start(port, "/app/flood").await, start(port, "/h2/flood").await);
    let never = [get(port, "/app/never"), get(port, "/h2/never")];
    let slow = [get(port, "/app/slow"), get(port, "/h2/slow")];
    settle().await;
    let old = witness.open();
    assert!(old.len() >= 7, "{old:?}");

    proxy.change(|snapshot| put(snapshot, &[&ca])).await;
    let applied = Instant::now();
    let new = [ask(port, "/app").await, ask(port, "/h2").await];
    assert!(new.iter().all(|new| new.status == 200 && !old.contains(&new.connection)), "{new:?} {old:?}");
    for slow in slow {
        assert_eq!(slow.await.unwrap(), 200, "what ends in time is not cut");
    }
    assert!(tunnel.works().await, "there is some time to end");
    assert!(
        tunnel.is_closed_within(PROMISE.saturating_sub(applied.elapsed())).await,
        "{:?}",
        applied.elapsed()
    );
    assert!(applied.elapsed() > Duration::from_secs(3));
    for (what, reading) in cut {
        let left = PROMISE.saturating_sub(applied.elapsed());
        assert!(timeout(left, reading).await.unwrap_or_else(|_| panic!("{what} goes on")).unwrap(), "{what}");
    }
    for never in never {
        assert_eq!(never.await.unwrap(), 502);
    }
    tokio::time::sleep(PROMISE.saturating_sub(applied.elapsed())).await;
    let left: BTreeSet<u64> = witness.open().intersection(&old).copied().collect();
    assert!(left.is_empty(), "connections of the old policy: {left:?}");
    let revoked = proxy.records().iter().filter(|record| record.reason == Some("TrustRevoked")).count();
    assert!(revoked >= 7, "{revoked}: {:?}", proxy.records());
    let failures = |app| {
        let backend = backend_key(app);
        proxy.metric(&format!(
            "lasthop_upstream_failures_total{{backend=\"{backend}\",reason=\"TrustRevoked\"}}"
        ))
    };
    assert!(failures("app") >= 4.0 && failures("h2") >= 3.0, "{}", proxy.metrics());
    assert_eq!(ask(port, "/h2").await.connection, new[1].connection, "the new connections live on");
}

pub async fn trust_that_grows_leaves_what_is_under_way_until_it_shrinks(stack: TlsStack) {
    let (ca, other) = (Ca::new(), Ca::new());
    let witness = Witness::start(&ca.leaf(&["app.internal"]), None).await;
    let at = [witness.address];
    let put = |snapshot: &mut Snapshot, cas: &[&Ca]| {
        put_app(snapshot, "app", AppProtocol::Unspecified, trusting(cas), &at);
        put_app(snapshot, "h2", AppProtocol::H2c, trusting(cas), &at);
    };
    let mut proxy = proxy(stack, 1, |snapshot| put(snapshot, &[&ca])).await;
    let port = proxy.port;
    let mut tunnel = Tunnel::open(port, "app").await;
    let endless = [read(start(port, "/app/endless").await), read(start(port, "/h2/endless").await)];
    let first = [ask(port, "/app").await, ask(port, "/h2").await];
    settle().await;
    let old = witness.open();

    proxy.change(|snapshot| put(snapshot, &[&ca, &other])).await;
    let second = [ask(port, "/app").await, ask(port, "/h2").await];
    for (first, second) in first.iter().zip(&second) {
        assert_ne!(first.connection, second.connection, "the policy is another one all the same");
    }
    settle().await;
    assert!(!witness.open().contains(&first[0].connection), "what idles is closed at once");
    tokio::time::sleep(PROMISE + Duration::from_secs(1)).await;
    assert!(tunnel.works().await && endless.iter().all(|reading| !reading.is_finished()));
    assert!(witness.open().intersection(&old).count() >= 3);

    // The CA by which the oldest connections were made goes, two policies later.
    witness.show(&other.leaf(&["app.internal"]));
    proxy.change(|snapshot| put(snapshot, &[&other])).await;
    let applied = Instant::now();
    assert_eq!(ask(port, "/app").await.status, 200);
    assert!(tunnel.is_closed_within(PROMISE).await);
    for reading in endless {
        assert!(timeout(PROMISE.saturating_sub(applied.elapsed()), reading).await.unwrap().unwrap());
    }
    tokio::time::sleep(PROMISE.saturating_sub(applied.elapsed())).await;
    assert_eq!(witness.open().intersection(&old).count(), 0);
}

/// Whether requests and tunnels that are under way at a change are cut.
async fn is_cut(stack: TlsStack, before: BackendTls, after: Option<BackendTls>, witness: &Witness) -> bool {
    let at = [witness.address];
    let mut proxy =
        proxy(stack, 1, |snapshot| put_app(snapshot, "app", AppProtocol::Unspecified, before, &at)).await;
    let port = proxy.port;
    let mut tunnel = Tunnel::open(port, "app").await;
    let endless = read(start(port, "/app/endless").await);
    let never = get(port, "/app/never");
    settle().await;
    let report = proxy
        .change(|snapshot| match after {
            Some(after) => put_app(snapshot, "app", AppProtocol::Unspecified, after, &at),
            None => {
                snapshot.backends.clear();
                snapshot.http_rules.clear();
            }
        })
        .await;
    assert!(report.refused_backends.is_empty());
    tokio::time::sleep(PROMISE).await;
    let cut = [tunnel.is_closed_within(Duration::ZERO).await, endless.is_finished(), never.is_finished()];
    assert!(cut.iter().all(|one| *one == cut[0]), "{cut:?}");
    if cut[0] {
        assert_eq!(never.await.unwrap(), 502);
        let records = proxy.wait_records(3).await;
        assert!(records.iter().all(|record| record.reason == Some("TrustRevoked")), "{records:?}");
    } else {
        assert!(tunnel.works().await);
    }
    cut[0]
}

pub async fn only_lost_trust_ends_a_request(stack: TlsStack) {
    let ca = Ca::new();
    let leaf = ca.leaf(&["app.internal"]);
    let refused = || {
        BackendTls::Refused(Refusal {
            reason: "InvalidCACertificateRef".into(),
            message: "gone".into(),
            policy: "default/policy".into(),
        })
    };
    let with_client = crate::policy(&[&ca], |settings| {
        settings.client_certificate = Some(ca.leaf(&["proxy.internal"]).certified());
    });
    let without_tls12 = crate::policy(&[&ca], |settings| settings.min_version = TlsVersion::V1_3);
    let cases = [
        ("a policy comes", plaintext(), Some(trusting(&[&ca])), true),
        ("a plaintext backend is refused", plaintext(), Some(refused()), true),
        ("a plaintext backend goes", plaintext(), None, false),
        ("a policy is refused", trusting(&[&ca]), Some(refused()), true),
        ("a policy goes with its route", trusting(&[&ca]), None, true),
        ("a policy goes", trusting(&[&ca]), Some(plaintext()), false),
        ("a client certificate comes", trusting(&[&ca]), Some(with_client), false),
        ("an old version goes", trusting(&[&ca]), Some(without_tls12), true),
    ];
    let mut all = Vec::new();
    for (what, before, after, cut) in cases {
        let witness = Witness::start(&leaf, Some(&ca)).await;
        all.push(tokio::spawn(async move {
            assert_eq!(is_cut(stack, before, after, &witness).await, cut, "{what}")
        }));
    }
    for case in all {
        case.await.unwrap();
    }
}

pub async fn a_backend_keeps_its_own_requests_on_a_shared_endpoint(stack: TlsStack) {
    let (ca, other) = (Ca::new(), Ca::new());
    let witness = Witness::start(&ca.leaf(&["app.internal"]), None).await;
    let at = [witness.address];
    let put = |snapshot: &mut Snapshot, name: &str, cas: &[&Ca]| {
        put_app(snapshot, name, AppProtocol::H2c, trusting(cas), &at);
    };
    let mut proxy = proxy(stack, 1, |snapshot| {
        put(snapshot, "strict", &[&ca, &other]);
        put(snapshot, "lax", &[&ca, &other]);
    })
    .await;
    let port = proxy.port;
    let strict = read(start(port, "/strict/endless").await);
    let lax = read(start(port, "/lax/endless").await);
    let mut tunnels = [Tunnel::open(port, "strict").await, Tunnel::open(port, "lax").await];
    let shared = ask(port, "/lax").await.connection;
    assert_eq!(ask(port, "/strict").await.connection, shared, "one policy, one pool");
    proxy.change(|snapshot| put(snapshot, "strict", &[&ca])).await;
    assert_ne!(ask(port, "/strict").await.connection, shared);
    tokio::time::sleep(PROMISE).await;
    assert!(strict.is_finished() && !lax.is_finished());
    assert!(tunnels[0].is_closed_within(Duration::ZERO).await && tunnels[1].works().await);
    assert_eq!(ask(port, "/lax").await.connection, shared);
    proxy.change(|snapshot| put(snapshot, "lax", &[&ca])).await;
    tokio::time::sleep(PROMISE).await;
    assert!(lax.is_finished() && tunnels[1].is_closed_within(Duration::ZERO).await);
    assert!(!witness.open().contains(&shared));
}

pub async fn a_request_that_waits_for_a_connection_goes_on_under_the_new_policy(stack: TlsStack) {
    let (ca, other) = (Ca::new(), Ca::new());
    let witness = Witness::start(&ca.leaf(&["app.internal"]), None).await;
    let at = [witness.address];
    for protocol in [AppProtocol::Unspecified, AppProtocol::H2c] {
        witness.delay(Duration::from_millis(600));
        let put = |snapshot: &mut Snapshot, cas: &[&Ca]| {
            put_app(snapshot, "app", protocol, trusting(cas), &at);
        };
        let mut proxy = proxy(stack, 1, |snapshot| put(snapshot, &[&ca, &other])).await;
        let port = proxy.port;
        let waiting = [(); 3].map(|()| tokio::spawn(async move { ask(port, "/app").await }));
        settle().await;
        let old = witness.made();
        witness.delay(Duration::ZERO);
        proxy.change(|snapshot| put(snapshot, &[&ca])).await;
        for waiting in waiting {
            let seen = waiting.await.unwrap();
            assert_eq!(seen.status, 200);
            assert!(seen.connection > old, "{protocol:?}: {seen:?}, of the old policy were {old}");
        }
    }
}

pub async fn connections_to_endpoints_that_left_end_too(stack: TlsStack) {
    let (ca, other) = (Ca::new(), Ca::new());
    let leaf = ca.leaf(&["app.internal"]);
    let (gone, stays) = (Witness::start(&leaf, None).await, Witness::start(&leaf, None).await);
    let put = |snapshot: &mut Snapshot, cas: &[&Ca], witness: &Witness| {
        put_app(snapshot, "app", AppProtocol::Unspecified, trusting(cas), &[witness.address]);
    };
    let mut proxy = proxy(stack, 1, |snapshot| put(snapshot, &[&ca, &other], &gone)).await;
    // Nobody reads it, so nobody asks for more of it either.
    let _unread = start(proxy.port, "/app/flood").await;
    settle().await;
    proxy.change(|snapshot| put(snapshot, &[&ca, &other], &stays)).await;
    assert_eq!(ask(proxy.port, "/app").await.status, 200);
    assert_eq!(gone.open().len(), 1, "an endpoint that leaves lets its requests end");
    proxy.change(|snapshot| put(snapshot, &[&ca], &stays)).await;
    tokio::time::sleep(PROMISE).await;
    assert_eq!(gone.open().len(), 0);
}

pub async fn of_backends_with_one_policy_only_the_one_that_lost_trust_is_cut(stack: TlsStack) {
    let (ca, other, third) = (Ca::new(), Ca::new(), Ca::new());
    let witness = Witness::start(&ca.leaf(&["app.internal"]), None).await;
    let put = |snapshot: &mut Snapshot, name: &str, cas: &[&Ca]| {
        put_app(snapshot, name, AppProtocol::Unspecified, trusting(cas), &[witness.address]);
    };
    let mut proxy = proxy(stack, 1, |snapshot| {
        put(snapshot, "shrinks", &[&ca, &other]);
        put(snapshot, "grows", &[&ca, &other]);
    })
    .await;
    let shrinks = read(start(proxy.port, "/shrinks/endless").await);
    let grows = read(start(proxy.port, "/grows/endless").await);
    settle().await;
    // Nobody has the old policy any more, and one of the two still has a right to what it began.
    proxy
        .change(|snapshot| {
            put(snapshot, "shrinks", &[&ca]);
            put(snapshot, "grows", &[&ca, &other, &third]);
        })
        .await;
    tokio::time::sleep(PROMISE).await;
    assert!(shrinks.is_finished() && !grows.is_finished());
}

pub async fn copies_for_a_mirror_end_too(stack: TlsStack) {
    let (ca, other) = (Ca::new(), Ca::new());
    let leaf = ca.leaf(&["app.internal"]);
    let (primary, mirror) = (Witness::start(&leaf, None).await, Witness::start(&leaf, None).await);
    let put = |snapshot: &mut Snapshot, name: &str, cas: &[&Ca]| {
        put_app(snapshot, name, AppProtocol::Unspecified, trusting(cas), &[mirror.address]);
    };
    let mut proxy = proxy(stack, 1, |snapshot| {
        // The endpoint stays in force for another backend: its connections are not all ended.
        put(snapshot, "other", &[&ca, &other]);
        put(snapshot, "mirror", &[&ca, &other]);
        put_backend(snapshot, "app", &[primary.address]);
        let mut rule = rule("app", "/app", &["app"]);
        rule.filters = vec![HttpFilter::Mirror(Mirror {
            target: BackendTarget::Backend(backend_key("mirror")),
            fraction: Fraction { numerator: 1, denominator: 1 },
        })];
        put_rule(snapshot, rule);
    })
    .await;
    let _primary = [get(proxy.port, "/app/never"), get(proxy.port, "/app/endless")];
    settle().await;
    assert_eq!(mirror.open().len(), 2);
    proxy.change(|snapshot| put(snapshot, "mirror", &[&ca])).await;
    tokio::time::sleep(PROMISE).await;
    assert_eq!(mirror.open().len(), 0);
}
