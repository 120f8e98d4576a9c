use bytes::Bytes;
use lasthop_dataplane_api::{
    AppProtocol, Backend, BackendTls, EndpointsKey, HttpMatch, ObjectName, PlaintextReason, RouteKey,
    RouteKind, RuleKey, Sni, Timeouts, UpstreamTlsPolicy, UpstreamTlsSettings,
};
use lasthop_tls_verify::{Identity, PeerRequirements, TrustAnchors};
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::wire::{Named, encode_backend, encode_plain};

fn rule(name: &str) -> HttpRule {
    let route = RouteKey { kind: RouteKind::HTTPRoute, object: ObjectName::new("n", name) };
    HttpRule {
        key: RuleKey { route, gateway: ObjectName::new("n", "g"), index: 0 },
        name: None,
        created: 0,
        attachments: Vec::new(),
        matches: vec![HttpMatch::default()],
        filters: Vec::new(),
        backends: Vec::new(),
        timeouts: Timeouts::default(),
        retry: None,
        persistence: None,
    }
}

fn backend_key() -> BackendKey {
    let endpoints = EndpointsKey::service(ObjectName::new("n", "s"), 443);
    BackendKey { gateway: ObjectName::new("n", "g"), endpoints }
}

fn backend(tls: BackendTls) -> Backend {
    Backend { key: backend_key(), protocol: AppProtocol::Unspecified, tls, proxy_protocol: false }
}

fn policy() -> BackendTls {
    let key = rcgen::KeyPair::generate().unwrap();
    let ca = rcgen::CertificateParams::new(["ca".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (anchors, _) = TrustAnchors::from_pem(ca.pem().as_bytes()).unwrap();
    let peer = PeerRequirements::new(Arc::new(anchors), vec![Identity::dns("a.example").unwrap()]);
    BackendTls::Policy(Arc::new(UpstreamTlsPolicy::new("n/p", UpstreamTlsSettings::new(peer, Sni::None))))
}

fn resource(kind: Kind, key: &dyn std::fmt::Display, value: Bytes) -> Resource {
    let resource = Some(Any { type_url: kind.type_url(), value });
    Resource { name: kind.name(key).to_string(), version: "1".to_owned(), resource }
}

fn rule_resource(name: &str) -> Resource {
    let rule = rule(name);
    resource(Kind::HttpRule, &rule.key, encode_plain(&rule))
}

fn backend_resources(backend: &Backend) -> Vec<Resource> {
    let (bytes, blobs) = encode_backend(backend);
    // What others refer to comes last, to show that the order does not matter.
    let blobs = blobs.iter().map(|Named { blob, .. }| resource(blob.kind(), &blob.id(), blob.encode()));
    [resource(Kind::Backend, &backend.key, bytes)].into_iter().chain(blobs).collect()
}

fn response(resources: Vec<Resource>, removed: &[&str]) -> DeltaDiscoveryResponse {
    DeltaDiscoveryResponse {
        type_url: SNAPSHOT.to_owned(),
        resources,
        removed_resources: removed.iter().map(|name| (*name).to_owned()).collect(),
        ..DeltaDiscoveryResponse::default()
    }
}

/// Adds a field to a resource.
fn extended(mut resource: Resource) -> Resource {
    let any = resource.resource.as_mut().unwrap();
    let mut value: serde_json::Value = serde_json::from_slice(&any.value).unwrap();
    value["restrict-more"] = true.into();
    any.value = serde_json::to_vec(&value).unwrap().into();
    resource
}

#[test]
fn one_resource_that_is_not_understood_refuses_all_of_it() {
    let mut held = Held::default();
    held.take(&response(vec![rule_resource("there")], &[])).unwrap();
    let versions = held.versions().clone();
    let gone = Kind::HttpRule.name(&rule("there").key);

    let other_type = Resource {
        resource: Some(Any { type_url: "type.lasthop.dev/v2.HttpRule".to_owned(), value: Bytes::new() }),
        ..rule_resource("x")
    };
    let unknown_kind = Resource { name: "Wasm/x".to_owned(), ..rule_resource("x") };
    let other_name = Resource { name: rule_resource("y").name, ..rule_resource("x") };
    let empty = Resource { resource: None, ..rule_resource("x") };
    let plain = backend(BackendTls::Plaintext(PlaintextReason::NoPolicy));
    let with_policy = backend_resources(&backend(policy()));
    for (bad, told) in [
        (extended(rule_resource("x")), "restrict-more"),
        (extended(backend_resources(&plain).remove(0)), "restrict-more"),
        (extended(with_policy[1].clone()), "restrict-more"),
        (with_policy[0].clone(), "did not come with it"),
        (other_type, "v2.HttpRule"),
        (unknown_kind, "Wasm/x"),
        (other_name, "its key is"),
        (empty, "none"),
        (rule_resource("good"), "twice"),
    ] {
        let update = response(vec![rule_resource("good"), bad], &[&gone]);
        let refused = held.take(&update).unwrap_err().to_string();
        assert!(refused.contains(told), "{told}: {refused}");
        assert_eq!(held.versions(), &versions, "nothing was taken");
    }
    // The same without the bad one is taken, and the count shows that nothing was before.
    let update = held.take(&response(vec![rule_resource("good")], &[&gone])).unwrap();
    assert_eq!((update.version, update.http_rules.0.len()), (2, 2));
}

#[test]
fn what_others_refer_to_comes_stays_and_goes() {
    let mut held = Held::default();
    let with_policy = backend(policy());
    let resources = backend_resources(&with_policy);
    let anchors = resources[1].name.clone();
    let update = held.take(&response(resources.clone(), &[])).unwrap();
    assert_eq!(update.backends.0, [(backend_key(), Some(Arc::new(with_policy.clone())))]);
    // It is there already.
    held.take(&response(vec![resources[0].clone()], &[])).unwrap();
    let plain = backend(BackendTls::Plaintext(PlaintextReason::NoPolicy));
    held.take(&response(backend_resources(&plain), &[&anchors])).unwrap();
    assert!(held.take(&response(vec![resources[0].clone()], &[])).is_err(), "it is gone");
}

#[test]
fn what_goes_is_removed_once() {
    let mut held = Held::default();
    held.take(&response(vec![rule_resource("a"), rule_resource("b")], &[])).unwrap();
    let (a, c) = (Kind::HttpRule.name(&rule("a").key), Kind::HttpRule.name(&rule("c").key));
    let update = held.take(&response(Vec::new(), &[&a, &c])).unwrap();
    assert_eq!(update.http_rules.0, [(rule("a").key, None)], "what is not there need not go");
    assert!(held.take(&response(vec![rule_resource("b")], &[&Kind::HttpRule.name(&rule("b").key)])).is_err());
    assert!(held.take(&response(Vec::new(), &["nothing"])).is_err());
    assert!(
        held.take(&DeltaDiscoveryResponse { type_url: "x".into(), ..response(Vec::new(), &[]) }).is_err()
    );
}

proptest! {
    #[test]
    fn whatever_comes_is_taken_as_a_whole_or_not_at_all(
        parts in vec((select(Kind::ALL.to_vec()), "[a-z/:0-9 ]{0,20}", vec(any::<u8>(), 0..40)), 1..4),
        removed in vec("[A-Za-z4/:0-9 ]{0,20}", 0..3),
    ) {
        let mut held = Held::default();
        held.take(&response(vec![rule_resource("there")], &[])).unwrap();
        let before = held.versions().clone();
        let resources = parts.into_iter().map(|(kind, key, bytes)| resource(kind, &key, bytes.into())).collect();
        let removed: Vec<&str> = removed.iter().map(String::as_str).collect();
        prop_assert!(held.take(&response(resources, &removed)).is_err());
        prop_assert_eq!(held.versions(), &before);
    }
}
