//! Handshakes with backends: versions, suites, groups, server names, protocols, sessions, client certificates.

use std::net::SocketAddr;

use lasthop_dataplane_api::{CipherSuite, Group, Sni, TlsVersion, UpstreamTlsPolicy};
use lasthop_tls_backends::{Alpn, PolicyError, TlsStream, classify_io};
use lasthop_tls_verify::{Identity, SpkiPin, TlsError, VerifyMode};
use rustls::version::{TLS12, TLS13};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    client::{HOST, compile, connect, connect_for, exchange, settings, stack},
    peer::{Peer, config, config_with, provider},
    pki::{Ca, Chain, leaf_params},
};

fn pki() -> (Ca, Chain) {
    let ca = Ca::new("ca");
    let chain = ca.leaf(&["DNS:backend.example"]);
    (ca, chain)
}

#[tokio::test]
async fn a_verified_backend_answers() {
    let (ca, chain) = pki();
    let mut server = config(&chain, None);
    server.alpn_protocols = vec![b"h2".to_vec()];
    let mut peer = Peer::new(server).await;
    let policy = compile(settings(ca.anchors()));
    let (mut stream, info) = connect(&policy, peer.address, &[Alpn::Http2, Alpn::Http1]).await.unwrap();
    assert_eq!((info.version, info.alpn, info.resumed), (TlsVersion::V1_3, Some(Alpn::Http2), false));
    assert_eq!(info.group, Some("X25519MLKEM768"));
    assert!(info.cipher_suite.starts_with("TLS_"), "{}", info.cipher_suite);
    assert_eq!(stream.tcp().peer_addr().unwrap(), peer.address);
    exchange(&mut stream).await.unwrap();
    let hello = peer.handshake().await.unwrap();
    assert_eq!(hello.sni.as_deref(), Some(HOST));
    assert_eq!(hello.alpn.as_deref(), Some(&b"h2"[..]));
    assert_eq!(hello.client, None);
}

#[tokio::test]
async fn a_mismatch_says_what_was_expected_and_what_came() {
    let ca = Ca::new("ca");
    let peer = Peer::new(config(&ca.leaf(&["DNS:a.example", "IP:10.0.0.1", "URI:spiffe://a/b"]), None)).await;
    let mut settings = settings(ca.anchors());
    settings.peer.required = vec![Identity::uri("spiffe://a/c").unwrap()];
    let error = connect(&compile(settings), peer.address, &[]).await.err().unwrap();
    let expected = TlsError::NameMismatch {
        expected: vec![Identity::dns(HOST).unwrap()],
        required: vec![Identity::uri("spiffe://a/c").unwrap()],
        presented: vec!["DNS:a.example".into(), "IP:10.0.0.1".into(), "URI:spiffe://a/b".into()],
    };
    assert_eq!(error, expected);
}

#[tokio::test]
async fn versions_are_what_the_policy_says() {
    let (ca, chain) = pki();
    let both = Peer::new(config(&chain, None)).await;
    let old = Peer::new(config_with(provider(), &[&TLS12], &chain, None)).await;
    let new = Peer::new(config_with(provider(), &[&TLS13], &chain, None)).await;
    let of = |min, max| {
        let mut settings = settings(ca.anchors());
        (settings.min_version, settings.max_version) = (min, max);
        compile(settings)
    };
    let version = async |policy, address| Ok((connect(&policy, address, &[]).await?).1.version);
    let (v2, v3) = (TlsVersion::V1_2, TlsVersion::V1_3);
    assert_eq!(version(of(v2, v2), both.address).await, Ok(v2));
    assert_eq!(version(of(v3, v3), both.address).await, Ok(v3));
    assert_eq!(version(of(v2, v3), old.address).await, Ok(v2));
    assert_eq!(version(of(v2, v3), new.address).await, Ok(v3));
    assert_eq!(version(of(v2, v2), new.address).await, Err(TlsError::NoCommonVersion));
    assert_eq!(version(of(v3, v3), old.address).await, Err(TlsError::NoCommonVersion));
}

#[tokio::test]
async fn groups_are_what_the_policy_says() {
    let (ca, chain) = pki();
    let peer = Peer::new(config(&chain, None)).await;
    for (group, name) in [
        (Group::X25519MLKEM768, "X25519MLKEM768"),
        (Group::X25519, "x25519"),
        (Group::Secp256r1, "secp256r1"),
        (Group::Secp384r1, "secp384r1"),
    ] {
        let mut settings = settings(ca.anchors());
        settings.groups = vec![group];
        let (_, info) = connect(&compile(settings), peer.address, &[]).await.unwrap();
        assert_eq!(info.group, Some(name));
    }
    let mut poor = provider();
    poor.kx_groups.retain(|group| group.name() == rustls::NamedGroup::X25519);
    let poor = Peer::new(config_with(poor, &[&TLS13], &chain, None)).await;
    let mut settings = settings(ca.anchors());
    settings.groups = vec![Group::Secp384r1];
    let error = connect(&compile(settings), poor.address, &[]).await.err().unwrap();
    assert_eq!(error, TlsError::PeerAlert(40));
}

#[tokio::test]
async fn groups_are_the_curves_of_certificates_in_tls12() {
    let ca = Ca::new("ca");
    let key = |algorithm| rcgen::KeyPair::generate_for(algorithm).unwrap();
    let p256 = ca.issue_for(leaf_params(&["DNS:backend.example"]), key(&rcgen::PKCS_ECDSA_P256_SHA256));
    let p521 = ca.issue_for(leaf_params(&["DNS:backend.example"]), key(&rcgen::PKCS_ECDSA_P521_SHA512));
    let refused = Err(TlsError::NoCommonCipher);
    for (chain, groups, tls12) in [
        (&p256, vec![], Ok(())),
        (&p256, vec![Group::X25519, Group::Secp256r1], Ok(())),
        (&p256, vec![Group::X25519], refused.clone()),
        (&p521, vec![], refused),
    ] {
        for (version, expected) in [(&TLS12, tls12), (&TLS13, Ok(()))] {
            let mut peer = Peer::new(config_with(provider(), &[version], chain, None)).await;
            let mut settings = settings(ca.anchors());
            settings.groups = groups.clone();
            let verdict = connect(&compile(settings), peer.address, &[]).await.map(|_| ());
            assert_eq!(verdict, expected, "{groups:?} {version:?}");
            if expected.is_err() {
                assert_eq!(peer.alert().await, 47);
            }
        }
    }
}

#[tokio::test]
async fn the_same_groups_are_offered_by_default() {
    let (ca, chain) = pki();
    let offered = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Groups { shown: config(&chain, None).cert_resolver, offered: offered.clone() };
    let mut server = config(&chain, None);
    server.cert_resolver = Arc::new(seen);
    let peer = Peer::new(server).await;
    connect(&compile(settings(ca.anchors())), peer.address, &[]).await.unwrap();
    assert_eq!(*offered.lock().unwrap(), [4588, 29, 23, 24]);
}

/// Remembers the groups of the last hello.
#[derive(Debug)]
struct Groups {
    shown: Arc<dyn rustls::server::ResolvesServerCert>,
    offered: Arc<std::sync::Mutex<Vec<u16>>>,
}

impl rustls::server::ResolvesServerCert for Groups {
    fn resolve(&self, hello: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        let groups = hello.named_groups().into_iter().flatten().map(|group| u16::from(*group));
        *self.offered.lock().unwrap() = groups.collect();
        self.shown.resolve(hello)
    }
}

#[tokio::test]
async fn cipher_suites_are_what_the_policy_says() {
    let (ca, chain) = pki();
    let peer = Peer::new(config(&chain, None)).await;
    let of = |suites: &[CipherSuite]| {
        let mut settings = settings(ca.anchors());
        settings.cipher_suites = suites.to_vec();
        stack().upstream(&Arc::new(UpstreamTlsPolicy::new("test/policy", settings)))
    };
    for suite in [
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ] {
        let (_, info) = connect(&of(&[suite]).unwrap(), peer.address, &[]).await.unwrap();
        assert_eq!((info.cipher_suite, info.version), (&*format!("{suite:?}"), TlsVersion::V1_2));
    }
    let rsa = of(&[CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]).unwrap();
    assert_eq!(connect(&rsa, peer.address, &[]).await.err(), Some(TlsError::PeerAlert(40)));
    let newest = of(&[CipherSuite::TLS_CHACHA20_POLY1305_SHA256]);
    if stack().capabilities().tls13_suite_choice {
        let (_, info) = connect(&newest.unwrap(), peer.address, &[]).await.unwrap();
        assert_eq!(info.cipher_suite, "TLS_CHACHA20_POLY1305_SHA256");
    } else {
        assert!(matches!(newest.err(), Some(PolicyError::Unsupported { .. })));
    }
}

#[tokio::test]
async fn every_capability_can_be_asked_for() {
    let ca = Ca::new("ca");
    let capabilities = stack().capabilities();
    let mut settings = settings(ca.anchors());
    settings.groups = capabilities.groups;
    settings.cipher_suites = capabilities.cipher_suites;
    compile(settings);
}

#[tokio::test]
async fn the_server_name_is_apart_from_the_identity() {
    let (ca, chain) = pki();
    let mut peer = Peer::new(config(&chain, None)).await;
    let cases = [
        (Sni::Name("sent.example".parse().unwrap()), Some("asked.example"), Some("sent.example")),
        (Sni::None, Some("asked.example"), None),
        (Sni::RequestHost, Some("Asked.example."), Some("asked.example")),
        (Sni::RequestHost, Some("10.0.0.1"), None),
        (Sni::RequestHost, None, None),
    ];
    for (sni, host, sent) in cases {
        let mut settings = settings(ca.anchors());
        settings.sni = sni;
        connect_for(&compile(settings), peer.address, host, &[]).await.unwrap();
        assert_eq!(peer.handshake().await.unwrap().sni.as_deref(), sent);
    }
}

#[tokio::test]
async fn protocols_are_offered_and_the_choice_is_checked() {
    let (ca, chain) = pki();
    let policy = compile(settings(ca.anchors()));
    let peer = async |protocols: &[&str]| {
        let mut server = config(&chain, None);
        server.alpn_protocols = protocols.iter().map(|id| id.as_bytes().to_vec()).collect();
        Peer::new(server).await.address
    };
    let (silent, h1, h2) = (peer(&[]).await, peer(&["http/1.1"]).await, peer(&["h2"]).await);
    let chosen = async |address, alpn: &[Alpn]| Ok(connect(&policy, address, alpn).await?.1.alpn);
    let mismatch =
        |offered: &str| Err(TlsError::AlpnMismatch { offered: vec![offered.to_owned()], selected: None });
    assert_eq!(chosen(h1, &[Alpn::Http2, Alpn::Http1]).await, Ok(Some(Alpn::Http1)));
    assert_eq!(chosen(h2, &[Alpn::Http2, Alpn::Http1]).await, Ok(Some(Alpn::Http2)));
    assert_eq!(chosen(silent, &[Alpn::Http2, Alpn::Http1]).await, Ok(None));
    assert_eq!(chosen(silent, &[Alpn::Http2]).await, mismatch("h2"));
    assert_eq!(chosen(h1, &[Alpn::Http2]).await, mismatch("h2"));
    assert_eq!(chosen(h2, &[Alpn::Http1]).await, mismatch("http/1.1"));
    let mut own = settings(ca.anchors());
    own.alpn = vec!["h2".into()];
    let own = compile(own);
    assert_eq!(connect(&own, h2, &[Alpn::Http1]).await.unwrap().1.alpn, Some(Alpn::Http2));
    assert!(matches!(connect(&own, h1, &[Alpn::Http1]).await.err(), Some(TlsError::AlpnMismatch { .. })));
}

#[tokio::test]
async fn less_is_verified_only_if_the_policy_says_so() {
    let (ca, chain) = pki();
    let peer = Peer::new(config(&chain, None)).await;
    let stranger = Ca::new("stranger");
    let verdict = async |anchors, mode, pins: &[SpkiPin]| {
        let mut settings = settings(anchors);
        settings.peer.identities = vec![Identity::dns("other.example").unwrap()];
        settings.peer.mode = mode;
        settings.peer.pins = pins.to_vec();
        connect(&compile(settings), peer.address, &[]).await.err().map(|error| error.reason())
    };
    assert_eq!(verdict(ca.anchors(), VerifyMode::Full, &[]).await, Some("NameMismatch"));
    assert_eq!(verdict(ca.anchors(), VerifyMode::Chain, &[]).await, None);
    assert_eq!(verdict(stranger.anchors(), VerifyMode::Chain, &[]).await, Some("UntrustedChain"));
    assert_eq!(verdict(stranger.anchors(), VerifyMode::None, &[]).await, None);
    let pin = [SpkiPin([7; 32])];
    assert_eq!(verdict(ca.anchors(), VerifyMode::Chain, &pin).await, Some("PinMismatch"));
    assert_eq!(verdict(stranger.anchors(), VerifyMode::None, &pin).await, Some("PinMismatch"));
}

/// Whether each of some connections was resumed.
async fn resumed(
    policy: &Arc<dyn lasthop_tls_backends::UpstreamTls>,
    address: SocketAddr,
    hosts: &[&str],
) -> Vec<bool> {
    let mut resumed = Vec::new();
    for host in hosts {
        let (mut stream, info) = connect_for(policy, address, Some(host), &[]).await.unwrap();
        exchange(&mut stream).await.unwrap();
        resumed.push(info.resumed);
    }
    resumed
}

#[tokio::test]
async fn sessions_are_resumed_per_endpoint() {
    let (ca, chain) = pki();
    for version in [&TLS12, &TLS13] {
        let pods = [
            Peer::new(config_with(provider(), &[version], &chain, None)).await,
            Peer::new(config_with(provider(), &[version], &chain, None)).await,
            Peer::new(config_with(provider(), &[version], &chain, None)).await,
        ];
        let policy = compile(settings(ca.anchors()));
        let mut hits = 0;
        for round in 0..30 {
            let pod = &pods[round % pods.len()];
            hits += resumed(&policy, pod.address, &[""]).await.iter().filter(|resumed| **resumed).count();
        }
        assert_eq!(hits, 27, "{version:?}");
    }
}

#[tokio::test]
async fn sessions_never_cross_policies() {
    let (ca, chain) = pki();
    for version in [&TLS12, &TLS13] {
        let peer = Peer::new(config_with(provider(), &[version], &chain, None)).await;
        let policy = compile(settings(ca.anchors()));
        assert_eq!(resumed(&policy, peer.address, &["", ""]).await, [false, true]);
        // The same policy compiled again, and policies that would refuse the backend.
        assert_eq!(resumed(&compile(settings(ca.anchors())), peer.address, &[""]).await, [false]);
        let stranger = compile(settings(Ca::new("stranger").anchors()));
        assert_eq!(connect(&stranger, peer.address, &[]).await.err(), Some(TlsError::UntrustedChain));
        let mut other = settings(ca.anchors());
        other.peer.identities = vec![Identity::dns("other.example").unwrap()];
        let other = connect(&compile(other), peer.address, &[]).await.err().unwrap();
        assert_eq!(other.reason(), "NameMismatch");
        assert_eq!(resumed(&policy, peer.address, &[""]).await, [true]);
    }
}

#[tokio::test]
async fn sessions_belong_to_the_server_name() {
    let (ca, chain) = pki();
    let peer = Peer::new(config(&chain, None)).await;
    let mut settings = settings(ca.anchors());
    settings.sni = Sni::RequestHost;
    let hosts = ["a.example", "b.example", "a.example", "b.example"];
    assert_eq!(resumed(&compile(settings), peer.address, &hosts).await, [false, false, true, true]);
}

#[tokio::test]
async fn resumption_can_be_off() {
    let (ca, chain) = pki();
    for version in [&TLS12, &TLS13] {
        let peer = Peer::new(config_with(provider(), &[version], &chain, None)).await;
        let mut settings = settings(ca.anchors());
        settings.resumption = false;
        assert_eq!(resumed(&compile(settings), peer.address, &["", "", ""]).await, [false; 3]);
    }
}

#[tokio::test]
async fn a_flood_of_tickets_is_survived() {
    let (ca, chain) = pki();
    let mut server = config(&chain, None);
    server.send_tls13_tickets = 200;
    let peer = Peer::new(server).await;
    let policy = compile(settings(ca.anchors()));
    assert_eq!(resumed(&policy, peer.address, &["", "", ""]).await, [false, true, true]);
}

#[tokio::test]
async fn a_client_certificate_is_shown_if_asked_for() {
    let (ca, chain) = pki();
    let clients = Ca::new("clients");
    for version in [&TLS12, &TLS13] {
        let mut peer = Peer::new(config_with(provider(), &[version], &chain, Some(&clients))).await;
        let mut settings = settings(ca.anchors());
        let ours = clients.client();
        settings.client_certificate = Some(ours.clone());
        let policy = compile(settings);
        for _ in 0..2 {
            let (mut stream, _) = connect(&policy, peer.address, &[]).await.unwrap();
            exchange(&mut stream).await.unwrap();
            assert_eq!(peer.handshake().await.unwrap().client.as_ref(), ours.chain().first());
        }
    }
}

#[tokio::test]
async fn a_refused_client_certificate_is_named() {
    let (ca, chain) = pki();
    let clients = Ca::new("clients");
    let wrong = Ca::new("strangers").client();
    for (version, ours, alert) in [
        (&TLS13, None, 116),
        (&TLS13, Some(wrong.clone()), 48),
        (&TLS12, None, 116),
        (&TLS12, Some(wrong), 48),
    ] {
        let peer = Peer::new(config_with(provider(), &[version], &chain, Some(&clients))).await;
        let mut settings = settings(ca.anchors());
        settings.client_certificate = ours;
        let error = match connect(&compile(settings), peer.address, &[]).await {
            Err(error) => error,
            // In TLS 1.3 the handshake is done for us before the backend has seen the certificate.
            Ok((mut stream, _)) => refusal(&mut stream).await,
        };
        assert_eq!(error, TlsError::ClientCertRefused(alert), "{version:?}");
    }
}

async fn refusal(stream: &mut TlsStream) -> TlsError {
    let error = stream.read(&mut [0; 16]).await.unwrap_err();
    classify_io(&error).unwrap_or_else(|| panic!("{error:?}"))
}

#[tokio::test]
async fn large_data_passes_in_pieces_of_any_size() {
    let (ca, chain) = pki();
    let peer = Peer::new(config(&chain, None)).await;
    let (stream, _) = connect(&compile(settings(ca.anchors())), peer.address, &[]).await.unwrap();
    let data: Vec<u8> = (0..4_000_000_u32).map(|i| (i % 249) as u8).collect();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let copy = data.clone();
    let writing = tokio::spawn(async move {
        let mut rest = &copy[..];
        for size in [1, 9, 16_384, 100, 70_000, 16_385, 500_000].into_iter().cycle() {
            let (piece, tail) = rest.split_at(size.min(rest.len()));
            writer.write_all(piece).await.unwrap();
            if size < 10_000 {
                writer.flush().await.unwrap();
            }
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        writer.flush().await.unwrap();
        writer
    });
    let mut got = vec![0; data.len()];
    reader.read_exact(&mut got).await.unwrap();
    assert!(got == data);
    let mut writer = writing.await.unwrap();
    writer.shutdown().await.unwrap();
    // The peer closes properly in answer.
    assert_eq!(reader.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(reader.read(&mut [0; 1]).await.unwrap(), 0);
}
