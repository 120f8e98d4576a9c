use std::{fs, path::Path};

use serde_json::Value;

use super::*;

const GATEWAY: &str = "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: lasthop
  listeners:
  - {name: http, protocol: HTTP, port: 8080}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {ports: [{port: 443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: shop-1
  labels: {kubernetes.io/service-name: shop}
addressType: IPv4
ports: [{port: 9443}]
endpoints: [{addresses: [127.0.0.1]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: shop, port: 443}]}]
";

const POLICY: &str = "---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: shop}
spec:
  targetRefs: [{group: \"\", kind: Service, name: shop}]
  validation:
    hostname: shop.internal
    caCertificateRefs: [{group: \"\", kind: ConfigMap, name: ca}]
";

fn ca() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap().pem();
    let lines: String = pem.lines().map(|line| format!("    {line}\n")).collect();
    format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: ca}}\ndata:\n  ca.crt: |\n{lines}")
}

fn check_text(text: &str) -> Findings {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("all.yaml"), text).unwrap();
    check_path(folder.path()).unwrap()
}

fn check_path(path: &Path) -> Result<Findings, RunError> {
    check(&Settings { config: Some(path.to_owned()), ..Settings::default() })
}

#[test]
fn a_hop_says_which_ca_which_names_and_which_client_certificate() {
    let findings = check_text(&format!("{GATEWAY}{POLICY}{}", ca()));
    let text = print::text(&findings);
    assert_eq!(findings.refused(), 0, "{text}");
    for wanted in [
        "HTTPRoute default/shop, rule 0  default/edge  default/shop:443  1  ",
        "verified by CA ConfigMap default/ca (1 certificate), name DNS:shop.internal; SNI shop.internal; client \
         certificate none; policy default/shop",
        "Programmed=Unknown  (a running proxy answers it)",
        "Nothing is refused.",
    ] {
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat(&text).contains(&flat(wanted)), "{wanted:?} is not in\n{text}");
    }
    let json = print::value(&findings);
    assert_eq!(json["refused"], 0);
    assert_eq!(json["hops"][0]["tls"]["state"], "policy");
    assert_eq!(json["hops"][0]["tls"]["identities"][0], "DNS:shop.internal");
    assert!(
        json["objects"]
            .as_array()
            .unwrap()
            .iter()
            .all(|o| o["conditions"][0].get("lastTransitionTime").is_none())
    );
}

#[test]
fn a_hop_says_which_names_are_wanted_together() {
    let hop = |names: &str| {
        let names =
            format!("    subjectAltNames: [{names}]\n  options: {{lasthop.dev/require-hostname: 'true'}}\n");
        let findings = check_text(&format!("{GATEWAY}{POLICY}{names}{}", ca()));
        let text = print::text(&findings);
        assert_eq!(findings.refused(), 0, "{text}");
        assert_eq!(print::value(&findings)["hops"][0]["tls"]["required"][0], "DNS:shop.internal");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let (one, two) = ("{type: URI, uri: 'spiffe://a/b'}", "{type: Hostname, hostname: b.internal}");
    let text = hop(one);
    assert!(text.contains(", name DNS:shop.internal and URI:spiffe://a/b; SNI"), "{text}");
    let text = hop(&format!("{one}, {two}"));
    assert!(
        text.contains(", name DNS:shop.internal and (URI:spiffe://a/b or DNS:b.internal); SNI"),
        "{text}"
    );
}

#[test]
fn without_a_policy_the_hop_is_in_plaintext_and_nothing_is_refused() {
    let findings = check_text(GATEWAY);
    assert_eq!(findings.refused(), 0);
    assert!(print::text(&findings).contains("plaintext: no BackendTLSPolicy targets the port"));
}

#[test]
fn a_policy_without_its_ca_is_a_refused_hop() {
    let findings = check_text(&format!("{GATEWAY}{POLICY}"));
    let text = print::text(&findings);
    assert!(findings.refused() >= 2, "the policy's conditions and the hop: {text}");
    let hop = text.lines().find(|line| line.contains("rule 0")).unwrap();
    assert!(hop.starts_with("! ") && hop.contains("refused (502) by default/shop: "), "{text}");
    assert!(hop.contains("ConfigMap default/ca does not exist"), "{text}");
    assert_eq!(print::value(&findings)["hops"][0]["tls"]["state"], "refused");
}

#[test]
fn a_reference_that_leads_nowhere_is_refused() {
    let findings =
        check_text(&GATEWAY.replace("backendRefs: [{name: shop,", "backendRefs: [{name: nowhere,"));
    let text = print::text(&findings);
    assert!(text.contains("leads nowhere (500): BackendNotFound"), "{text}");
    assert!(findings.refused() >= 2, "{text}");
}

#[test]
fn a_refused_object_is_a_problem_with_its_place() {
    let findings = check_text(&GATEWAY.replace("rules:", "rulez:"));
    let text = print::text(&findings);
    assert_eq!(findings.problems.len(), 1, "{text}");
    assert!(text.contains("all.yaml:29:"), "{text}");
    assert!(text.contains("rulez") && text.contains("(not in force)"), "{text}");
    let json: Value = print::value(&findings);
    assert_eq!(json["problems"][0]["line"], 29);
    assert_eq!(json["problems"][0]["in_force"], "nothing");
    assert_ne!(json["refused"], 0);
}

#[test]
fn what_cannot_be_read_at_all_is_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let missing = check_path(&folder.path().join("missing")).unwrap_err().to_string();
    assert!(missing.contains("there is no such file or folder"), "{missing}");
    let empty = check_path(folder.path()).unwrap_err().to_string();
    assert!(empty.contains("there is no Gateway in it; expected are Kubernetes manifests"), "{empty}");
    fs::write(folder.path().join("a.yaml"), ca()).unwrap();
    assert!(matches!(check_path(folder.path()).unwrap_err(), RunError::NoGateway(_)));
    let none = check(&Settings::default()).unwrap_err().to_string();
    assert!(none.contains("name a folder with --config DIR"), "{none}");
    for sentence in [missing, empty, none] {
        assert!(!sentence.contains('\n'), "{sentence}");
    }
}

#[test]
fn a_folder_whose_gateway_is_broken_is_the_right_folder() {
    let findings = check_text(&GATEWAY.replace("gatewayClassName", "gatewayClass"));
    assert_ne!(findings.refused(), 0);
}

#[test]
fn hops_of_streams_and_of_hosts_outside_say_what_becomes_of_them() {
    let gateway = GATEWAY.replace(
        "  - {name: http, protocol: HTTP, port: 8080}\n",
        "  - {name: http, protocol: HTTP, port: 8080}\n  - {name: tcp, protocol: TCP, port: 9000}\n  \
         - {name: udp, protocol: UDP, port: 9000}\n  - {name: tls, protocol: TLS, port: 8443, tls: {mode: Passthrough}}\n",
    );
    let route = |kind: &str, listener: &str, backend: &str, more: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {listener}}}\nspec:\n  \
             parentRefs: [{{name: edge, sectionName: {listener}}}]\n{more}  rules: [{{backendRefs: [{backend}]}}]\n"
        )
    };
    let outside = "---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {name: pay}
spec:
  type: ExternalHostname
  externalHostname: {hostname: pay.example.com}
  port: {number: 443}
---
apiVersion: v1
kind: Service
metadata: {name: dns}
spec: {ports: [{name: dns, port: 53, protocol: UDP}]}
";
    let xbackend = "{group: gateway.networking.x-k8s.io, kind: XBackend, name: pay}";
    let policy = POLICY
        .replace("name: shop}\nspec", "name: dns}\nspec")
        .replace("Service, name: shop", "Service, name: dns");
    let findings = check_text(
        &[
            gateway.as_str(),
            outside,
            POLICY,
            &policy,
            &ca(),
            &route("TCPRoute", "tcp", &format!("{xbackend}, {{name: gone, port: 1}}"), ""),
            &route("UDPRoute", "udp", "{name: dns, port: 53}", ""),
            &route("TLSRoute", "tls", "{name: shop, port: 443}", "  hostnames: [a.test]\n"),
        ]
        .concat(),
    );
    let text = print::text(&findings);
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in [
        "TCPRoute default/tcp, rule 0 default/edge XBackend/default/pay:443 pay.example.com plaintext: the XBackend's \
         tls.mode is None",
        "default/gone:1 - leads nowhere (closed): BackendNotFound",
        "UDPRoute default/udp, rule 0 default/edge default/dns:53/UDP 0 (dropped) refused (dropped) by default/dns: Invalid",
        "TLSRoute default/tls, rule 0 default/edge default/shop:443 1 the client's own TLS goes through",
    ] {
        assert!(flat.contains(wanted), "{wanted:?} is not in\n{text}");
    }
}
