//! Service, EndpointSlice, Secret, ConfigMap, Namespace, ClusterTrustBundle.

use serde_json::json;

use super::*;
use crate::ResourceKind::{ClusterTrustBundle, ConfigMap, EndpointSlice, Namespace, Secret, Service};

#[test]
fn service() {
    refuses(
        Service,
        &[
            ("/metadata/name", json!("a.b"), "metadata.name", "DNS label"),
            ("/metadata/name", letters(64), "metadata.name", "at most 63"),
            ("/spec/type", json!("Headless"), "spec.type", "\"ClusterIP\""),
            ("/spec/ports", json!([]), "spec.ports", "at least one"),
            ("/spec", json!({}), "spec.ports", "at least one"),
            ("/spec/ports/0/name", Value::Null, "spec.ports[0].name", "more than one port"),
            ("/spec/ports/1/name", json!("http"), "spec.ports[1]", "name of a port before it"),
            ("/spec/ports/1/name", json!("a.b"), "spec.ports[1].name", "DNS label"),
            ("/spec/ports/1/port", json!(80), "spec.ports[1]", "port and protocol"),
            ("/spec/ports/1/port", json!(0), "spec.ports[1].port", "between 1 and 65535"),
            ("/spec/ports/1/protocol", json!("HTTP"), "spec.ports[1].protocol", "\"TCP\""),
            ("/spec/ports/1/targetPort", json!(65536), "spec.ports[1].targetPort", "port number"),
            ("/spec/ports/1/targetPort", json!("Https"), "spec.ports[1].targetPort", "port number"),
            ("/spec/ports/1/targetPort", json!("8443"), "spec.ports[1].targetPort", "port number"),
            ("/spec/ports/1/targetPort", letters(16), "spec.ports[1].targetPort", "port number"),
            ("/spec/ports/1/targetPort", json!(true), "spec.ports[1].targetPort", "an integer or a string"),
            ("/spec/ports/1/appProtocol", json!("a b"), "spec.ports[1].appProtocol", "name"),
            ("/spec/clusterIP", json!("none"), "spec.clusterIP", "IP address"),
            ("/spec/type", json!("ExternalName"), "spec.externalName", "DNS name"),
            ("/spec/sessionAffinity", json!("Cookie"), "spec.sessionAffinity", "\"ClientIP\""),
            ("/spec/selector/a", json!(1), "spec.selector.a", "must be a string"),
        ],
    );
    accepts(
        Service,
        &[
            ("/spec", json!({"clusterIP": "None"})),
            ("/spec", json!({"type": "ExternalName", "externalName": "a.example.com."})),
            ("/spec/ports/1", json!({"name": "dns", "port": 80, "protocol": "UDP"})),
            ("/spec", json!({"ports": [{"port": 80, "name": null}], "selector": null})),
        ],
    );
}

#[test]
fn endpoint_slice() {
    refuses(
        EndpointSlice,
        &[
            ("/addressType", Value::Null, "addressType", "required"),
            ("/addressType", json!("IPv5"), "addressType", "\"IPv4\""),
            ("/addressType", json!("IPv6"), "endpoints[0].addresses[0]", "addressType"),
            ("/endpoints/0/addresses", json!([]), "endpoints[0].addresses", "at least 1"),
            ("/endpoints/0/addresses", json!(["a.example"]), "endpoints[0].addresses[0]", "addressType"),
            (
                "/endpoints/0/addresses",
                json!(["10.0.0.1", "10.0.0.1"]),
                "endpoints[0].addresses[1]",
                "there already",
            ),
            ("/endpoints/0/conditions/ready", json!("yes"), "endpoints[0].conditions.ready", "true or false"),
            ("/endpoints/0/hostname", json!("a.b"), "endpoints[0].hostname", "DNS label"),
            ("/endpoints", many(1001, |_| json!({"addresses": ["10.0.0.1"]})), "endpoints", "at most 1000"),
            ("/ports/1/name", json!("http"), "ports[1].name", "there already"),
            ("/ports/0/port", json!(0), "ports[0].port", "between 1 and 65535"),
            ("/ports/0/protocol", json!("QUIC"), "ports[0].protocol", "\"TCP\""),
        ],
    );
    accepts(
        EndpointSlice,
        &[("/endpoints", Value::Null), ("/ports", Value::Null), ("/endpoints", json!([]))],
    );
    accepts_all(
        EndpointSlice,
        &[("/addressType", json!("IPv6")), ("/endpoints/0/addresses", json!(["::1", "2001:db8::1"]))],
    );
}

#[test]
fn secret_and_config_map() {
    refuses(
        Secret,
        &[
            ("/data/a b", json!("YQ=="), "data[a b]", "key"),
            ("/data/..a", json!("YQ=="), "data[..a]", "key"),
            ("/data/a", json!("not base64"), "data.a", "base64"),
            ("/data/tls.key", Value::Null, "data[tls.key]", "kubernetes.io/tls"),
            ("/data/tls.crt", Value::Null, "data[tls.crt]", "kubernetes.io/tls"),
            ("/stringData/x", letters(1024 * 1024 + 1), "", "1 MiB"),
            ("/immutable", json!("yes"), "immutable", "true or false"),
            ("/spec", json!({}), "spec", "unknown field"),
        ],
    );
    accepts(Secret, &[("/type", json!("Opaque")), ("/data/a", json!("")), ("/data/a", json!("YW\nJj"))]);
    refuses(
        ConfigMap,
        &[
            ("/data/a b", json!(""), "data[a b]", "key"),
            ("/data/a", json!(1), "data.a", "must be a string"),
            ("/binaryData/a", json!("%"), "binaryData.a", "base64"),
            ("/binaryData/ca.crt", json!("AAEC"), "binaryData[ca.crt]", "key of data too"),
            ("/data/b", letters(1024 * 1024 + 1), "", "1 MiB"),
        ],
    );
}

#[test]
fn cluster_scoped() {
    refuses(
        Namespace,
        &[
            ("/metadata/name", json!("a.b"), "metadata.name", "DNS label"),
            ("/metadata/namespace", json!("a"), "metadata.namespace", "cluster-scoped"),
        ],
    );
    refuses(
        ClusterTrustBundle,
        &[
            ("/spec/trustBundle", json!(""), "spec.trustBundle", "empty"),
            ("/spec/trustBundle", json!("x"), "spec.trustBundle", "CERTIFICATE"),
            ("/spec/signerName", json!("signer"), "spec.signerName", "'/'"),
            ("/spec/signerName", Value::Null, "metadata.name", "without spec.signerName"),
            ("/metadata/name", json!("a/b"), "metadata.name", "with the signer in front"),
            ("/metadata/name", json!("sample"), "metadata.name", "begin with the signer"),
            ("/metadata/name", json!("example.com:signer"), "metadata.name", "begin with the signer"),
        ],
    );
    accepts_all(ClusterTrustBundle, &[("/metadata/name", json!("plain")), ("/spec/signerName", Value::Null)]);
}
