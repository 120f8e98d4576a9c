//! Manifests as users write them.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::certificates::Leaf;

/// A Gateway with an HTTPS listener (`https`) and an HTTP listener (`http`); `more` is added to its spec.
pub(crate) fn gateway(https: u16, http: u16, more: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: front
  namespace: default
spec:
  gatewayClassName: lasthop
  listeners:
  - name: https
    port: {https}
    protocol: HTTPS
    tls:
      mode: Terminate
      certificateRefs:
      - name: front
  - name: http
    port: {http}
    protocol: HTTP
{more}"
    )
}

/// A TLS Secret.
pub(crate) fn secret(name: &str, leaf: &Leaf) -> String {
    format!(
        "apiVersion: v1
kind: Secret
metadata:
  name: {name}
  namespace: default
type: kubernetes.io/tls
data:
  tls.crt: {}
  tls.key: {}
",
        STANDARD.encode(&leaf.certificate_pem),
        STANDARD.encode(&leaf.key_pem)
    )
}

/// A TLS Secret with an OCSP response in DER.
pub(crate) fn secret_with_staple(name: &str, leaf: &Leaf, response: &[u8]) -> String {
    format!("{}  tls.ocsp-staple: {}\n", secret(name, leaf), STANDARD.encode(response))
}

/// A ReferenceGrant in the namespace `elsewhere`: objects of this kind there may be referred to by Gateways of
/// `default`.
pub(crate) fn grant_to_gateways(kind: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata:
  name: gateways
  namespace: elsewhere
spec:
  from:
  - group: gateway.networking.k8s.io
    kind: Gateway
    namespace: default
  to:
  - group: \"\"
    kind: {kind}
"
    )
}

/// A ConfigMap whose `ca.crt` is this text.
pub(crate) fn config_map(name: &str, text: &str) -> String {
    let text = serde_json::to_string(text).unwrap();
    format!(
        "apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  namespace: default
data:
  ca.crt: {text}
"
    )
}

/// An HTTPRoute for the host to the Service's port 443; `more` is added to its one rule.
pub(crate) fn route(name: &str, host: &str, service: &str, more: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {name}
  namespace: default
spec:
  parentRefs:
  - name: front
  hostnames:
  - {host}
  rules:
  - backendRefs:
    - name: {service}
      port: 443
{more}"
    )
}

/// A Service with one port, and an EndpointSlice that puts it at ports of the loopback.
pub(crate) fn service(name: &str, ports: &[u16], app_protocol: Option<&str>) -> String {
    let app_protocol = app_protocol.map_or_else(String::new, |value| format!("    appProtocol: {value}\n"));
    let mut text = format!(
        "apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: default
spec:
  ports:
  - name: web
    port: 443
    targetPort: 8443
{app_protocol}"
    );
    for (index, port) in ports.iter().enumerate() {
        text.push_str(&format!(
            "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-{index}
  namespace: default
  labels:
    kubernetes.io/service-name: {name}
addressType: IPv4
ports:
- name: web
  port: {port}
endpoints:
- addresses: [127.0.0.1]
  conditions:
    ready: true
"
        ));
    }
    text
}

/// A BackendTLSPolicy of a Service; `more` is added to its spec.
pub(crate) fn policy(name: &str, service: &str, hostname: &str, config_map: &str, more: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata:
  name: {name}
  namespace: default
spec:
  targetRefs:
  - group: \"\"
    kind: Service
    name: {service}
  validation:
    hostname: {hostname}
    caCertificateRefs:
    - group: \"\"
      kind: ConfigMap
      name: {config_map}
{more}"
    )
}
