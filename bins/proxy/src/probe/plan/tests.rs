use std::fs;

use lasthop_runtime::settings::Settings;

use super::*;
use crate::check;

/// A GRPCRoute and an HTTPRoute lead to one Service with two endpoints; the HTTPRoute also mirrors to another one.
const MANIFESTS: &str = "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: lasthop
  listeners:
  - {name: http, protocol: HTTP, port: 8080}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: edge}]
  hostnames: [shop.test, \"*.shop.test\"]
  rules:
  - backendRefs: [{name: shop, port: 443}]
    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 443}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls}
spec:
  parentRefs: [{name: edge}]
  hostnames: [shop.test]
  rules: [{backendRefs: [{name: shop, port: 443}]}]
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {ports: [{port: 443}]}
---
apiVersion: v1
kind: Service
metadata: {name: copy}
spec: {ports: [{port: 443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: shop-1
  labels: {kubernetes.io/service-name: shop}
addressType: IPv4
ports: [{port: 9443}]
endpoints: [{addresses: [192.0.2.1]}, {addresses: [192.0.2.2]}]
";

/// The plan for the manifests and a policy for both Services, with these options.
fn planned(options: &str) -> Vec<String> {
    planned_of(MANIFESTS, options)
}

/// The plan for other manifests and that policy.
fn plan_of(manifests: &str, options: &str) -> Plan {
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap().pem();
    let lines: String = pem.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!(
        "{manifests}---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {{name: both}}
spec:
  targetRefs: [{{group: \"\", kind: Service, name: shop}}, {{group: \"\", kind: Service, name: copy}}]
  validation:
    hostname: shop.internal
    caCertificateRefs: [{{group: \"\", kind: ConfigMap, name: ca}}]
  options: {{{options}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: ca}}
data:
  ca.crt: |
{lines}"
    );
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("all.yaml"), text).unwrap();
    let settings = Settings { config: Some(folder.path().to_owned()), ..Settings::default() };
    let translated = check::translate(&settings).unwrap();
    let resolve = |host: Arc<str>| match &*host {
        "pay.example.com" => (host, Ok(vec![[192, 0, 2, 9].into()])),
        _ => (host, Err("no such host".to_owned())),
    };
    let addresses = names(translated.translator.snapshot()).into_iter().map(resolve).collect();
    plan(&translated, &addresses)
}

/// The same as text.
fn planned_of(manifests: &str, options: &str) -> Vec<String> {
    let Plan { targets, others } = plan_of(manifests, options);
    let targets = targets.iter().map(|target| {
        let name = target.server_name().unwrap_or_default();
        format!("{} {} {} {name}", target.backend.endpoints, target.address, target.offered().join(","))
    });
    let others = others.iter().map(|other| match &other.why {
        NoHandshake::NoEndpoint(policy) => format!("{} nobody, {}", other.backend.endpoints, policy.policy),
        NoHandshake::Passthrough => format!("{} passes", other.backend.endpoints),
        NoHandshake::Unresolved { host, why, .. } => format!("{} {host}: {why}", other.backend.endpoints),
        NoHandshake::Plaintext(_) | NoHandshake::Refused(_) => {
            format!("{} left alone", other.backend.endpoints)
        }
    });
    targets.chain(others).collect()
}

#[test]
fn every_endpoint_is_asked_for_each_version_that_routes_need() {
    let expected = [
        "default/shop:443 192.0.2.1:9443 http/1.1 shop.internal",
        "default/shop:443 192.0.2.1:9443 h2 shop.internal",
        "default/shop:443 192.0.2.2:9443 http/1.1 shop.internal",
        "default/shop:443 192.0.2.2:9443 h2 shop.internal",
        "default/copy:443 nobody, default/both",
    ];
    assert_eq!(planned(""), expected);
}

#[test]
fn the_hosts_of_the_routes_are_sent_if_the_policy_says_so() {
    let planned = planned("lasthop.dev/sni: request-host, lasthop.dev/alpn: h2");
    let first: Vec<&str> =
        planned.iter().filter_map(|line| line.strip_prefix("default/shop:443 192.0.2.1:9443 ")).collect();
    // Once for a GRPCRoute, which needs h2, and once for an HTTPRoute, which takes what ALPN chooses.
    let expected =
        ["h2 lasthop-probe.shop.test", "h2 shop.test", "h2 lasthop-probe.shop.test", "h2 shop.test"];
    assert_eq!(first, expected);
}

#[test]
fn streams_and_hosts_outside_are_asked_and_tls_that_passes_through_is_not() {
    let route = |kind: &str, name: &str, listener: &str, rest: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  \
             parentRefs: [{{name: edge, sectionName: {listener}}}]\n{rest}\n"
        )
    };
    let to = |backend: &str| format!("  rules: [{{backendRefs: [{backend}]}}]");
    let xbackend = |name: &str, host: &str| {
        format!(
            "---\napiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XBackend\nmetadata: {{name: {name}}}\n\
             spec:\n  type: ExternalHostname\n  externalHostname: {{hostname: {host}}}\n  port: {{number: 443}}\n  \
             tls: {{mode: ServerOnly, validation: {{hostname: {host}, caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}]}}}}\n"
        )
    };
    let gateway = "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: lasthop
  listeners:
  - {name: tcp, protocol: TCP, port: 5432}
  - {name: tls, protocol: TLS, port: 8443, tls: {mode: Passthrough}}
";
    let services = &MANIFESTS[MANIFESTS.find("---\napiVersion: v1\nkind: Service").unwrap()..];
    let refs = |names: &[&str]| -> String {
        let refs = names
            .iter()
            .map(|name| format!("{{group: gateway.networking.x-k8s.io, kind: XBackend, name: {name}}}"));
        refs.collect::<Vec<_>>().join(", ")
    };
    let all = [
        gateway.to_owned(),
        route(
            "TCPRoute",
            "db",
            "tcp",
            &to(&format!("{{name: shop, port: 443}}, {}", refs(&["pay", "gone"]))),
        ),
        route(
            "TLSRoute",
            "pass",
            "tls",
            &format!("  hostnames: [a.test]\n{}", to("{name: copy, port: 443}")),
        ),
        xbackend("pay", "pay.example.com"),
        xbackend("gone", "gone.example.com"),
        services.to_owned(),
    ];
    let mut planned = planned_of(&all.concat(), "");
    planned.sort();
    let expected = [
        "XBackend/default/gone:443 gone.example.com: no such host",
        "XBackend/default/pay:443 192.0.2.9:443  pay.example.com",
        "default/copy:443 passes",
        "default/shop:443 192.0.2.1:9443  shop.internal",
        "default/shop:443 192.0.2.2:9443  shop.internal",
    ];
    assert_eq!(planned, expected);
}

#[test]
fn a_reference_that_leads_nowhere_is_not_the_hop_of_its_namesake() {
    let stray = |kind: &str, backend: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\n\
             metadata: {{name: stray, namespace: another}}\nspec:\n  \
             parentRefs: [{{name: edge, namespace: default}}]\n  hostnames: [a.test]\n  \
             rules: [{{backendRefs: [{{name: {backend}, namespace: default, port: 443}}]}}]\n"
        )
    };
    let pass = stray("TLSRoute", "copy").replace("name: stray, namespace: another", "name: pass");
    let all = "allowedRoutes: {namespaces: {from: All}}}";
    let http = format!("port: 8080, {all}");
    let tls =
        format!("{http}\n  - {{name: tls, protocol: TLS, port: 8443, tls: {{mode: Passthrough}}, {all}");
    let manifests = MANIFESTS.replace("port: 8080}", &tls).replace(
        "    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 443}}}]\n",
        "",
    );
    // Nobody lets them refer to another namespace, and each comes before the route that leads there.
    let strays = [stray("HTTPRoute", "shop"), stray("TLSRoute", "copy"), pass];
    let plan = plan_of(&format!("{manifests}{}", strays.concat()), "");
    assert_eq!(plan.targets.len(), 4);
    for target in &plan.targets {
        assert_eq!(target.described.authorities, [("ConfigMap default/ca".into(), 1)]);
    }
    let others: Vec<_> = plan.others.iter().map(|other| other.backend.endpoints.to_string()).collect();
    assert_eq!(others, ["default/copy:443"]);
    assert!(matches!(plan.others[0].why, NoHandshake::Passthrough));
}
