//! One configuration for many cases: a Service each, and as many targets and rules as an object may have.

use std::{collections::BTreeMap, fmt::Write, path::Path, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{bettertls::Case, server};

/// The most targetRefs of a policy and the most rules of a route.
const MOST: usize = 16;

pub fn write(folder: &Path, gateway: u16, backends: u16, root: &[u8], cases: &[Arc<Case>]) {
    let fixed = format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: front, namespace: default}}
spec:
  gatewayClassName: lasthop
  listeners:
  - {{name: http, port: {gateway}, protocol: HTTP}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: root, namespace: default}}
data:
  ca.crt: |
    -----BEGIN CERTIFICATE-----
    {}
    -----END CERTIFICATE-----
",
        STANDARD.encode(root)
    );
    std::fs::write(folder.join("front.yaml"), fixed).unwrap();
    std::fs::write(folder.join("services.yaml"), services(backends, cases.len())).unwrap();
    std::fs::write(folder.join("routes.yaml"), routes(cases.len())).unwrap();
    std::fs::write(folder.join("policies.yaml"), policies(cases)).unwrap();
}

fn services(port: u16, count: usize) -> String {
    let mut text = String::new();
    for place in 0..count {
        let address = server::address(place);
        write!(
            text,
            "---
apiVersion: v1
kind: Service
metadata: {{name: case-{place}, namespace: default}}
spec:
  ports:
  - {{name: web, port: 443, targetPort: {port}}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: case-{place}
  namespace: default
  labels: {{kubernetes.io/service-name: case-{place}}}
addressType: IPv4
ports:
- {{name: web, port: {port}}}
endpoints:
- addresses: [{address}]
"
        )
        .unwrap();
    }
    text
}

fn routes(count: usize) -> String {
    let mut text = String::new();
    for first in (0..count).step_by(MOST) {
        write!(
            text,
            "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: from-{first}, namespace: default}}
spec:
  parentRefs:
  - name: front
  rules:
"
        )
        .unwrap();
        for place in first..count.min(first + MOST) {
            write!(
                text,
                "  - matches:
    - path: {{type: Exact, value: /case/{place}}}
    backendRefs:
    - {{name: case-{place}, port: 443}}
"
            )
            .unwrap();
        }
    }
    text
}

fn policies(cases: &[Arc<Case>]) -> String {
    let mut by_host: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, case) in cases.iter().enumerate() {
        by_host.entry(&case.hostname).or_default().push(place);
    }
    let mut text = String::new();
    for (host, places) in by_host {
        for targets in places.chunks(MOST) {
            write!(
                text,
                "---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {{name: from-{}, namespace: default}}
spec:
  targetRefs:
",
                targets[0]
            )
            .unwrap();
            for place in targets {
                writeln!(text, "  - {{group: \"\", kind: Service, name: case-{place}}}").unwrap();
            }
            // An address is an option of ours; the hostname, which must be there, is then SNI only.
            let address = host.parse::<std::net::IpAddr>().is_ok();
            let hostname = if address { "sni-only.example" } else { host };
            write!(
                text,
                "  validation:
    hostname: {hostname}
    caCertificateRefs:
    - {{group: \"\", kind: ConfigMap, name: root}}
"
            )
            .unwrap();
            if address {
                write!(text, "  options:\n    lasthop.dev/subject-ip-sans: {host}\n").unwrap();
            }
        }
    }
    text
}
