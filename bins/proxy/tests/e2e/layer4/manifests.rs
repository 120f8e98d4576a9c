//! Manifests of listeners and routes below HTTP.

/// A listener of a Gateway; `more` is added to it.
pub(crate) fn listener(name: &str, port: u16, protocol: &str, more: &str) -> String {
    format!("  - name: {name}\n    port: {port}\n    protocol: {protocol}\n{more}")
}

/// A TLS listener for a host, which terminates with the Gateway's certificate or passes through.
pub(crate) fn tls_listener(name: &str, port: u16, hostname: &str, mode: &str) -> String {
    let certificate = match mode {
        "Terminate" => "      certificateRefs:\n      - name: front\n",
        _ => "",
    };
    listener(
        name,
        port,
        "TLS",
        &format!("    hostname: {hostname}\n    tls:\n      mode: {mode}\n{certificate}"),
    )
}

/// A route of this kind from one listener to Services and their weights, port 443.
pub(crate) fn route(
    kind: &str,
    name: &str,
    listener: &str,
    host: Option<&str>,
    to: &[(&str, u32)],
) -> String {
    let hostnames = host.map_or_else(String::new, |host| format!("  hostnames:\n  - {host}\n"));
    let backends: String = to
        .iter()
        .map(|(service, weight)| format!("    - name: {service}\n      port: 443\n      weight: {weight}\n"))
        .collect();
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata:
  name: {name}
  namespace: default
spec:
  parentRefs:
  - name: front
    sectionName: {listener}
{hostnames}  rules:
  - backendRefs:
{backends}"
    )
}

/// A manifest of a Service with its protocol changed to UDP.
pub(crate) fn over_udp(service: &str) -> String {
    service
        .replace("    port: 443\n", "    port: 443\n    protocol: UDP\n")
        .replace("- name: web\n  port", "- name: web\n  protocol: UDP\n  port")
}
