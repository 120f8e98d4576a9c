use std::sync::{Mutex, PoisonError};

use lasthop_dataplane_api::{
    AppProtocol, EndpointsKey, ObjectName, PlaintextReason, Sni, UpstreamTlsSettings,
};
use lasthop_tls_verify::{PeerRequirements, TrustAnchors};
use tracing::{Event, Metadata, Subscriber, field::Visit, span};

use super::*;

/// Keeps the fields of warnings as text.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!("{field}={value:?} ");
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[test]
fn a_backend_that_falls_to_plaintext_is_named() {
    let stack = lasthop_tls_backends::available()[0];
    let stack = lasthop_tls_backends::backend(stack).unwrap();
    let ca = rcgen::CertificateParams::new(vec![]).unwrap();
    let ca = ca.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    let anchors = Arc::new(TrustAnchors::from_der(vec![ca.der().clone()]).unwrap().0);
    let settings = UpstreamTlsSettings::new(PeerRequirements::new(anchors, Vec::new()), Sni::None);
    let policy = || BackendTls::Policy(Arc::new(UpstreamTlsPolicy::new("app/tls", settings.clone())));
    let refused = || {
        let (reason, message) = (Arc::from("Invalid"), Arc::from("no CA"));
        BackendTls::Refused(Refusal { reason, message, policy: "app/broken".into() })
    };
    let plaintext = || BackendTls::Plaintext(PlaintextReason::NoPolicy);
    let key = BackendKey {
        gateway: ObjectName::new("infra", "gw"),
        endpoints: EndpointsKey::service(ObjectName::new("app", "api"), 443),
    };
    let mut policies = Policies::default();
    let mut warned = |tls: Option<BackendTls>| {
        let protocol = AppProtocol::Unspecified;
        let backend =
            tls.map(|tls| Arc::new(Backend { key: key.clone(), protocol, tls, proxy_protocol: false }));
        let changes = Changes(vec![(key.clone(), backend)]);
        let warnings = Warnings::default();
        tracing::subscriber::with_default(warnings.clone(), || {
            policies.compile(&*stack, &changes, &mut Vec::new());
        });
        warnings.0.lock().unwrap().clone()
    };
    assert!(warned(Some(plaintext())).is_empty(), "nobody asked for anything else");
    assert!(warned(Some(policy())).is_empty());
    let [line] = &warned(Some(plaintext()))[..] else { panic!("one warning") };
    assert!(line.contains("backend=app/api:443 via infra/gw policy=app/tls"), "{line}");
    assert!(line.contains("plaintext"), "{line}");
    assert!(warned(Some(plaintext())).is_empty(), "once is enough");
    assert!(warned(Some(refused())).is_empty());
    let [line] = &warned(Some(plaintext()))[..] else { panic!("one warning") };
    assert!(line.contains("policy=app/broken"), "{line}");
    assert!(warned(Some(policy())).is_empty());
    assert!(warned(None).is_empty(), "a backend that goes is spoken to no more");
}
