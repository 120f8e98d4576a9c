//! `check`: every condition and every hop, as a table and as JSON.

use serde_json::Value;

use crate::support::{certificates::Authority, manifests, site::Site};

#[test]
fn fine_manifests() {
    let site = Site::new();
    site.tls_backend("shop", 1);
    let checked = site.check(&[]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    for text in
        ["default/front", "default/shop", "Accepted", "Programmed", "ResolvedRefs", "backend.test", "ca"]
    {
        assert!(checked.out.contains(text), "{text:?} is not in\n{}", checked.out);
    }
}

#[test]
fn fine_manifests_as_json() {
    let site = Site::with_gateway("  tls:\n    backend:\n      clientCertificateRef:\n        name: ours\n");
    site.write("ours.yaml", &manifests::secret("ours", &Authority::new("c").leaf(&["gateway.test"])));
    site.tls_backend("shop", 1);
    let checked = site.check(&["--output", "json"]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let value: Value = serde_json::from_str(&checked.out).unwrap();
    let hops = value["hops"].as_array().expect("hops is a list");
    assert_eq!(hops.len(), 1, "{value:#}");
    let hop = hops[0].to_string();
    for text in ["default/shop", "backend.test", "default/ca", "default/ours"] {
        assert!(hop.contains(text), "{text:?} is not in {hop}");
    }
}

#[test]
fn plaintext_hop_says_so() {
    let site = Site::new();
    site.plain_backend("shop", 1);
    let checked = site.check(&[]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(checked.out.to_lowercase().contains("plaintext"), "{}", checked.out);
}

#[test]
fn refused_hop_says_why() {
    let site = Site::new();
    site.tls_backend("shop", 1);
    site.remove("ca.yaml");
    let checked = site.check(&["--output", "json"]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    let value: Value = serde_json::from_str(&checked.out).unwrap();
    let hop = value["hops"][0].to_string();
    assert!(hop.contains("refused") || hop.contains("Refused"), "{hop}");
    assert!(hop.contains("default/ca"), "the hop does not name the missing ConfigMap: {hop}");
}
