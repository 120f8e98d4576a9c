//! BackendTLSPolicy, XBackend.

use serde_json::json;

use super::*;
use crate::ResourceKind::{BackendTlsPolicy, XBackend};

#[test]
fn backend_tls_policy() {
    let service = |section: Option<&str>| match section {
        Some(section) => json!({"group": "", "kind": "Service", "name": "web", "sectionName": section}),
        None => json!({"group": "", "kind": "Service", "name": "web"}),
    };
    refuses(
        BackendTlsPolicy,
        &[
            ("/spec/targetRefs", Value::Null, "spec.targetRefs", "required"),
            ("/spec/targetRefs", json!([]), "spec.targetRefs", "at least 1"),
            (
                "/spec/targetRefs",
                many(17, |n| json!({"group": "", "kind": "Service", "name": format!("s{n}")})),
                "spec.targetRefs",
                "at most 16",
            ),
            (
                "/spec/targetRefs",
                json!([service(None), service(None)]),
                "spec.targetRefs[1]",
                "nothing tells the two apart",
            ),
            (
                "/spec/targetRefs",
                json!([service(None), service(Some("a"))]),
                "spec.targetRefs[1]",
                "nothing tells the two apart",
            ),
            (
                "/spec/targetRefs",
                json!([service(Some("a")), service(Some("a"))]),
                "spec.targetRefs[1]",
                "nothing tells the two apart",
            ),
            ("/spec/targetRefs/0/group", Value::Null, "spec.targetRefs[0].group", "required"),
            ("/spec/targetRefs/0/namespace", json!("x"), "spec.targetRefs[0].namespace", "unknown field"),
            ("/spec/targetRefs/0/sectionName", json!("A"), "spec.targetRefs[0].sectionName", "DNS name"),
            ("/spec/validation", Value::Null, "spec.validation", "required"),
            ("/spec/validation/hostname", Value::Null, "spec.validation.hostname", "required"),
            ("/spec/validation/hostname", json!("*.example.com"), "spec.validation.hostname", "DNS name"),
            ("/spec/validation/hostname", json!("Example.com"), "spec.validation.hostname", "DNS name"),
            ("/spec/validation/caCertificateRefs", Value::Null, "spec.validation", "neither"),
            ("/spec/validation/caCertificateRefs", json!([]), "spec.validation", "neither"),
            ("/spec/validation/wellKnownCACertificates", json!("System"), "spec.validation", "both"),
            (
                "/spec/validation/wellKnownCACertificates",
                json!(""),
                "spec.validation.wellKnownCACertificates",
                "empty",
            ),
            (
                "/spec/validation/wellKnownCACertificates",
                json!("Mine"),
                "spec.validation.wellKnownCACertificates",
                "\"System\"",
            ),
            (
                "/spec/validation/caCertificateRefs",
                many(9, |_| json!({"group": "", "kind": "ConfigMap", "name": "a"})),
                "spec.validation.caCertificateRefs",
                "at most 8",
            ),
            (
                "/spec/validation/caCertificateRefs/0/namespace",
                json!("x"),
                "spec.validation.caCertificateRefs[0].namespace",
                "unknown field",
            ),
            (
                "/spec/validation/subjectAltNames/0/type",
                json!("IP"),
                "spec.validation.subjectAltNames[0].type",
                "\"Hostname\" or \"URI\"",
            ),
            (
                "/spec/validation/subjectAltNames/0/hostname",
                Value::Null,
                "spec.validation.subjectAltNames[0].hostname",
                "must be set",
            ),
            (
                "/spec/validation/subjectAltNames/0/type",
                json!("URI"),
                "spec.validation.subjectAltNames[0].hostname",
                "must not be set",
            ),
            (
                "/spec/validation/subjectAltNames/1/uri",
                Value::Null,
                "spec.validation.subjectAltNames[1].uri",
                "must be set",
            ),
            (
                "/spec/validation/subjectAltNames/1/type",
                json!("Hostname"),
                "spec.validation.subjectAltNames[1].uri",
                "must not be set",
            ),
            (
                "/spec/validation/subjectAltNames/1/uri",
                json!("urn:x"),
                "spec.validation.subjectAltNames[1].uri",
                "scheme and authority",
            ),
            (
                "/spec/validation/subjectAltNames",
                many(6, |_| json!({"type": "Hostname", "hostname": "a"})),
                "spec.validation.subjectAltNames",
                "at most 5",
            ),
            (
                "/spec/options",
                (0..17).map(|n| (format!("k{n}"), json!(""))).collect::<serde_json::Map<_, _>>().into(),
                "spec.options",
                "at most 16",
            ),
            ("/spec/options/a", letters(4097), "spec.options.a", "at most 4096"),
            ("/spec/options/a", json!(1.3), "spec.options.a", "must be a string"),
        ],
    );
    accepts(
        BackendTlsPolicy,
        &[
            ("/spec/validation", json!({"hostname": "a", "wellKnownCACertificates": "System"})),
            (
                "/spec/validation",
                json!({"hostname": "a", "wellKnownCACertificates": "example.com/Roots", "caCertificateRefs": []}),
            ),
            ("/spec/validation/hostname", json!("192.0.2.1")),
            ("/spec/validation/subjectAltNames/0/hostname", json!("*.example.com")),
        ],
    );
}

#[test]
fn xbackend() {
    refuses(
        XBackend,
        &[
            ("/spec/type", json!("Service"), "spec.type", "\"EndpointSelector\""),
            ("/spec/type", json!("ExternalHostname"), "spec.externalHostname", "must be set"),
            ("/spec/type", json!("ExternalHostname"), "spec.endpointSelector", "must not be set"),
            ("/spec/type", json!("ExternalHostname"), "spec.sessionPersistence", "EndpointSelector only"),
            ("/spec/externalHostname", json!({"hostname": "a"}), "spec.externalHostname", "must not be set"),
            ("/spec/endpointSelector", Value::Null, "spec.endpointSelector", "must be set"),
            (
                "/spec/endpointSelector/matchLabels",
                json!({}),
                "spec.endpointSelector.matchLabels",
                "at least 1",
            ),
            (
                "/spec/endpointSelector/matchLabels",
                json!({"a b": ""}),
                "spec.endpointSelector.matchLabels[a b]",
                "key",
            ),
            (
                "/spec/endpointSelector/matchLabels",
                json!({"a": "b c"}),
                "spec.endpointSelector.matchLabels.a",
                "label value",
            ),
            ("/spec/port", Value::Null, "spec.port", "required"),
            ("/spec/port", json!({}), "spec.port", "empty"),
            ("/spec/port/number", json!(0), "spec.port.number", "between 1 and 65535"),
            ("/spec/protocol", json!("HTTP3"), "spec.protocol", "\"HTTP2\""),
            ("/spec/protocol", json!("H2C"), "spec.tls", "for the protocol H2C"),
            ("/spec/tls", Value::Null, "spec.tls", "for the protocol HTTP2"),
            ("/spec/tls/mode", json!("Mutual"), "spec.tls.mode", "\"ServerOnly\""),
            ("/spec/tls/mode", json!("ServerOnly"), "spec.tls.clientCertificateRef", "must not be set"),
            ("/spec/tls/clientCertificateRef", Value::Null, "spec.tls.clientCertificateRef", "must be set"),
            ("/spec/tls/validation", Value::Null, "spec.tls.validation", "must be set"),
            ("/spec/tls/mode", json!("None"), "spec.tls.validation", "must not be set"),
            (
                "/spec/tls/validation/caCertificateRefs",
                json!([]),
                "spec.tls.validation.caCertificateRefs",
                "at least 1",
            ),
            (
                "/spec/tls/validation/caCertificateRefs",
                json!([{"group": "", "kind": "ConfigMap", "name": "a"}]),
                "spec.tls.validation",
                "both",
            ),
            ("/spec/tls/validation/wellKnownCACertificates", Value::Null, "spec.tls.validation", "neither"),
        ],
    );
    refuses_all(XBackend, &[("/spec/protocol", json!("WSS")), ("/spec/tls", Value::Null)], "spec.tls", "WSS");
    let outside = [
        ("/spec/type", json!("ExternalHostname")),
        ("/spec/endpointSelector", Value::Null),
        ("/spec/sessionPersistence", Value::Null),
        ("/spec/externalHostname/hostname", json!("a.example.com")),
    ];
    accepts_all(XBackend, &outside);
    let mut inside = outside.to_vec();
    inside[3].1 = json!("a.ns.svc.cluster.local");
    refuses_all(XBackend, &inside, "spec.externalHostname.hostname", ".cluster.local");
    accepts_all(XBackend, &[("/spec/protocol", json!("H2C")), ("/spec/tls", json!({"mode": "None"}))]);
}
