use std::net::SocketAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lasthop_dataplane_api::{
    AppProtocol, Backend, BackendKey, BackendTls, Changes, Endpoint, HttpRule, Listener, ListenerProtocol,
    ListenerTls, PlaintextReason, RouteKey, RouteKind, RuleKey, SessionCarrier, SessionPersistence, Timeouts,
};
use lasthop_tls_verify::CertifiedKey;

use super::*;

fn gateway(name: &str) -> ObjectName {
    ObjectName::new("n", name)
}

fn certificate() -> Arc<CertifiedKey> {
    let key = rcgen::KeyPair::generate().unwrap();
    let cert = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    Arc::new(CertifiedKey::from_pem(cert.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap())
}

fn listener(gateway_name: &str, certificate: &Arc<CertifiedKey>) -> (ListenerKey, Option<Arc<Listener>>) {
    let key = ListenerKey { gateway: gateway(gateway_name), set: None, name: "l".into() };
    let listener = Listener {
        key: key.clone(),
        port: 443,
        addresses: Vec::new(),
        protocol: ListenerProtocol::HTTPS,
        hostname: None,
        tls: Some(ListenerTls { certificates: vec![certificate.clone()], client_validation: None }),
        proxy_protocol: false,
    };
    (key, Some(Arc::new(listener)))
}

fn endpoints_key(service: &str) -> EndpointsKey {
    EndpointsKey::service(ObjectName::new("n", service), 443)
}

fn backend(gateway_name: &str, service: &str) -> (BackendKey, Option<Arc<Backend>>) {
    let key = BackendKey { gateway: gateway(gateway_name), endpoints: endpoints_key(service) };
    let tls = BackendTls::Plaintext(PlaintextReason::NoPolicy);
    let protocol = AppProtocol::Unspecified;
    (key.clone(), Some(Arc::new(Backend { key, protocol, tls, proxy_protocol: false })))
}

fn endpoints(service: &str, last: u8) -> (EndpointsKey, Option<Arc<EndpointSet>>) {
    let key = endpoints_key(service);
    let endpoints = vec![Endpoint { address: SocketAddr::from(([10, 0, 0, last], 1)) }];
    (key.clone(), Some(Arc::new(EndpointSet { key, endpoints, hostname: None })))
}

fn apply(world: &mut World, update: Update) {
    world.apply(Prepared::new(&Update { version: world.version + 1, ..update }));
}

/// What a proxy of the Gateway gets that has nothing: names, and all of the bytes.
fn given(world: &mut World, name: &str) -> (Vec<String>, String) {
    let all = world.shelf(&gateway(name)).since_versions(&HashMap::new());
    let mut names: Vec<String> = all.changed.iter().map(|entry| entry.name.to_string()).collect();
    names.sort();
    let bytes = all.changed.iter().flat_map(|entry| entry.to_resource().resource.unwrap().value).collect();
    (names, String::from_utf8(bytes).unwrap())
}

#[test]
fn a_secret_goes_to_its_own_gateway_alone() {
    let mut world = World::default();
    let (a, b) = (certificate(), certificate());
    let listeners = Changes(vec![listener("a", &a), listener("b", &b)]);
    apply(&mut world, Update { listeners, ..Update::default() });
    let (key_a, key_b) = (STANDARD.encode(a.key().secret_der()), STANDARD.encode(b.key().secret_der()));
    for (name, own, other) in [("a", &key_a, &key_b), ("b", &key_b, &key_a)] {
        let (names, bytes) = given(&mut world, name);
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(bytes.contains(own) && !bytes.contains(other));
    }
    assert!(given(&mut world, "c").0.is_empty());
}

#[test]
fn a_secret_goes_when_nobody_names_it_any_more() {
    let mut world = World::default();
    let (old, new) = (certificate(), certificate());
    let update = |listener| Update { listeners: Changes(vec![listener]), ..Update::default() };
    apply(&mut world, update(listener("a", &old)));
    let generation = world.shelf(&gateway("a")).generation();
    apply(&mut world, update(listener("a", &new)));
    let change = world.shelf(&gateway("a")).since(generation).unwrap();
    let old_name = Kind::Certificate.name(&crate::kind::hex(&old.id()));
    assert_eq!(change.removed, [old_name]);
    assert_eq!(change.changed.len(), 2);
    drop(change);
    assert!(!given(&mut world, "a").1.contains(&STANDARD.encode(old.key().secret_der())));
    // Two Gateways share one, and one of them stops.
    apply(&mut world, update(listener("b", &new)));
    apply(&mut world, update((listener("a", &new).0, None)));
    assert!(given(&mut world, "b").1.contains(&STANDARD.encode(new.key().secret_der())));
    assert!(given(&mut world, "a").0.is_empty());
    assert_eq!(world.blobs.len(), 1);
    apply(&mut world, update((listener("b", &new).0, None)));
    assert_eq!((world.blobs.len(), world.gateways()), (0, 0), "nothing is kept of what is gone");
}

#[test]
fn endpoints_go_where_a_backend_leads_to_them() {
    let mut world = World::default();
    let update = Update {
        backends: Changes(vec![backend("a", "s")]),
        endpoints: Changes(vec![endpoints("s", 1), endpoints("t", 1)]),
        ..Update::default()
    };
    apply(&mut world, update);
    assert_eq!(given(&mut world, "a").0, ["Backend/n/s:443 via n/a", "Endpoints/n/s:443"]);
    // Endpoints that were there before their backend.
    apply(&mut world, Update { backends: Changes(vec![backend("b", "t")]), ..Update::default() });
    assert_eq!(given(&mut world, "b").0, ["Backend/n/t:443 via n/b", "Endpoints/n/t:443"]);
    // Endpoints that come later, that change, and that go.
    apply(&mut world, Update { backends: Changes(vec![backend("b", "u")]), ..Update::default() });
    apply(&mut world, Update { endpoints: Changes(vec![endpoints("u", 7)]), ..Update::default() });
    assert!(given(&mut world, "b").1.contains("10.0.0.7"));
    apply(&mut world, Update { endpoints: Changes(vec![endpoints("u", 8)]), ..Update::default() });
    assert!(given(&mut world, "b").1.contains("10.0.0.8"));
    let gone = Changes(vec![(endpoints_key("u"), None)]);
    apply(&mut world, Update { endpoints: gone, ..Update::default() });
    assert!(!given(&mut world, "b").0.contains(&"Endpoints/n/u:443".to_owned()));
    let gone = Changes(vec![(backend("b", "t").0, None)]);
    apply(&mut world, Update { backends: gone, ..Update::default() });
    assert_eq!(given(&mut world, "b").0, ["Backend/n/u:443 via n/b"]);
    assert_eq!(given(&mut world, "a").0.len(), 2);
}

#[test]
fn what_did_not_change_is_no_change() {
    let mut world = World::default();
    let update = || Update { endpoints: Changes(vec![endpoints("s", 1)]), ..Update::default() };
    apply(&mut world, Update { backends: Changes(vec![backend("a", "s")]), ..update() });
    let generation = world.shelf(&gateway("a")).generation();
    apply(&mut world, update());
    assert_eq!(world.shelf(&gateway("a")).generation(), generation);
    assert!(world.shelf(&gateway("a")).since(generation).unwrap().is_empty());
    assert!(world.shelf(&gateway("a")).since(0).is_some());
}

/// A rule of the Gateway that keeps clients' sessions, or not.
fn rule(gateway_name: &str, keeps: bool) -> (RuleKey, Option<Arc<HttpRule>>) {
    let route = RouteKey { kind: RouteKind::HTTPRoute, object: ObjectName::new("n", "r") };
    let key = RuleKey { route, gateway: gateway(gateway_name), index: 0 };
    let carrier = SessionCarrier::Header { name: "s".into() };
    let rule = HttpRule {
        key: key.clone(),
        name: None,
        created: 0,
        attachments: Vec::new(),
        matches: Vec::new(),
        filters: Vec::new(),
        backends: Vec::new(),
        timeouts: Timeouts::default(),
        retry: None,
        persistence: keeps.then_some(SessionPersistence { carrier, absolute_timeout: None }),
    };
    (key, Some(Arc::new(rule)))
}

#[test]
fn gateways_that_keep_sessions_get_a_secret_of_their_own() {
    let secret = |world: &mut World, name: &str| {
        let all = world.shelf(&gateway(name)).since_versions(&HashMap::new());
        let mut found = all.changed.iter().filter(|entry| entry.name.starts_with("SessionSecret/"));
        found.next().map(|entry| entry.to_resource().resource.unwrap().value)
    };
    let keeping = |keeps: bool| Update {
        http_rules: Changes(vec![rule("a", keeps), rule("b", keeps), rule("c", false)]),
        ..Update::default()
    };
    let mut world = World::default();
    apply(&mut world, keeping(true));
    assert_eq!(secret(&mut world, "a"), None, "nobody gave one");
    let before = world.shelf(&gateway("a")).generation();
    world.set_session_master(SessionSecret::new([1; 32]));
    let (a, b) = (secret(&mut world, "a").unwrap(), secret(&mut world, "b").unwrap());
    assert_ne!(a, b);
    assert_eq!(secret(&mut world, "c"), None, "nobody needs one");
    let told = world.shelf(&gateway("a")).since(before).unwrap();
    assert_eq!(told.changed.len(), 1);

    // Another replica gives the same; a new master another one.
    let mut other = World::default();
    other.set_session_master(SessionSecret::new([1; 32]));
    apply(&mut other, keeping(true));
    assert_eq!(secret(&mut other, "a"), Some(a.clone()));
    world.set_session_master(SessionSecret::new([2; 32]));
    assert_ne!(secret(&mut world, "a"), Some(a));

    apply(&mut world, keeping(false));
    assert_eq!(secret(&mut world, "a"), None);
}
