use std::sync::Arc;

use lasthop_dataplane_api::CipherSuite;
use lasthop_tls_verify::{PeerRequirements, TrustAnchors};

use super::*;

fn settings() -> UpstreamTlsSettings {
    let key = rcgen::KeyPair::generate().unwrap();
    let ca = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap();
    let (anchors, _) = TrustAnchors::from_der(vec![ca.der().clone()]).unwrap();
    UpstreamTlsSettings::new(PeerRequirements::new(Arc::new(anchors), vec![]), Sni::None)
}

#[test]
fn no_protocol_chosen_is_http1_or_an_error() {
    let offer = |alpn: &[Alpn]| AlpnOffer::new(&settings(), alpn);
    assert_eq!(offer(&[]).judge(None), Ok(None));
    assert_eq!(offer(&[Alpn::Http2, Alpn::Http1]).judge(None), Ok(None));
    assert_eq!(offer(&[Alpn::Http2, Alpn::Http1]).judge(Some(b"h2")), Ok(Some(Alpn::Http2)));
    let error = offer(&[Alpn::Http2]).judge(None).unwrap_err();
    assert_eq!(error, TlsError::AlpnMismatch { offered: vec!["h2".into()], selected: None });
    assert!(offer(&[Alpn::Http1]).judge(Some(b"h2")).is_err());
    assert!(offer(&[]).judge(Some(b"h2")).is_err());
    let mut settings = settings();
    settings.alpn = vec!["spdy/3".into()];
    assert_eq!(AlpnOffer::new(&settings, &[Alpn::Http1]).judge(Some(b"spdy/3")), Ok(None));
    assert!(AlpnOffer::new(&settings, &[Alpn::Http1]).judge(None).is_err());
}

#[test]
fn named_suites_decide_the_versions() {
    let mut settings = settings();
    assert_eq!(versions(&settings), Ok((TlsVersion::V1_2, TlsVersion::V1_3)));
    settings.cipher_suites = vec![CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256];
    assert_eq!(versions(&settings), Ok((TlsVersion::V1_2, TlsVersion::V1_2)));
    settings.min_version = TlsVersion::V1_3;
    assert!(versions(&settings).is_err());
    settings.cipher_suites = vec![CipherSuite::TLS_AES_128_GCM_SHA256];
    assert_eq!(versions(&settings), Ok((TlsVersion::V1_3, TlsVersion::V1_3)));
    settings.max_version = TlsVersion::V1_2;
    assert!(versions(&settings).is_err());
    settings.min_version = TlsVersion::V1_2;
    assert!(versions(&settings).is_err());
}

#[test]
fn the_request_host_is_normalised_and_an_address_is_not_sent() {
    let name = |host| server_name(&Sni::RequestHost, host).map(|name| name.as_str().to_owned());
    assert_eq!(name(Some("API.example.com.")).as_deref(), Some("api.example.com"));
    assert_eq!(name(Some("10.0.0.1")), None);
    assert_eq!(name(Some("[::1]")), None);
    assert_eq!(name(None), None);
}
