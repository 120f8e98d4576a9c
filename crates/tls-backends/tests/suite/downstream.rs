//! Handshakes with clients.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use lasthop_dataplane_api::{ClientValidationMode, TlsVersion};
use lasthop_tls_backends::{Alpn, ClientIdentity};
use lasthop_tls_verify::{CertifiedKey, TlsError};
use rcgen::{ExtendedKeyUsagePurpose, KeyPair, RsaKeySize, date_time_ymd};
use rustls::{
    HandshakeKind,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};

use super::{
    front::{Front, Witness, alert, client, compile, entry, validated, visit},
    pki::{Ca, Chain, leaf_params},
};

fn certificate(sans: &[&str]) -> Arc<CertifiedKey> {
    Ca::new("ca").leaf(sans).certified()
}

fn plain(version: &'static rustls::SupportedProtocolVersion) -> Arc<rustls::ClientConfig> {
    Arc::new(client(&Arc::default(), version, None))
}

#[tokio::test]
async fn the_server_name_chooses_entry_and_certificate() {
    let (a, wild, other) = (
        certificate(&["DNS:a.x.example"]),
        certificate(&["DNS:*.x.example"]),
        certificate(&["DNS:other.test"]),
    );
    let mut front = Front::new(vec![
        entry("", &[&other]),
        entry("*.x.example", &[&other, &wild, &a]),
        entry("b.x.example", &[&wild]),
    ])
    .await;
    for version in [&TLS12, &TLS13] {
        for (name, index, shown) in [
            (Some("a.x.example"), 1, &a),
            (Some("A.X.EXAMPLE"), 1, &a),
            (Some("c.x.example"), 1, &wild),
            (Some("c.y.x.example"), 1, &other),
            (Some("b.x.example"), 2, &wild),
            (Some("x.example"), 0, &other),
            (None, 0, &other),
        ] {
            let stream = visit(&plain(version), front.address, name).await.unwrap();
            assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], shown.chain()[0], "{name:?}");
            let info = front.handshake().await.unwrap();
            assert_eq!((info.entry, info.sni), (index, name.map(str::to_lowercase)));
            assert_eq!((info.alpn, info.resumed), (None, false));
            assert_eq!(info.client, ClientIdentity::None);
        }
    }
}

#[tokio::test]
async fn an_unknown_name_gets_its_alert() {
    let mut front = Front::new(vec![entry("a.example", &[&certificate(&["DNS:a.example"])])]).await;
    for version in [&TLS12, &TLS13] {
        for name in [Some("b.example"), None] {
            let error = visit(&plain(version), front.address, name).await.unwrap_err();
            assert_eq!(alert(&error), 112);
            let expected = TlsError::UnrecognizedName(name.map(str::to_owned));
            assert_eq!(front.handshake().await.unwrap_err(), expected);
        }
    }
}

#[tokio::test]
async fn protocols_are_agreed_or_refused() {
    let mut front = Front::new(vec![entry("", &[&certificate(&["DNS:a.example"])])]).await;
    for version in [&TLS12, &TLS13] {
        let offering = |ids: &[&str]| {
            let mut config = client(&Arc::<Witness>::default(), version, None);
            config.alpn_protocols = ids.iter().map(|id| id.as_bytes().to_vec()).collect();
            Arc::new(config)
        };
        for (ids, chosen) in [
            (&["http/1.1", "h2"][..], Some(Alpn::Http2)),
            (&["x", "http/1.1"], Some(Alpn::Http1)),
            (&[], None),
        ] {
            visit(&offering(ids), front.address, Some("a.example")).await.unwrap();
            let info = front.handshake().await.unwrap();
            assert_eq!(info.alpn, chosen);
            assert_eq!(info.version == TlsVersion::V1_3, *version == TLS13);
        }
        let error = visit(&offering(&["x"]), front.address, Some("a.example")).await.unwrap_err();
        assert_eq!(alert(&error), 120);
        let offered = vec!["h2".to_owned(), "http/1.1".to_owned()];
        assert_eq!(front.handshake().await.unwrap_err(), TlsError::AlpnMismatch { offered, selected: None });
    }
}

#[tokio::test]
async fn only_valid_clients_pass() {
    let clients = Ca::new("clients");
    let ours = certificate(&["DNS:a.example"]);
    let listener = validated(entry("", &[&ours]), &clients, ClientValidationMode::AllowValidOnly);
    let mut front = Front::new(vec![listener]).await;
    let expired = {
        let mut params = leaf_params(&[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        clients.issue(params).certified()
    };
    let good = clients.client();
    for version in [&TLS12, &TLS13] {
        let with =
            |certificate: &Arc<CertifiedKey>| Arc::new(client(&Arc::default(), version, Some(certificate)));
        for _ in 0..2 {
            visit(&with(&good), front.address, Some("a.example")).await.unwrap();
            let info = front.handshake().await.unwrap();
            assert!(matches!(&info.client, ClientIdentity::Verified(leaf) if leaf[..] == *good.chain()[0]));
            assert!(!info.resumed);
        }
        for (bad, expected, number) in [
            (&Ca::new("strangers").client(), TlsError::UntrustedChain, 48),
            (&expired, TlsError::Expired, 45),
            (&clients.leaf(&["DNS:server.example"]).certified(), TlsError::WrongPurpose, 43),
        ] {
            let error = visit(&with(bad), front.address, Some("a.example")).await.unwrap_err();
            assert_eq!(alert(&error), number);
            assert_eq!(front.handshake().await.unwrap_err(), expected);
        }
        visit(&plain(version), front.address, Some("a.example")).await.unwrap_err();
        assert_eq!(front.handshake().await.unwrap_err(), TlsError::NoPeerCertificate);
    }
}

#[tokio::test]
async fn with_insecure_fallback_every_client_passes_and_is_told_apart() {
    let clients = Ca::new("clients");
    let ours = certificate(&["DNS:a.example"]);
    let listener = validated(entry("", &[&ours]), &clients, ClientValidationMode::AllowInsecureFallback);
    let mut front = Front::new(vec![listener]).await;
    let (good, bad) = (clients.client(), Ca::new("strangers").client());
    let leaf = bytes::Bytes::copy_from_slice(&good.chain()[0]);
    for version in [&TLS12, &TLS13] {
        for (certificate, expected) in [
            (Some(&good), ClientIdentity::Verified(leaf.clone())),
            (Some(&bad), ClientIdentity::Unverified),
            (None, ClientIdentity::None),
        ] {
            let config = client(&Arc::default(), version, certificate.map(|certificate| &**certificate));
            visit(&Arc::new(config), front.address, Some("a.example")).await.unwrap();
            assert_eq!(front.handshake().await.unwrap().client, expected);
        }
    }
}

/// A client that shows a chain which rustls itself would not show.
fn showing(version: &'static rustls::SupportedProtocolVersion, chain: &Chain) -> Arc<rustls::ClientConfig> {
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&chain.key).unwrap();
    let shown = rustls::sign::CertifiedKey::new(chain.certificates.clone(), key);
    let mut config = client(&Arc::default(), version, None);
    config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(shown));
    Arc::new(config)
}

#[tokio::test]
async fn a_certificate_of_version_1_never_verifies_a_client() {
    let clients = Ca::new("clients");
    let ours = certificate(&["DNS:a.example"]);
    let front = |mode| Front::new(vec![validated(entry("", &[&ours]), &clients, mode)]);
    let mut strict = front(ClientValidationMode::AllowValidOnly).await;
    let mut lenient = front(ClientValidationMode::AllowInsecureFallback).await;
    let rsa = || KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let p384 = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    for (version, key) in [(&TLS12, rsa()), (&TLS13, rsa()), (&TLS12, p384()), (&TLS13, p384())] {
        let old = clients.issue_for(leaf_params(&[]), key).version_1(&clients);
        visit(&showing(version, &old), lenient.address, Some("a.example")).await.unwrap();
        assert_eq!(lenient.handshake().await.unwrap().client, ClientIdentity::Unverified);
        let error = visit(&showing(version, &old), strict.address, Some("a.example")).await.unwrap_err();
        assert_eq!(alert(&error), 46);
        let refused = TlsError::BadCertificate("its version is not 3".to_owned());
        assert_eq!(strict.handshake().await.unwrap_err(), refused);
        // Somebody else's certificate, without its key.
        let stolen = Chain { key: Ca::new("x").leaf(&[]).key, ..old };
        let error = visit(&showing(version, &stolen), lenient.address, Some("a.example")).await.unwrap_err();
        assert!([51, 47].contains(&alert(&error)), "{error}");
        let error = lenient.handshake().await.unwrap_err();
        assert_eq!(error.reason(), "BadCertificate", "{error}");
    }
}

#[tokio::test]
async fn sessions_outlive_a_changed_certificate() {
    for version in [&TLS12, &TLS13] {
        let config = plain(version);
        let mut before = Front::new(vec![entry("", &[&certificate(&["DNS:a.example"])])]).await;
        visit(&config, before.address, Some("a.example")).await.unwrap();
        assert!(!before.handshake().await.unwrap().resumed);
        let mut after = Front::new(vec![entry("", &[&certificate(&["DNS:a.example"])])]).await;
        let stream = visit(&config, after.address, Some("a.example")).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
        assert!(after.handshake().await.unwrap().resumed);
    }
}

#[tokio::test]
async fn sessions_never_carry_a_client_past_validation() {
    let clients = Ca::new("clients");
    let ours = certificate(&["DNS:a.example", "DNS:b.example"]);
    for version in [&TLS12, &TLS13] {
        let config = plain(version);
        let open = Front::new(vec![entry("", &[&ours])]).await;
        visit(&config, open.address, Some("a.example")).await.unwrap();
        let strict = validated(entry("", &[&ours]), &clients, ClientValidationMode::AllowValidOnly);
        let mut strict = Front::new(vec![strict]).await;
        visit(&config, strict.address, Some("a.example")).await.unwrap_err();
        assert_eq!(strict.handshake().await.unwrap_err(), TlsError::NoPeerCertificate);
        let lenient = validated(entry("", &[&ours]), &clients, ClientValidationMode::AllowInsecureFallback);
        let mut lenient = Front::new(vec![lenient]).await;
        visit(&config, lenient.address, Some("a.example")).await.unwrap();
        assert!(!lenient.handshake().await.unwrap().resumed);
        // And not back from a validated listener to another.
        let with = Arc::new(client(&Arc::default(), version, Some(&clients.client())));
        for _ in 0..2 {
            visit(&with, lenient.address, Some("a.example")).await.unwrap();
            assert!(!lenient.handshake().await.unwrap().resumed);
        }
    }
}

#[tokio::test]
async fn what_was_read_before_comes_first() {
    let ours = certificate(&["DNS:a.example"]);
    for peeked in [1, 5, 200] {
        let mut front = Front::of(compile(crate::STACK, vec![entry("", &[&ours])]), peeked).await;
        visit(&plain(&TLS13), front.address, Some("a.example")).await.unwrap();
        front.handshake().await.unwrap();
    }
}

#[tokio::test]
async fn a_staple_is_handed_on() {
    let certified = {
        let chain = Ca::new("ca").leaf(&["DNS:a.example"]);
        Arc::new(CertifiedKey::new(chain.certificates, chain.key).unwrap().with_ocsp(b"staple".to_vec()))
    };
    let front = Front::new(vec![entry("", &[&certified])]).await;
    for version in [&TLS12, &TLS13] {
        let witness = Arc::new(Witness::default());
        visit(&Arc::new(client(&witness, version, None)), front.address, Some("a.example")).await.unwrap();
        assert_eq!(*witness.ocsp.lock().unwrap(), b"staple");
    }
}

#[tokio::test]
async fn a_client_gets_a_certificate_it_can_verify() {
    let ca = Ca::new("ca");
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let rsa = ca.issue_for(leaf_params(&["DNS:a.example"]), rsa).certified();
    let ecdsa = ca.leaf(&["DNS:a.example"]).certified();
    let front = Front::new(vec![entry("", &[&ecdsa, &rsa])]).await;
    #[derive(Debug)]
    struct OnlyRsa(Witness);
    impl rustls::client::danger::ServerCertVerifier for OnlyRsa {
        fn verify_server_cert(
            &self,
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &[rustls::pki_types::CertificateDer<'_>],
            _: &rustls::pki_types::ServerName<'_>,
            _: &[u8],
            _: rustls::pki_types::UnixTime,
        ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
            Ok(rustls::client::danger::ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            leaf: &rustls::pki_types::CertificateDer<'_>,
            signed: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            self.0.verify_tls12_signature(message, leaf, signed)
        }
        fn verify_tls13_signature(
            &self,
            message: &[u8],
            leaf: &rustls::pki_types::CertificateDer<'_>,
            signed: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            self.0.verify_tls13_signature(message, leaf, signed)
        }
        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            vec![rustls::SignatureScheme::RSA_PSS_SHA256]
        }
    }
    let mut config = client(&Arc::default(), &TLS13, None);
    let stream = visit(&Arc::new(config.clone()), front.address, Some("a.example")).await.unwrap();
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], ecdsa.chain()[0]);
    config.dangerous().set_certificate_verifier(Arc::new(OnlyRsa(Witness::default())));
    let stream = visit(&Arc::new(config), front.address, Some("a.example")).await.unwrap();
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], rsa.chain()[0]);
}

#[tokio::test]
async fn a_client_without_tls_is_named() {
    let mut front = Front::new(vec![entry("", &[&certificate(&["DNS:a.example"])])]).await;
    let mut tcp = TcpStream::connect(front.address).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await.unwrap();
    assert_eq!(front.handshake().await.unwrap_err(), TlsError::NotTls);
    let mut answer = Vec::new();
    let _ = tcp.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
    drop(TcpStream::connect(front.address).await.unwrap());
    assert!(matches!(front.handshake().await.unwrap_err(), TlsError::Truncated | TlsError::Io(_)));
}

/// A client that sends byte by byte.
struct Trickle(TcpStream);

impl AsyncRead for Trickle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, out)
    }
}

impl AsyncWrite for Trickle {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &data[..data.len().min(1)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_hello_in_single_bytes_has_its_name() {
    let (a, b) = (certificate(&["DNS:a.example"]), certificate(&["DNS:b.example"]));
    let mut front = Front::new(vec![entry("", &[&b]), entry("a.example", &[&a])]).await;
    let tcp = TcpStream::connect(front.address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let name = "a.example".try_into().unwrap();
    tokio_rustls::TlsConnector::from(plain(&TLS13)).connect(name, Trickle(tcp)).await.unwrap();
    let info = front.handshake().await.unwrap();
    assert_eq!((info.entry, info.sni.as_deref()), (1, Some("a.example")));
}

#[tokio::test]
async fn every_kind_of_key_serves_and_is_shown() {
    let ca = Ca::new("ca");
    let ecdsa = |algorithm| KeyPair::generate_for(algorithm).unwrap();
    for key in [
        ecdsa(&rcgen::PKCS_ECDSA_P256_SHA256),
        ecdsa(&rcgen::PKCS_ECDSA_P384_SHA384),
        ecdsa(&rcgen::PKCS_ECDSA_P521_SHA512),
        ecdsa(&rcgen::PKCS_ED25519),
        KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072).unwrap(),
    ] {
        let kind = key.algorithm();
        let mut params = leaf_params(&["DNS:backend.example"]);
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        let certified = ca.issue_for(params, key).certified();
        let listener = validated(entry("", &[&certified]), &ca, ClientValidationMode::AllowValidOnly);
        let mut front = Front::new(vec![listener]).await;
        for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
            let mut settings = super::client::settings(ca.anchors());
            (settings.min_version, settings.max_version) = (version, version);
            settings.client_certificate = Some(certified.clone());
            let policy = super::client::compile(settings);
            let connected = super::client::connect(&policy, front.address, &[]).await;
            if kind == &rcgen::PKCS_ECDSA_P521_SHA512 && version == TlsVersion::V1_2 {
                // Not a group on offer, so not a curve for certificates either (RFC 8422 §5.1).
                let error = connected.err();
                assert!(
                    matches!(error, Some(TlsError::NoCommonCipher | TlsError::PeerAlert(40))),
                    "{error:?}"
                );
                assert!(front.handshake().await.is_err());
                continue;
            }
            let (mut stream, _) = connected.unwrap_or_else(|error| panic!("{error}: {kind:?} {version}"));
            super::client::exchange(&mut stream).await.unwrap();
            let info = front.handshake().await.unwrap();
            assert!(matches!(info.client, ClientIdentity::Verified(_)), "{kind:?} {version}");
        }
    }
}
