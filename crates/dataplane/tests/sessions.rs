//! Session persistence: who stays where, and what ends it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail this way")]

mod support;

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use http::{HeaderMap, Request};
use lasthop_dataplane_api::*;
use support::{backend, client, *};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

async fn endpoints() -> Vec<backend::Backend> {
    let mut all = Vec::new();
    for name in NAMES {
        all.push(backend::fixed(name).await);
    }
    all
}

fn cookie(permanent: bool, absolute_timeout: Option<Duration>) -> SessionPersistence {
    let carrier = SessionCarrier::Cookie { name: "stay".into(), path: "/".into(), permanent };
    SessionPersistence { carrier, absolute_timeout }
}

fn header() -> SessionPersistence {
    SessionPersistence {
        carrier: SessionCarrier::Header { name: "x-session".into() },
        absolute_timeout: None,
    }
}

async fn proxy(addresses: &[SocketAddr], persistence: SessionPersistence) -> Proxy {
    Proxy::start(|snapshot| {
        put_backend(snapshot, "app", addresses);
        let mut rule = rule("app", "/", &["app"]);
        rule.persistence = Some(persistence.clone());
        put_rule(snapshot, rule);
    })
    .await
}

/// Who answered, and the head of the answer.
async fn ask(proxy: &Proxy, field: Option<(&str, &str)>) -> (String, HeaderMap) {
    let mut request = Request::get("/").header("host", "example.com");
    if let Some((name, value)) = field {
        request = request.header(name, value);
    }
    let answer = client::http1(proxy.port).await.send_request(request.body(client::empty()).unwrap()).await;
    let answer = answer.unwrap();
    let headers = answer.headers().clone();
    let (status, text) = client::read(answer).await;
    assert_eq!(status, 200);
    (text, headers)
}

/// What a client sends back of a `Set-Cookie`.
fn kept(headers: &HeaderMap) -> Option<String> {
    Some(headers.get("set-cookie")?.to_str().unwrap().split(';').next().unwrap().to_owned())
}

#[tokio::test]
async fn a_cookie_holds_a_client_at_its_endpoint() {
    let backends = endpoints().await;
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let mut proxy = proxy(&addresses, cookie(false, None)).await;
    let mut seen = BTreeSet::new();
    for _ in 0..40 {
        let (name, headers) = ask(&proxy, None).await;
        seen.insert(name.clone());
        let set = headers["set-cookie"].to_str().unwrap();
        assert!(set.starts_with("stay=") && set.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{set}");
        let cookie = kept(&headers).unwrap();
        for _ in 0..3 {
            let (again, headers) = ask(&proxy, Some(("cookie", &format!("x=1; {cookie}")))).await;
            assert_eq!(again, name);
            assert!(!headers.contains_key("set-cookie"), "the client has it");
        }
    }
    assert_eq!(seen.len(), NAMES.len(), "clients without a session are spread");

    // The endpoint goes: another one, and a new session.
    let (name, headers) = ask(&proxy, None).await;
    let cookie = kept(&headers).unwrap();
    let gone = addresses[NAMES.iter().position(|one| *one == name).unwrap()];
    let rest: Vec<_> = addresses.iter().copied().filter(|address| *address != gone).collect();
    proxy.change(|snapshot| put_backend(snapshot, "app", &rest)).await;
    let (other, headers) = ask(&proxy, Some(("cookie", &cookie))).await;
    assert_ne!(other, name);
    let new = kept(&headers).unwrap();
    assert_ne!(new, cookie);
    for _ in 0..3 {
        assert_eq!(ask(&proxy, Some(("cookie", &new))).await.0, other);
    }
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_left_for_another() {
    let good = backend::fixed("good").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\nbad")
                .await;
        }
    });
    let proxy = proxy(&[good.address, address], cookie(false, None)).await;
    let mut cookie = None;
    while cookie.is_none() {
        let (name, headers) = ask(&proxy, None).await;
        cookie = kept(&headers).filter(|_| name == "bad");
    }
    serving.abort();
    let _ = serving.await;
    let (name, headers) = ask(&proxy, Some(("cookie", &cookie.unwrap()))).await;
    assert_eq!(name, "good");
    let new = kept(&headers).expect("a new session");
    assert_eq!(ask(&proxy, Some(("cookie", &new))).await.0, "good");
}

#[tokio::test]
async fn a_header_is_echoed() {
    let backends = endpoints().await;
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let proxy = proxy(&addresses, header()).await;
    let (name, headers) = ask(&proxy, None).await;
    let session = headers["x-session"].to_str().unwrap().to_owned();
    for _ in 0..10 {
        let (again, headers) = ask(&proxy, Some(("x-session", &session))).await;
        assert_eq!((again, headers["x-session"].to_str().unwrap()), (name.clone(), session.as_str()));
    }
    let (_, headers) = ask(&proxy, Some(("x-session", "forged"))).await;
    assert_ne!(headers["x-session"], "forged");
    // It is no cookie, and no other rule's.
    assert!(!headers.contains_key("set-cookie"));
    let (_, headers) = ask(&proxy, Some(("cookie", &format!("x-session={session}")))).await;
    assert_ne!(headers["x-session"], session.as_str());
}

#[tokio::test]
async fn a_permanent_cookie_has_an_age_and_ends_with_it() {
    let backends = endpoints().await;
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let proxy = proxy(&addresses, cookie(true, Some(Duration::from_secs(2)))).await;
    let (name, headers) = ask(&proxy, None).await;
    assert!(headers["set-cookie"].to_str().unwrap().ends_with("; Max-Age=2"), "{headers:?}");
    let cookie = kept(&headers).unwrap();
    let (again, headers) = ask(&proxy, Some(("cookie", &cookie))).await;
    assert_eq!((again, kept(&headers)), (name, None));
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let (_, headers) = ask(&proxy, Some(("cookie", &cookie))).await;
    assert!(kept(&headers).is_some_and(|new| new != cookie));
}

/// Two backends of two endpoints each, by weight.
async fn split(weights: [u32; 2], persistence: SessionPersistence) -> Proxy {
    let mut addresses = Vec::new();
    for name in NAMES {
        addresses.push(backend::fixed(name).await.address);
    }
    Proxy::start(|snapshot| {
        put_backend(snapshot, "one", &addresses[..2]);
        put_backend(snapshot, "two", &addresses[2..]);
        weigh(snapshot, weights, persistence);
    })
    .await
}

fn weigh(snapshot: &mut Snapshot, weights: [u32; 2], persistence: SessionPersistence) {
    let mut rule = rule("app", "/", &["one", "two"]);
    (rule.backends[0].weight, rule.backends[1].weight) = (weights[0], weights[1]);
    rule.persistence = Some(persistence);
    put_rule(snapshot, rule);
}

/// GEP-1619: the split decides which backend, the session which endpoint of that.
#[tokio::test]
async fn a_session_leaves_the_split_alone_and_holds_at_each_backend() {
    for carrier in [cookie(false, None), header()] {
        let proxy = split([70, 30], carrier).await;
        let mut carried: Option<(&str, String)> = None;
        let mut seen = BTreeSet::new();
        let (mut at_one, mut new) = (0, 0);
        for _ in 0..400 {
            let field = carried.as_ref().map(|(name, value)| (*name, value.as_str()));
            let (name, headers) = ask(&proxy, field).await;
            at_one += u32::from(name == "a" || name == "b");
            seen.insert(name);
            let session =
                headers.get("x-session").map(|value| ("x-session", value.to_str().unwrap().to_owned()));
            let next = session.or_else(|| kept(&headers).map(|cookie| ("cookie", cookie)));
            if next.is_some() && next != carried {
                new += 1;
                carried = next;
            }
        }
        assert!((230..=330).contains(&at_one), "{at_one} of 400 instead of 70 %");
        assert_eq!(seen.len(), 2, "one endpoint of each backend: {seen:?}");
        assert_eq!(new, 2, "one session at each");
        assert!(carried.is_some_and(|(_, text)| text.len() < 200));
    }
}

#[tokio::test]
async fn what_is_no_backend_of_the_rule_any_more_is_carried_no_further() {
    let mut proxy = split([1, 0], cookie(false, None)).await;
    let (name, headers) = ask(&proxy, None).await;
    assert!(name == "a" || name == "b");
    let one = kept(&headers).unwrap();
    // A weight of nothing: the other backend, and the session stays for when it comes back.
    proxy.change(|snapshot| weigh(snapshot, [0, 1], cookie(false, None))).await;
    let (other, headers) = ask(&proxy, Some(("cookie", &one))).await;
    assert!(other == "c" || other == "d");
    let both = kept(&headers).unwrap();
    proxy.change(|snapshot| weigh(snapshot, [1, 0], cookie(false, None))).await;
    for _ in 0..5 {
        let (again, headers) = ask(&proxy, Some(("cookie", &both))).await;
        assert_eq!((again, kept(&headers)), (name.clone(), None));
    }
    // Only two is left, and its endpoints are others: what is new is as long as what was first.
    let fresh = backend::fixed("fresh").await;
    proxy
        .change(|snapshot| {
            let mut rule = rule("app", "/", &["two"]);
            rule.persistence = Some(cookie(false, None));
            put_rule(snapshot, rule);
            put_backend(snapshot, "two", &[fresh.address]);
        })
        .await;
    let (name, headers) = ask(&proxy, Some(("cookie", &both))).await;
    assert_eq!((name.as_str(), kept(&headers).unwrap().len()), ("fresh", one.len()), "{both}");
}
