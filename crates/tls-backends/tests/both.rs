//! Each stack as client against each stack as server.
#![cfg(all(feature = "rustls", feature = "boringssl"))]
#![allow(missing_docs, unreachable_pub, dead_code, reason = "tests, which share parts of the suite")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

use lasthop_dataplane_api::{ClientValidationMode, TlsStack, UpstreamTlsPolicy};
use lasthop_tls_backends::{Alpn, ClientIdentity, UpstreamTls, backend};
use lasthop_tls_verify::TlsError;
use std::sync::Arc;

/// The parts of the suite do not need it here.
pub const STACK: TlsStack = TlsStack::Rustls;

#[path = "suite/client.rs"]
mod client;
#[path = "suite/front.rs"]
mod front;
#[path = "suite/peer.rs"]
mod peer;
#[path = "suite/pki.rs"]
mod pki;

use client::{connect, exchange, settings};
use front::{Front, entry, validated};
use pki::Ca;

const STACKS: [TlsStack; 2] = [TlsStack::Rustls, TlsStack::Boringssl];

fn compile(stack: TlsStack, settings: lasthop_dataplane_api::UpstreamTlsSettings) -> Arc<dyn UpstreamTls> {
    backend(stack).unwrap().upstream(&Arc::new(UpstreamTlsPolicy::new("test/policy", settings))).unwrap()
}

#[tokio::test]
async fn each_talks_to_each_and_resumes() {
    for (ours, theirs) in STACKS.into_iter().flat_map(|a| STACKS.map(|b| (a, b))) {
        let ca = Ca::new("ca");
        let listener = entry("backend.example", &[&ca.leaf(&["DNS:backend.example"]).certified()]);
        let mut front = Front::of(front::compile(theirs, vec![listener]), 0).await;
        let policy = compile(ours, settings(ca.anchors()));
        for resumed in [false, true, true] {
            let (mut stream, info) = connect(&policy, front.address, &[Alpn::Http2]).await.unwrap();
            exchange(&mut stream).await.unwrap();
            assert_eq!((info.alpn, info.resumed), (Some(Alpn::Http2), resumed), "{ours:?} {theirs:?}");
            assert_eq!(info.group, Some("X25519MLKEM768"));
            let there = front.handshake().await.unwrap();
            assert_eq!((there.resumed, there.version, there.alpn), (resumed, info.version, info.alpn));
        }
        let stranger = compile(ours, settings(Ca::new("stranger").anchors()));
        assert_eq!(connect(&stranger, front.address, &[]).await.err(), Some(TlsError::UntrustedChain));
        assert_eq!(front.handshake().await, Err(TlsError::PeerAlert(48)));
    }
}

#[tokio::test]
async fn each_shows_its_certificate_to_each() {
    for (ours, theirs) in STACKS.into_iter().flat_map(|a| STACKS.map(|b| (a, b))) {
        let (ca, clients) = (Ca::new("ca"), Ca::new("clients"));
        let listener = entry("", &[&ca.leaf(&["DNS:backend.example"]).certified()]);
        let listener = validated(listener, &clients, ClientValidationMode::AllowValidOnly);
        let mut front = Front::of(front::compile(theirs, vec![listener]), 0).await;
        for (certificate, verdict) in [
            (Some(clients.client()), Ok(())),
            (Some(Ca::new("strangers").client()), Err(TlsError::ClientCertRefused(48))),
            (None, Err(TlsError::ClientCertRefused(116))),
        ] {
            let mut settings = settings(ca.anchors());
            settings.client_certificate = certificate;
            let (mut stream, _) = connect(&compile(ours, settings), front.address, &[]).await.unwrap();
            let exchanged = exchange(&mut stream).await;
            let exchanged = exchanged.map_err(|error| lasthop_tls_backends::classify_io(&error).unwrap());
            assert_eq!(exchanged, verdict, "{ours:?} {theirs:?}");
            let there = front.handshake().await;
            assert_eq!(there.is_ok(), verdict.is_ok());
            assert!(there.is_err() || matches!(there.unwrap().client, ClientIdentity::Verified(_)));
        }
    }
}
