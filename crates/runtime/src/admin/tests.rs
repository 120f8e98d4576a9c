use std::net::Ipv4Addr;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::state::Phase;

async fn start() -> (SocketAddr, Arc<State>) {
    let state = Arc::new(State::new("lasthop.dev/gateway"));
    let admin = Admin::bind((Ipv4Addr::LOCALHOST, 0).into(), state.clone(), Metrics::new().unwrap()).await;
    let admin = admin.unwrap();
    let address = admin.address().unwrap();
    tokio::spawn(admin.serve());
    (address, state)
}

async fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test]
async fn readiness_follows_the_phase() {
    let (address, state) = start().await;
    assert_eq!(ask(address, "GET /healthz").await.0, 200);
    assert_eq!(ask(address, "GET /readyz").await, (503, "no configuration is in force yet\n".to_owned()));
    state.set_phase(Phase::Ready);
    assert_eq!(ask(address, "GET /readyz").await.0, 200);
    state.set_phase(Phase::Draining);
    assert_eq!(ask(address, "GET /readyz").await, (503, "draining\n".to_owned()));
    assert_eq!(ask(address, "GET /healthz").await.0, 200);
}

#[tokio::test]
async fn the_pages_show_what_is_in_force() {
    let (address, state) = start().await;
    state.change_snapshot(|snapshot| snapshot.version = 7);
    let (status, body) = ask(address, "GET /snapshot?x=y").await;
    let snapshot: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &snapshot["version"]), (200, &json!(7)));
    assert_eq!(ask(address, "GET /status").await, (200, "{\"objects\":[],\"problems\":[]}".to_owned()));
    let (status, body) = ask(address, "GET /metrics").await;
    assert!(status == 200 && body.contains("lasthop_config_version 0"), "{body}");
    let (status, body) = ask(address, "GET /metric").await;
    assert!(status == 404 && body.contains("/metrics"), "{body}");
}

#[tokio::test]
async fn endpoints_are_shown_as_they_are_told() {
    use lasthop_dataplane_api::*;
    use lasthop_tls_verify::{PeerRequirements, TrustAnchors};

    let (address, _) = start().await;
    assert_eq!(ask(address, "GET /endpoints").await, (200, "[]".to_owned()));

    let state = Arc::new(State::new("lasthop.dev/gateway"));
    let admin = Admin::bind((Ipv4Addr::LOCALHOST, 0).into(), state, Metrics::new().unwrap()).await.unwrap();
    let address = admin.address().unwrap();
    let ca = rcgen::CertificateParams::new(vec![]).unwrap();
    let ca = ca.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    let anchors = Arc::new(TrustAnchors::from_der(vec![ca.der().clone()]).unwrap().0);
    let settings = UpstreamTlsSettings::new(PeerRequirements::new(anchors, Vec::new()), Sni::None);
    let policy_id = UpstreamTlsPolicy::new("app/tls", settings).id();
    let report = EndpointReport {
        backend: BackendKey {
            gateway: ObjectName::new("infra", "gw"),
            endpoints: EndpointsKey::service(ObjectName::new("app", "api"), 443),
        },
        endpoint: "10.0.0.1:8443".parse().unwrap(),
        policy: "app/tls".into(),
        policy_id,
        last: Some(Handshake {
            at: 1,
            version: TlsVersion::V1_3,
            cipher_suite: "TLS_AES_128_GCM_SHA256",
            group: Some("X25519MLKEM768"),
            resumed: true,
            certificate: Some(PresentedLeaf {
                issuer: "CN=ca".to_owned(),
                names: vec!["DNS:api".to_owned()],
                not_after: 2,
            }),
        }),
        failed: Some(FailedHandshake { at: 0, reason: "Expired", message: "expired".to_owned() }),
    };
    tokio::spawn(admin.show_endpoints(Box::new(move || vec![report.clone()])).serve());
    let (status, body) = ask(address, "GET /endpoints").await;
    let shown: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, shown[0]["policy_id"].as_str()), (200, Some(&*policy_id.to_string())));
    assert_eq!(shown[0]["backend"], "app/api:443 via infra/gw");
    let last = json!({
        "at": 1, "version": "1.3", "cipher_suite": "TLS_AES_128_GCM_SHA256", "group": "X25519MLKEM768",
        "resumed": true, "certificate": { "issuer": "CN=ca", "names": ["DNS:api"], "not_after": 2 },
    });
    assert_eq!(shown[0]["last"], last);
    assert_eq!(shown[0]["failed"]["reason"], "Expired");
}

#[tokio::test]
async fn nothing_can_be_changed_and_a_flood_is_refused() {
    let (address, _) = start().await;
    for method in ["POST", "PUT", "DELETE", "QUIT"] {
        assert_eq!(ask(address, &format!("{method} /snapshot")).await.0, 405, "{method}");
    }
    let long = "x".repeat(20_000);
    let (status, _) = ask(address, &format!("GET /{long}")).await;
    assert!(status == 431 || status == 414, "{status}");
}

#[tokio::test]
async fn a_port_in_use_is_a_clear_error() {
    let (address, state) = start().await;
    let error = Admin::bind(address, state, Metrics::new().unwrap()).await.err().unwrap().to_string();
    assert!(error.contains(&format!("cannot listen on {address}: ")), "{error}");
    assert!(error.contains("choose another address with --admin"), "{error}");
}

#[tokio::test]
async fn strangers_see_health_and_metrics_alone() {
    let state = Arc::new(State::new("lasthop.dev/gateway"));
    let pages = pages::Pages::new(state, Metrics::new().unwrap());
    let status = async |path: &str, is_here: bool| {
        let request = Request::builder().uri(path).body(()).unwrap();
        pages.answer(&request, is_here).await.status().as_u16()
    };
    for path in ["/snapshot", "/status", "/endpoints"] {
        assert_eq!((status(path, true).await, status(path, false).await), (200, 403), "{path}");
    }
    for path in ["/", "/healthz", "/metrics"] {
        assert_eq!(status(path, false).await, 200, "{path}");
    }
    assert_eq!(status("/readyz", false).await, 503);
}

#[test]
fn nobody_alone_takes_all_connections() {
    let callers = Arc::new(Callers::default());
    let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse::<IpAddr>().unwrap());
    let mut held: Vec<Caller> = (0..OF_ONE).map(|_| Caller::come(&callers, one).unwrap()).collect();
    assert!(Caller::come(&callers, one).is_none());
    assert!(Caller::come(&callers, other).is_some(), "others are let in");
    held.pop();
    assert!(Caller::come(&callers, one).is_some());
    held.clear();
    assert!(callers.lock().unwrap().is_empty());
}
