use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use lasthop_dataplane_api::*;
use lasthop_tls_verify::{CertifiedKey, Identity, PeerRequirements, SpkiPin, TrustAnchors, VerifyMode};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;
use crate::kind::Kind;

/// Two certificates with their keys.
fn certificates() -> &'static [(Arc<CertifiedKey>, Arc<TrustAnchors>)] {
    static MADE: OnceLock<Vec<(Arc<CertifiedKey>, Arc<TrustAnchors>)>> = OnceLock::new();
    MADE.get_or_init(|| {
        let one = || {
            let key = rcgen::KeyPair::generate().unwrap();
            let cert =
                rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
            let (pem, key) = (cert.pem(), key.serialize_pem());
            let certified = CertifiedKey::from_pem(pem.as_bytes(), key.as_bytes()).unwrap();
            (Arc::new(certified), Arc::new(TrustAnchors::from_pem(pem.as_bytes()).unwrap().0))
        };
        let stapled = CertifiedKey::new(one().0.chain().to_vec(), one().0.key().clone_key());
        assert!(stapled.is_err(), "a key of another certificate is none of it");
        let (plain, anchors) = one();
        let key = plain.key().clone_key();
        let stapled = CertifiedKey::new(plain.chain().to_vec(), key).unwrap().with_ocsp(vec![1, 2, 3]);
        vec![one(), (Arc::new(stapled), anchors)]
    })
}

fn text() -> impl Strategy<Value = Arc<str>> {
    "[ -~äß\\\\\"]{0,12}".prop_map(Arc::from)
}

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?"
}

fn object() -> impl Strategy<Value = ObjectName> {
    (name(), name()).prop_map(|(namespace, name)| ObjectName::new(namespace, name))
}

fn listener_key() -> impl Strategy<Value = ListenerKey> {
    (object(), option::of(object()), name()).prop_map(|(gateway, set, name)| ListenerKey {
        gateway,
        set,
        name: name.into(),
    })
}

fn endpoints_key() -> impl Strategy<Value = EndpointsKey> {
    let kind = select(vec![BackendKind::Service, BackendKind::XBackend]);
    let transport = select(vec![Transport::TCP, Transport::UDP]);
    (kind, object(), any::<u16>(), transport).prop_map(|(kind, object, port, transport)| EndpointsKey {
        kind,
        object,
        port,
        transport,
    })
}

fn backend_key() -> impl Strategy<Value = BackendKey> {
    (object(), endpoints_key()).prop_map(|(gateway, endpoints)| BackendKey { gateway, endpoints })
}

fn rule_key() -> impl Strategy<Value = RuleKey> {
    let kinds =
        ["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"].map(|kind| kind.parse().unwrap());
    (select(kinds.to_vec()), object(), object(), any::<u32>()).prop_map(|(kind, object, gateway, index)| {
        RuleKey { route: RouteKey { kind, object }, gateway, index }
    })
}

fn host() -> impl Strategy<Value = HostPattern> {
    "(\\*\\.)?[a-z]{1,5}\\.[a-z]{2,5}".prop_map(|text| text.parse().unwrap())
}

fn attachments() -> impl Strategy<Value = Vec<Attachment>> {
    let hosts = (host(), host()).prop_map(|(own, effective)| AttachedHost { own, effective });
    vec((listener_key(), vec(hosts, 0..3)), 0..3)
        .prop_map(|all| all.into_iter().map(|(listener, hosts)| Attachment { listener, hosts }).collect())
}

fn target() -> impl Strategy<Value = BackendTarget> {
    prop_oneof![
        backend_key().prop_map(BackendTarget::Backend),
        (text(), text())
            .prop_map(|(reason, reference)| BackendTarget::Invalid(InvalidBackend { reason, reference })),
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    (0..100_000_u64, 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

fn modifier() -> impl Strategy<Value = HeaderModifier> {
    let value = || (text(), text()).prop_map(|(name, value)| HeaderValue { name, value });
    (vec(value(), 0..2), vec(value(), 0..2), vec(text(), 0..2))
        .prop_map(|(set, add, remove)| HeaderModifier { set, add, remove })
}

fn path_modifier() -> impl Strategy<Value = PathModifier> {
    prop_oneof![
        text().prop_map(PathModifier::ReplaceFullPath),
        text().prop_map(PathModifier::ReplacePrefixMatch)
    ]
}

fn filter() -> impl Strategy<Value = HttpFilter> {
    let redirect = (
        option::of(text()),
        option::of(text()),
        option::of(path_modifier()),
        option::of(1..u16::MAX),
        301..309_u16,
    )
        .prop_map(|(scheme, hostname, path, port, status)| Redirect {
            scheme,
            hostname,
            path,
            port,
            status,
        });
    let rewrite = (option::of(text()), option::of(path_modifier()))
        .prop_map(|(hostname, path)| UrlRewrite { hostname, path });
    let mirror = (target(), any::<u32>(), 1..u32::MAX).prop_map(|(target, numerator, denominator)| Mirror {
        target,
        fraction: Fraction { numerator, denominator },
    });
    let origin = prop_oneof![
        Just(CorsOrigin::Any),
        (text(), host(), option::of(any::<u16>())).prop_map(|(scheme, host, port)| CorsOrigin::Origin {
            scheme,
            host,
            port
        }),
    ];
    let cors = (
        vec(origin, 0..3),
        any::<bool>(),
        vec(text(), 0..2),
        vec(text(), 0..2),
        vec(text(), 0..2),
        duration(),
    )
        .prop_map(
            |(allow_origins, allow_credentials, allow_methods, allow_headers, expose_headers, max_age)| {
                Cors {
                    allow_origins,
                    allow_credentials,
                    allow_methods,
                    allow_headers,
                    expose_headers,
                    max_age,
                }
            },
        );
    let protocol = prop_oneof![
        vec(text(), 0..3).prop_map(|headers| AuthProtocol::Grpc { headers }),
        (text(), vec(text(), 0..3), vec(text(), 0..3)).prop_map(|(path, headers, answer_headers)| {
            AuthProtocol::Http { path, headers, answer_headers }
        }),
    ];
    let auth = (target(), protocol, any::<u32>()).prop_map(|(target, protocol, body_bytes)| ExternalAuth {
        target,
        protocol,
        body_bytes,
    });
    prop_oneof![
        auth.prop_map(HttpFilter::ExternalAuth),
        modifier().prop_map(HttpFilter::RequestHeaders),
        modifier().prop_map(HttpFilter::ResponseHeaders),
        redirect.prop_map(HttpFilter::Redirect),
        rewrite.prop_map(HttpFilter::Rewrite),
        mirror.prop_map(HttpFilter::Mirror),
        cors.prop_map(HttpFilter::Cors),
        text().prop_map(|message| HttpFilter::Invalid { message }),
    ]
}

fn http_match() -> impl Strategy<Value = HttpMatch> {
    let path = prop_oneof![
        text().prop_map(PathMatch::Exact),
        text().prop_map(PathMatch::Prefix),
        text().prop_map(PathMatch::Regex),
    ];
    let pair = || {
        let value = prop_oneof![text().prop_map(StringMatch::Exact), text().prop_map(StringMatch::Regex)];
        vec((text(), value).prop_map(|(name, value)| KeyValueMatch { name, value }), 0..3)
    };
    (option::of(path), option::of(text()), pair(), pair())
        .prop_map(|(path, method, headers, query)| HttpMatch { path, method, headers, query })
}

fn http_rule() -> impl Strategy<Value = HttpRule> {
    let backend = (any::<u32>(), target(), vec(filter(), 0..2))
        .prop_map(|(weight, target, filters)| WeightedBackend { weight, target, filters });
    let timeouts = (option::of(duration()), option::of(duration()))
        .prop_map(|(request, backend_request)| Timeouts { request, backend_request });
    let retry = (any::<u32>(), vec(any::<u16>(), 0..3), option::of(duration()))
        .prop_map(|(attempts, codes, backoff)| Retry { attempts, codes, backoff });
    let carrier = prop_oneof![
        (text(), text(), any::<bool>()).prop_map(|(name, path, permanent)| SessionCarrier::Cookie {
            name,
            path,
            permanent
        }),
        text().prop_map(|name| SessionCarrier::Header { name }),
    ];
    let persistence = (carrier, option::of(duration()))
        .prop_map(|(carrier, absolute_timeout)| SessionPersistence { carrier, absolute_timeout });
    let head = (rule_key(), option::of(text()), any::<i64>(), attachments(), vec(http_match(), 0..3));
    let tail = (option::of(retry), option::of(persistence));
    (head, vec(filter(), 0..3), vec(backend, 0..3), timeouts, tail).prop_map(
        |((key, name, created, attachments, matches), filters, backends, timeouts, (retry, persistence))| {
            HttpRule {
                key,
                name,
                created,
                attachments,
                matches,
                filters,
                backends,
                timeouts,
                retry,
                persistence,
            }
        },
    )
}

fn l4_rule() -> impl Strategy<Value = L4Rule> {
    let backend = (any::<u32>(), target()).prop_map(|(weight, target)| L4Backend { weight, target });
    (rule_key(), option::of(text()), any::<i64>(), attachments(), vec(backend, 0..3)).prop_map(
        |(key, name, created, attachments, backends)| L4Rule { key, name, created, attachments, backends },
    )
}

fn endpoint_set() -> impl Strategy<Value = EndpointSet> {
    let endpoint = any::<SocketAddr>().prop_map(|mut address| {
        // Neither is part of the text form of an address, nor of a Kubernetes endpoint.
        if let SocketAddr::V6(v6) = &mut address {
            v6.set_flowinfo(0);
            v6.set_scope_id(0);
        }
        Endpoint { address }
    });
    (endpoints_key(), vec(endpoint, 0..4), option::of(text()))
        .prop_map(|(key, endpoints, hostname)| EndpointSet { key, endpoints, hostname })
}

fn certified() -> impl Strategy<Value = Arc<CertifiedKey>> {
    (0..2_usize).prop_map(|n| certificates()[n].0.clone())
}

fn anchors() -> impl Strategy<Value = Arc<TrustAnchors>> {
    (0..2_usize).prop_map(|n| certificates()[n].1.clone())
}

fn listener() -> impl Strategy<Value = Listener> {
    use ListenerProtocol::{HTTP, HTTPS, TCP, TLS, UDP};
    let modes = [ClientValidationMode::AllowValidOnly, ClientValidationMode::AllowInsecureFallback];
    let validation =
        (anchors(), select(modes.to_vec())).prop_map(|(anchors, mode)| ClientValidation { anchors, mode });
    let tls = (vec(certified(), 1..3), option::of(validation))
        .prop_map(|(certificates, client_validation)| ListenerTls { certificates, client_validation });
    let addresses = vec(any::<IpAddr>(), 0..3);
    let protocol = select(vec![HTTP, HTTPS, TLS, TCP, UDP]);
    let head = (listener_key(), any::<u16>(), addresses, protocol);
    (head, option::of(host()), option::of(tls), any::<bool>()).prop_map(
        |((key, port, addresses, protocol), hostname, tls, proxy_protocol)| Listener {
            key,
            port,
            addresses,
            protocol,
            hostname,
            tls,
            proxy_protocol,
        },
    )
}

fn identity() -> impl Strategy<Value = Identity> {
    prop_oneof![
        "[a-zA-Z]{1,9}\\.example".prop_map(|name| Identity::dns(&name).unwrap()),
        any::<IpAddr>().prop_map(Identity::Ip),
        "spiffe://[a-z]{1,9}/[a-z%:]{0,9}".prop_map(|uri| Identity::uri(&uri).unwrap()),
    ]
}

fn policy() -> impl Strategy<Value = UpstreamTlsPolicy> {
    let pins = vec(any::<[u8; 32]>().prop_map(SpkiPin), 0..3);
    let crls = vec(vec(any::<u8>(), 0..9).prop_map(Arc::from), 0..3);
    let modes = select(vec![VerifyMode::Full, VerifyMode::Chain, VerifyMode::None]);
    let names = || vec(identity(), 0..3);
    let peer = (anchors(), names(), names(), modes, pins, crls, option::of(any::<u8>())).prop_map(
        |(anchors, identities, required, mode, pins, crls, max_depth)| PeerRequirements {
            anchors,
            identities,
            required,
            mode,
            pins,
            crls,
            max_depth,
        },
    );
    let sni = prop_oneof![
        Just(Sni::None),
        Just(Sni::RequestHost),
        "[a-z]{1,9}\\.example".prop_map(|name| Sni::Name(name.parse().unwrap())),
    ];
    let version = || select(vec![TlsVersion::V1_2, TlsVersion::V1_3]);
    let suites = vec(
        select(vec![
            CipherSuite::TLS_AES_128_GCM_SHA256,
            CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ]),
        0..3,
    );
    let groups = vec(select(vec![Group::X25519MLKEM768, Group::X25519, Group::Secp384r1]), 0..3);
    let head = (text(), peer, sni, option::of(certified()), version(), version());
    (head, suites, groups, vec(text(), 0..2), (any::<bool>(), option::of(text()))).prop_map(
        |(
            (source, peer, sni, client_certificate, min_version, max_version),
            cipher_suites,
            groups,
            alpn,
            (resumption, bearer_token),
        )| {
            let settings = UpstreamTlsSettings {
                peer,
                sni,
                client_certificate,
                min_version,
                max_version,
                cipher_suites,
                groups,
                alpn,
                resumption,
                bearer_token,
            };
            UpstreamTlsPolicy::new(source, settings)
        },
    )
}

fn backend() -> impl Strategy<Value = Backend> {
    use AppProtocol::{H2c, Unspecified, WebSocket, WebSocketTls};
    let refusal =
        (text(), text(), text()).prop_map(|(reason, message, policy)| Refusal { reason, message, policy });
    let tls = prop_oneof![
        select(vec![PlaintextReason::NoPolicy, PlaintextReason::ModeNone]).prop_map(BackendTls::Plaintext),
        refusal.prop_map(BackendTls::Refused),
        policy().prop_map(|policy| BackendTls::Policy(Arc::new(policy))),
    ];
    let protocol = select(vec![Unspecified, H2c, WebSocket, WebSocketTls]);
    (backend_key(), protocol, tls, any::<bool>()).prop_map(|(key, protocol, tls, proxy_protocol)| Backend {
        key,
        protocol,
        tls,
        proxy_protocol,
    })
}

/// As a proxy would get them.
fn received(sent: &[Named]) -> Blobs {
    let mut blobs = Blobs::default();
    for Named { name, blob } in sent {
        let (kind, id) = Kind::of_name(name).unwrap();
        blobs.insert(name, Blobs::read(kind, id, &blob.encode()).unwrap());
    }
    blobs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn rules_and_endpoints_come_back(http in http_rule(), l4 in l4_rule(), endpoints in endpoint_set()) {
        prop_assert_eq!(&decode_plain::<HttpRule>(&encode_plain(&http)).unwrap(), &http);
        prop_assert_eq!(&decode_plain::<L4Rule>(&encode_plain(&l4)).unwrap(), &l4);
        prop_assert_eq!(&decode_plain::<EndpointSet>(&encode_plain(&endpoints)).unwrap(), &endpoints);
    }

    #[test]
    fn what_is_not_made_use_of_is_not_said(http in http_rule(), backend in backend()) {
        for bytes in [encode_plain(&http), encode_backend(&backend).0] {
            let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert!(!has_null(&value), "{value}");
        }
    }

    #[test]
    fn listeners_come_back(listener in listener()) {
        let (bytes, blobs) = encode_listener(&listener);
        prop_assert_eq!(&decode_listener(&bytes, &received(&blobs)).unwrap(), &listener);
        if !blobs.is_empty() {
            prop_assert!(decode_listener(&bytes, &Blobs::default()).is_err());
        }
    }

    #[test]
    fn backends_come_back(backend in backend()) {
        let (bytes, blobs) = encode_backend(&backend);
        let back = decode_backend(&bytes, &received(&blobs)).unwrap();
        prop_assert_eq!(&back, &backend);
        if let (BackendTls::Policy(back), BackendTls::Policy(sent)) = (&back.tls, &backend.tls) {
            // Equal policies are those of one id; here all of them.
            prop_assert_eq!(format!("{:?}", back.settings()), format!("{:?}", sent.settings()));
            prop_assert!(decode_backend(&bytes, &Blobs::default()).is_err());
        }
    }

    #[test]
    fn whatever_comes_is_read_or_refused(bytes in vec(any::<u8>(), 0..200), kind in select(Kind::ALL.to_vec())) {
        let blobs = Blobs::default();
        let _ = decode_listener(&bytes, &blobs);
        let _ = decode_backend(&bytes, &blobs);
        let _ = decode_plain::<HttpRule>(&bytes);
        prop_assert!(Blobs::read(kind, "", &bytes).is_err());
    }

    #[test]
    fn no_field_may_be_added_anywhere(http in http_rule(), listener in listener(), backend in backend(), at in any::<prop::sample::Index>()) {
        let (listener_bytes, mut blobs) = encode_listener(&listener);
        let (backend_bytes, more) = encode_backend(&backend);
        blobs.extend(more);
        let blobs = received(&blobs);
        let with_field = |bytes: &[u8]| {
            let mut value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            let objects = count(&value);
            let mut nth = at.index(objects);
            add(&mut value, &mut nth);
            serde_json::to_vec(&value).unwrap()
        };
        prop_assert!(decode_plain::<HttpRule>(&with_field(&encode_plain(&http))).is_err());
        prop_assert!(decode_listener(&with_field(&listener_bytes), &blobs).is_err());
        prop_assert!(decode_backend(&with_field(&backend_bytes), &blobs).is_err());
        for blob in [Blob::Anchors(certificates()[0].1.clone()), Blob::Certificate(certificates()[1].0.clone())] {
            prop_assert!(Blobs::read(blob.kind(), &blob.id(), &blob.encode()).is_ok());
            prop_assert!(Blobs::read(blob.kind(), &blob.id(), &with_field(&blob.encode())).is_err());
        }
    }
}

fn has_null(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Object(fields) => fields.values().any(has_null),
        serde_json::Value::Array(items) => items.iter().any(has_null),
        other => other.is_null(),
    }
}

/// How many JSON objects there are. A length of time is left out: it is serde's own.
fn count(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Object(map) if map.contains_key("nanos") => 0,
        serde_json::Value::Object(map) => 1 + map.values().map(count).sum::<usize>(),
        serde_json::Value::Array(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}

/// Adds a field to the object of this number.
fn add(value: &mut serde_json::Value, nth: &mut usize) {
    match value {
        serde_json::Value::Object(map) if map.contains_key("nanos") => {}
        serde_json::Value::Object(map) => {
            let here = *nth == 0;
            *nth = nth.wrapping_sub(1);
            map.values_mut().for_each(|value| add(value, nth));
            if here {
                map.insert("restrict-more".to_owned(), true.into());
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|value| add(value, nth)),
        _ => {}
    }
}

#[test]
fn a_policy_that_lost_something_is_not_taken() {
    let (_, anchors) = &certificates()[0];
    let name = Identity::dns("a.example").unwrap();
    let mut peer = PeerRequirements::new(anchors.clone(), vec![name]);
    peer.pins = vec![SpkiPin([7; 32])];
    let policy = UpstreamTlsPolicy::new("n/p", UpstreamTlsSettings::new(peer, Sni::None));
    let key = BackendKey {
        gateway: ObjectName::new("n", "g"),
        endpoints: EndpointsKey::service(ObjectName::new("n", "s"), 443),
    };
    let tls = BackendTls::Policy(Arc::new(policy));
    let backend = Backend { key, protocol: AppProtocol::Unspecified, tls, proxy_protocol: false };
    let (bytes, blobs) = encode_backend(&backend);
    let mut value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    value["tls"]["Policy"]["peer"]["pins"] = serde_json::json!([]);
    let error = decode_backend(&serde_json::to_vec(&value).unwrap(), &received(&blobs)).unwrap_err();
    assert!(matches!(error, DecodeError::WrongId(_)), "{error}");
}

#[test]
fn content_that_is_not_what_it_is_named_by_is_not_taken() {
    let (first, second) = (&certificates()[0], &certificates()[1]);
    for (is, named) in [
        (Blob::Anchors(first.1.clone()), Blob::Anchors(second.1.clone())),
        (Blob::Certificate(first.0.clone()), Blob::Certificate(second.0.clone())),
        (Blob::Crl(vec![1].into()), Blob::Crl(vec![2].into())),
    ] {
        assert!(Blobs::read(is.kind(), &is.id(), &is.encode()).is_ok());
        let Err(error) = Blobs::read(is.kind(), &named.id(), &is.encode()) else { panic!("{named:?}") };
        assert!(matches!(error, DecodeError::WrongId(_)), "{error}");
    }
}
